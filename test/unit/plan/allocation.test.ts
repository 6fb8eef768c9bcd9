import { readFileSync } from "node:fs";
import { expect } from "chai";
import { allocateNetwork } from "../../../src/api/requests.ts";
import { explain } from "../../../src/errors.ts";
import { vniOf } from "../../../src/net/vni.ts";
import {
  type AllocationRequest,
  allocatedOptions,
  planAllocation,
  vniCandidates,
} from "../../../src/plan/allocation.ts";
import { planNetwork } from "../../../src/plan/network-request.ts";
import { requestedSubnet } from "../../support/values.ts";

const id = "k3jv0q1c2s8x4w7m9b5n6t1zp";
const ten = requestedSubnet("10.5.0.0/24", "10.5.0.1/24", { addressSpace: "" });
const six = requestedSubnet("fd00:5::/64", "fd00:5::1/64", { addressSpace: "" });
const asked = (options: Readonly<Record<string, string>> = {}, subnets = [ten]): AllocationRequest => ({
  ...{ id, options, subnets },
});
const list = "com.docker.network.driver.overlay.vxlanid_list";

describe("a network that the swarm's leader is asked for", () => {
  it("is an overlay unless its options say otherwise, and its subnets are of both families in any order", () => {
    expect(planAllocation(asked())).to.deep.equal({ mode: "overlay", subnets: ["10.5.0.0/24"], vni: null });
    const both = ["10.5.0.0/24", "fd00:5::/64"];
    for (const subnets of [
      [six, ten],
      [ten, six],
    ]) {
      expect(planAllocation(asked({}, subnets))).to.deep.equal({ mode: "overlay", subnets: both, vni: null });
    }
    expect(planAllocation(asked({ mode: "macvlan", parent: "eth0" })).mode).to.equal("macvlan");
  });

  it("has the VNI that its options say, by tsnet's key or by Docker's", () => {
    expect(planAllocation(asked({ "tsnet.vni": "5000" })).vni).to.equal(5000);
    expect(planAllocation(asked({ [list]: "5000,5001" })).vni).to.equal(5000);
    expect(planAllocation(asked({ [list]: "5000", "tsnet.vni": "5000", mode: "overlay" })).vni).to.equal(5000);
  });

  it("is answered with all options, as the nodes are to have them", () => {
    const options = { "tsnet.flood": "true", "com.docker.network.driver.mtu": "1450" };
    const answer = allocatedOptions(options, 5000);
    expect(answer).to.deep.equal({ ...options, mode: "overlay", "tsnet.vni": "5000" });
    expect(allocatedOptions(answer, 5000)).to.deep.equal(answer);
    expect(allocatedOptions({ mode: "bridge" }, null)).to.deep.equal({ mode: "bridge" });
  });

  const wrong: [title: string, request: AllocationRequest, text: string][] = [
    [
      "a mistyped key",
      asked({ "tsnet.vnii": "5" }),
      "unknown option tsnet.vnii=5 for mode overlay: did you mean tsnet.vni?",
    ],
    [
      "an unknown mode",
      asked({ mode: "vxlan" }),
      "mode=vxlan: this version knows the modes bridge, macvlan, ipvlan and overlay",
    ],
    [
      "a key of another mode",
      asked({ parent: "eth0" }),
      "parent=eth0 is an option of the modes macvlan and ipvlan, and the network is of mode overlay; " +
        "leave it out, or give -o mode=macvlan",
    ],
    ["a VNI that is none", asked({ "tsnet.vni": "0" }), "tsnet.vni=0: expected a VNI from 1 to 16777215"],
    ["two VNIs", asked({ "tsnet.vni": "5", [list]: "6" }), `tsnet.vni=5 and ${list}=6: leave one of them out`],
    [
      "an MTU that leaves too little for IPv6",
      asked({ "com.docker.network.driver.mtu": "1300" }, [ten, six]),
      "com.docker.network.driver.mtu=1300: IPv6 needs 1280 bytes at least, and its way to other hosts 50 more; " +
        "give 1330, or leave --ipv6 out",
    ],
  ];
  for (const [title, request, text] of wrong) {
    it(`is refused for ${title}, as the nodes refuse it`, () => {
      expect(refusal(() => planAllocation(request))).to.equal(text);
      const [ipv4, ipv6] = [4, 6].map((f) => request.subnets.filter(({ pool }) => pool.includes(":") === (f === 6)));
      const onNode = {
        ...{ id, internal: false, enableIpv4: true, enableIpv6: request.subnets.length > 1 },
        ...{ options: allocatedOptions(request.options, null), ipv4: ipv4 ?? [], ipv6: ipv6 ?? [] },
      };
      expect(refusal(() => planNetwork(onNode))).to.equal(text);
    });
  }

  it("is not refused for options that are for internal networks, or for those that are not: the nodes alone are told", () => {
    const isolated = { mode: "bridge", "com.docker.network.bridge.gateway_mode_ipv4": "isolated" };
    expect(planAllocation(asked(isolated)).mode).to.equal("bridge");
    expect(planAllocation(asked({ "tsnet.egress": "engine" })).mode).to.equal("overlay");
    expect(planAllocation(asked({}, [requestedSubnet("10.5.0.0/24", null)])).mode).to.equal("overlay");
  });

  it("is not refused for a family that the options ask for and the swarm has left out: it decides", () => {
    expect(planAllocation(asked({ "com.docker.network.enable_ipv6": "true" })).subnets).to.deep.equal(["10.5.0.0/24"]);
  });

  it("tries what is preferred, then the VNIs that its subnets have on hosts without a swarm, and gives up at last", () => {
    const subnets = ["10.5.0.0/24"];
    const candidates = [...vniCandidates([7], subnets)];
    expect(candidates.slice(0, 3)).to.deep.equal([7, vniOf(subnets, 0), vniOf(subnets, 1)]);
    expect(new Set(candidates).size).to.equal(101);
  });

  for (const version of ["20.10.24", "26.1.5", "28.5.2"]) {
    it(`is read as Docker ${version} sends it`, () => {
      const file = new URL(`../../fixtures/wire/${version}.json`, import.meta.url);
      const recorded = JSON.parse(readFileSync(file, "utf8"))["NetworkDriver.AllocateNetwork"] as unknown[];
      const requests = recorded.map((body) => allocateNetwork.parse(body));
      expect(requests[0]).to.deep.include({ options: { foo: "bar" } });
      expect(requests[0]?.subnets).to.deep.equal([
        { addressSpace: "", pool: "10.80.0.0/24", gateway: "10.80.0.1/24", auxiliary: {} },
      ]);
      const subnets = requests.map((request) => planAllocation({ ...request, options: {} }).subnets);
      expect(subnets).to.deep.include(["10.80.0.0/24"]).and.to.deep.include(["10.83.0.0/24", "fd83::/64"]);
    });
  }
});

function refusal(work: () => unknown): string {
  try {
    work();
    return "nothing";
  } catch (error) {
    return explain(error);
  }
}
