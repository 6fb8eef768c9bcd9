/** Networks on a parent, links and answers for tests of what is shown of them: complete ones, of which a test names what matters. */
import type { EndpointAnswer, FailedNetworkAnswer, NetworkAnswer } from "../../src/driver/report-link-answers.ts";
import type { IpvlanNetwork, MacvlanNetwork } from "../../src/plan/network.ts";
import type { ObservedLink } from "../../src/plan/observed.ts";
import { idOf } from "./values.ts";

const onEth1 = {
  ...{ id: idOf("b1"), mtuBytes: null, internal: false, interfacePrefix: "eth", ready: true },
  subnets: [{ family: 4 as const, pool: "192.168.1.0/24", defaultGateway: "192.168.1.1" }],
  ...{ parent: { name: "eth1", kind: "link" as const }, hostAccess: null, duplicateCheck: true },
};

export const macvlanOf = (values: Partial<MacvlanNetwork> = {}): MacvlanNetwork => ({
  ...onEth1,
  ...{ mode: "macvlan", macvlanMode: "bridge" },
  ...values,
});

export const ipvlanOf = (values: Partial<IpvlanNetwork> = {}): IpvlanNetwork => ({
  ...onEth1,
  ...{ mode: "ipvlan", ipvlanMode: "l2", ipvlanFlag: "bridge" },
  ...values,
});

/** A link that is up and has a carrier. */
export const linkOf = (name: string, values: Partial<ObservedLink> = {}): ObservedLink => ({
  ...{ index: 1, name, kind: "", alias: "", mac: "02:00:00:00:00:01", mtuBytes: 1500 },
  ...{ up: true, carrier: true, master: 0, group: 0, lower: 0 },
  ...values,
});

/** Of a network of mode macvlan. */
export const networkAnswerOf = (values: Partial<NetworkAnswer> = {}): NetworkAnswer => ({
  ...{ id: idOf("b1"), mode: "macvlan", linkMode: "bridge", ipvlanFlag: null, parent: "eth1", vlan: null, vni: null },
  ...{ parentKind: "host", internal: false, mtuBytes: 1500, mtuIsSet: false },
  subnets: [{ family: 4, subnet: "192.168.1.0/24", gateway: "192.168.1.1" }],
  ...{ endpoints: 2, hostAccess: null, duplicateCheck: true, state: "up", at: null },
  ...values,
});

/** Of a network of the swarm. */
export const failedAnswerOf = (values: Partial<FailedNetworkAnswer> = {}): FailedNetworkAnswer => ({
  ...{ id: "k3jv0q1c2s8x4w7m9b5n6t1zp", mode: "overlay", subnets: ["10.0.1.0/24"], since: "2026-08-01T10:00:00.000Z" },
  error: "unknown option tsnet.vnii=5 for mode overlay: did you mean tsnet.vni?",
  ...values,
});

/** On that network. */
export const endpointAnswerOf = (values: Partial<EndpointAnswer> = {}): EndpointAnswer => ({
  ...{ id: idOf("e1"), network: idOf("b1") },
  ...{ mode: "macvlan", linkMode: "bridge", ipvlanFlag: null, parent: "eth1", vlan: null, vni: null },
  ...{ mac: "02:42:c0:a8:01:0a", macIsParents: false, addresses: ["192.168.1.10/24"], sandbox: "/run/ns/1" },
  ...{ link: "eth0", mtuBytes: 1500, hostLink: null, state: "up" },
  ...values,
});
