import { expect } from "chai";
import type { LanNetwork } from "../../../src/plan/network.ts";
import type { Observed, ObservedLink } from "../../../src/plan/observed.ts";
import { followedLinks, planLanReconcile } from "../../../src/plan/reconcile-lan.ts";
import { endpointOf, idOf, ipvlanOf, macvlanOf, networkOf } from "../../support/values.ts";

const sandbox = "/run/docker/netns/e1";
let index = 0;
const linkOf = (name: string, values: Partial<ObservedLink> = {}): ObservedLink => ({
  ...{ index: ++index, name, kind: "", alias: "", mac: "02:00:00:00:00:01", mtuBytes: 1500 },
  ...{ up: true, master: 0, group: 0, carrier: true, lower: 0, ...values },
});
const observedOf = (...links: ObservedLink[]): Observed => ({ links, addresses: [], routes: [], neighbors: [] });
const onVlan = { ...macvlanOf({ parent: "eth0.10" }), parent: { name: "eth0.10", kind: "vlan" } } as LanNetwork;
const plan = (networks: readonly LanNetwork[], observed: Observed, inSandbox?: readonly ObservedLink[] | null) => {
  const endpoint = endpointOf({ addresses: ["192.168.1.10/24"], mac: "02:42:c0:a8:01:0a", sandbox });
  const wanted = {
    networks: new Map(networks.map((network) => [network.id, network])),
    endpoints: new Map([[endpoint.id, endpoint]]),
  };
  return planLanReconcile(wanted, observed, new Map(inSandbox === undefined ? [] : [[sandbox, inSandbox]]), new Map());
};

describe("what networks on a parent lack", () => {
  const vlan = linkOf("eth0.10", { alias: "tsnet:vlan:eth0.10" });
  const lan = linkOf("eth0", { alias: `tsnet:lan:${idOf("e1")}` });

  it("is nothing where all is there", () => {
    expect(plan([onVlan], observedOf(linkOf("eth0"), vlan), [lan])).to.deep.equal({ repairs: [], restorations: [] });
  });

  it("is a VLAN once, however many networks share it", () => {
    const { repairs } = plan([onVlan, { ...onVlan, id: idOf("b2") }], observedOf(linkOf("eth0")), [lan]);
    expect(repairs.map(({ ops }) => ops)).to.deep.equal([
      [{ op: "ensure-vlan", name: "eth0.10", alias: "tsnet:vlan:eth0.10", base: "eth0", vlanId: 10 }],
    ]);
  });

  it("is no VLAN of a network that is being made or removed, and none without what it is on", () => {
    expect(plan([{ ...onVlan, ready: false }], observedOf(linkOf("eth0")), [lan]).repairs).to.deep.equal([]);
    expect(plan([onVlan], observedOf(), []).repairs).to.deep.equal([]);
  });

  it("is no VLAN of somebody else's", () => {
    const foreign = linkOf("eth0.10", { up: false, mtuBytes: 1280 });
    expect(
      plan([onVlan], observedOf(linkOf("eth0"), foreign), [lan]).repairs.map(({ reason }) => reason),
    ).to.deep.equal([`link eth0 of endpoint ${idOf("e1")} has the MTU 1500, not 1280`]);
  });

  it("is the link of a container in a sandbox that was looked into, with all that dockerd gave it", () => {
    const network = ipvlanOf({ ipvlan_mode: "l3", "com.docker.network.container_iface_prefix": "lan" });
    const [restoration] = plan([network], observedOf(linkOf("eth0")), []).restorations;
    expect(restoration).to.deep.include({
      network: idOf("a1"),
      ops: [
        {
          ...{ op: "restore-lan-link", name: "tsm-e1000000000", alias: `tsnet:lan:${idOf("e1")}`, parent: "eth0" },
          ...{ link: { kind: "ipvlan", mode: "l3", flag: "bridge" }, mac: "02:42:c0:a8:01:0a", mtuBytes: null },
          ...{
            sandbox,
            interfacePrefix: "lan",
            addresses: ["192.168.1.10/24"],
            gateways: [],
            onLink: ["0.0.0.0/0"],
          },
        },
      ],
    });
  });

  it("is first of all the links whose names are known, so that no other takes them", () => {
    const ids = [idOf("e1"), idOf("e2")];
    const endpoints = ids.map((id, n) => endpointOf({ id, addresses: [`192.168.1.1${n}/24`], sandbox }));
    const wanted = {
      networks: new Map([[idOf("a1"), macvlanOf()]]),
      endpoints: new Map(endpoints.map((endpoint) => [endpoint.id, endpoint])),
    };
    const names = new Map([[idOf("e2"), "eth0"]]);
    const { restorations } = planLanReconcile(wanted, observedOf(linkOf("eth0")), new Map([[sandbox, []]]), names);
    expect(restorations.map(({ endpoint }) => endpoint.id)).to.deep.equal(ids.toReversed());
    expect(restorations[0]?.ops[0]).to.include({ interfacePrefix: "eth", interfaceName: "eth0" });
  });

  const none: [what: string, observed: Observed, inSandbox: readonly ObservedLink[] | null | undefined][] = [
    ["that was not looked into", observedOf(linkOf("eth0")), undefined],
    ["that does not exist", observedOf(linkOf("eth0")), null],
    ["whose link waits for it", observedOf(linkOf("eth0"), linkOf("tsm-e1000000000")), []],
    ["without its parent", observedOf(), []],
  ];
  for (const [what, observed, inSandbox] of none) {
    it(`is no link of a sandbox ${what}`, () => {
      expect(plan([macvlanOf()], observed, inSandbox).restorations).to.deep.equal([]);
    });
  }

  it("is told by parents, and by what VLANs are on", () => {
    const dummy = macvlanOf({ parent: "" });
    const names = ["eth0", "tsp-a1000000000", "eth0.10"];
    expect([...followedLinks([networkOf(), macvlanOf(), dummy, onVlan])]).to.deep.equal(names);
  });
});
