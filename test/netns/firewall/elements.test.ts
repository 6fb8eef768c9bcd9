import { execFileSync } from "node:child_process";
import { expect } from "chai";
import { Nft } from "../../../src/kernel/nft.ts";
import { NftTable } from "../../../src/kernel/nft-table.ts";
import { directElements } from "../../../src/plan/direct.ts";
import type { Element } from "../../../src/plan/elements.ts";
import { networkElements, openElements, wantedElements } from "../../../src/plan/firewall.ts";
import { changeScript, planFirewall, removeTableScript, tableScript } from "../../../src/plan/firewall-script.ts";
import type { OpenPort } from "../../../src/plan/network.ts";
import { bridgeKey, endpointOf, idOf, ipv6, mappingOf, networkOf, requestedSubnet } from "../../support/values.ts";

const mark = 0x0100_0000;

/** Something in each set and map, but for those of a network without translation. */
const everyOption = {
  [bridgeKey("trusted_host_interfaces")]: "eth1:tcp",
  "tsnet.publish_from": "10.0.0.0/8,192.0.2.1,fd00::/8,2001:db8::1",
  "com.docker.network.host_ipv4": "192.0.2.1",
  "com.docker.network.host_ipv6": "2001:db8::1",
};
const addresses = ["172.18.0.2/16", "fd00:18::2/64"];
const block = { hostPort: 8000, containerPort: 8000, count: 100 };
const ports = ["0.0.0.0", "::", "127.0.0.1", "2001:db8::1"].flatMap((hostAddress) => [
  mappingOf({ hostAddress, protocol: "sctp" }),
  mappingOf({ hostAddress, ...block }),
  mappingOf({ hostAddress, hostPort: 9000, count: 3 }),
]);
const published = networkOf({ ipv6, options: everyOption });
const routedId = idOf("b2");
const routed = networkOf({
  id: routedId,
  ipv4: [requestedSubnet("10.9.0.0/24", "10.9.0.1/24")],
  ipv6: [requestedSubnet("fd00:9::/64", "fd00:9::1/64")],
  options: { [bridgeKey("gateway_mode_ipv4")]: "routed", [bridgeKey("gateway_mode_ipv6")]: "routed" },
});
const isolated = networkOf({
  id: idOf("b3"),
  internal: true,
  ipv4: [requestedSubnet("10.8.0.0/24", null)],
  options: { [bridgeKey("gateway_mode_ipv4")]: "isolated", [bridgeKey("gateway_mode_ipv6")]: "isolated" },
});
const proxied = networkOf({
  id: idOf("b4"),
  ipv4: [requestedSubnet("10.7.0.0/24", "10.7.0.1/24")],
  options: { "tsnet.publish_policy": "host" },
});
const passedOn = endpointOf({
  id: idOf("e4"),
  network: idOf("b4"),
  addresses: ["10.7.0.2/24"],
  ports: ["192.0.2.1", "2001:db8::1"].map((hostAddress) => mappingOf({ hostAddress, hostPort: 7000, count: 2 })),
});
const open = (...openPorts: OpenPort[]) =>
  endpointOf({ id: idOf("e2"), network: routedId, addresses: ["10.9.0.2/24", "fd00:9::2/64"], openPorts });
const tcp = (port: number, count: number): OpenPort => ({ protocol: "tcp", port, count });
const sandbox = "/run/docker/netns/x";

describe("the elements in the kernel", () => {
  let nft: Nft;
  let ours: NftTable;
  beforeEach(() => {
    nft = new Nft();
    ours = new NftTable();
  });
  afterEach(() => {
    nft.run(removeTableScript);
    ours.close();
    nft.close();
  });

  const networks = [published, routed, isolated, proxied];
  const wanted = wantedElements({
    networks,
    endpoints: [endpointOf({ addresses, ports, sandbox }), { ...open(tcp(80, 1), tcp(8000, 9)), sandbox }, passedOn],
    dockerLinks: ["docker0"],
    direct: directElements(networkOf({ ipv6 }), ["eth0"]),
  });
  interface Listed {
    readonly set?: { readonly name: string; readonly elem?: readonly unknown[] };
    readonly map?: { readonly name: string; readonly elem?: readonly unknown[] };
  }
  /** How many elements each set and map has that is not empty: by the program nft. */
  const counts = (): Record<string, number> => {
    const listing = JSON.parse(execFileSync("nft", ["-j", "list", "table", "inet", "tsnet"], { encoding: "utf8" }));
    const sets = (listing.nftables as Listed[]).flatMap(({ set, map }) => set ?? map ?? []);
    return Object.fromEntries(sets.flatMap(({ name, elem }) => (elem === undefined ? [] : [[name, elem.length]])));
  };

  it("are listed as they were written, all of them, in every set and map", () => {
    nft.run(tableScript(wanted, mark));
    const observed = ours.observe();
    const filled = Object.entries(observed?.elements ?? {}).filter(([, content]) => Object.keys(content).length > 0);
    expect(Object.fromEntries(filled)).to.deep.equal(wanted);
    expect(Object.keys(observed?.elements ?? {}).toSorted()).to.deep.equal(Object.keys(wanted).toSorted());
    expect(planFirewall(wanted, observed, { skeleton: observed?.skeleton ?? "", mark })).to.equal(undefined);
    const expected = Object.entries(wanted).map(([set, content]) => [set, Object.keys(content).length]);
    expect(counts()).to.deep.equal(Object.fromEntries(expected));
  });

  it("go as a whole, and once more", () => {
    nft.run(tableScript(wanted, mark));
    const remove = Object.entries(wanted).flatMap(([set, content]) =>
      Object.entries(content).map(([key, data]): Element => [set, key, data]),
    );
    nft.run(changeScript({ remove }));
    expect(counts()).to.deep.equal({});
    nft.run(changeScript({ remove }));
    expect(counts()).to.deep.equal({});
  });

  it("of open ports change to blocks that overlap those before, in one transaction", () => {
    nft.run(tableScript(wantedElements({ networks, endpoints: [], dockerLinks: [] }), mark));
    const steps = [[tcp(80, 1)], [tcp(80, 6)], [tcp(79, 3), tcp(85, 1)], [tcp(1, 65535)], []];
    steps.forEach((after, index) => {
      const before = steps[index - 1] ?? [];
      const remove = openElements(open(...before), routed);
      nft.run(changeScript({ remove, add: openElements(open(...after), routed) }));
      const { open4 = 0, open6 = 0 } = counts();
      expect([open4, open6]).to.deep.equal([after.length, after.length]);
    });
  });

  it("of a network with overlapping sources go in with it", () => {
    const options = { "tsnet.publish_from": "10.1.0.0/16,10.0.0.0/8,10.2.3.4,0.0.0.0/0,::1,::/0,fd00::/8" };
    nft.run(tableScript({}, mark));
    nft.run(changeScript({ add: networkElements(networkOf({ options })) }));
    expect(counts()).to.include({ restricted: 1, sources4: 1, sources6: 1 });
  });
});
