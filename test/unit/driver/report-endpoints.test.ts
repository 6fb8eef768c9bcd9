import { expect } from "chai";
import { reportEndpoint } from "../../../src/driver/report-endpoints.ts";
import { placeOf } from "../../../src/driver/report-networks.ts";
import { bridgeName, containerVethName, hostVethName, lanLinkName, linkAlias } from "../../../src/net/names.ts";
import type { Endpoint, Network } from "../../../src/plan/network.ts";
import type { ObservedLink } from "../../../src/plan/observed.ts";
import { ipvlanOf, linkOf, macvlanOf } from "../../support/link-answers.ts";
import { endpointOf, idOf, networkOf, overlayOf } from "../../support/values.ts";

const sandbox = "/run/docker/netns/1";

interface Found {
  /** In the host's namespace. */
  readonly links?: readonly ObservedLink[];
  /** In the sandbox; null for none. */
  readonly inside?: readonly ObservedLink[] | null;
}

function report(endpoint: Endpoint, network: Network, { links = [], inside = null }: Found, isRemoving = false) {
  const host = new Map(links.map((link) => [link.name, link]));
  const sandboxes = new Map(inside === null ? [] : [[sandbox, inside]]);
  return reportEndpoint(endpoint, placeOf(network, host), { links: host, sandboxes, isRemoving });
}

describe("the report of an endpoint with a parent", () => {
  const network = macvlanOf();
  const endpoint = endpointOf({
    ...{ network: network.id, addresses: ["192.168.1.10/24"], mac: "02:42:c0:a8:01:0a", sandbox },
  });
  const eth1 = linkOf("eth1", { mac: "02:00:00:00:00:99" });
  const own = linkOf("eth0", { kind: "macvlan", alias: linkAlias("lan", endpoint.id), mtuBytes: 1400 });
  const waiting = { ...own, name: lanLinkName(endpoint.id), up: false, carrier: false };

  it("has what is recorded, and the link in the container", () => {
    expect(report(endpoint, network, { links: [eth1], inside: [own] })).to.deep.equal({
      ...{ id: endpoint.id, network: network.id },
      ...{ mode: "macvlan", linkMode: "bridge", ipvlanFlag: null, parent: "eth1", vlan: null, vni: null },
      ...{ mac: "02:42:c0:a8:01:0a", macIsParents: false, addresses: ["192.168.1.10/24"], sandbox },
      ...{ link: "eth0", mtuBytes: 1400, hostLink: null, state: "up" },
    });
  });

  it("has the parent's MAC address where it has none of its own", () => {
    const without = { ...endpoint, mac: null };
    expect(report(without, ipvlanOf(), { links: [eth1] })).to.deep.include({ mac: eth1.mac, macIsParents: true });
    expect(report(without, ipvlanOf(), {})).to.deep.include({ mac: null, macIsParents: true });
  });

  const others = linkOf("eth1", { alias: linkAlias("lan", idOf("e2")) });
  const joined = endpoint;
  const left = { ...endpoint, sandbox: null };
  const states: [title: string, of: Endpoint, found: Found, state: string][] = [
    ["a link that waits for its container", left, { links: [eth1, waiting] }, "waiting"],
    ["a link that waits, with a container that is there", joined, { links: [waiting], inside: [] }, "waiting"],
    ["a link that is down in the container", joined, { links: [eth1], inside: [{ ...own, up: false }] }, "down"],
    ["a link on a parent that is down", joined, { inside: [{ ...own, carrier: false }] }, "no carrier"],
    ["a container without its link", joined, { inside: [others] }, "lost with its parent"],
    ["a container that is gone", joined, { links: [eth1] }, "gone"],
    ["an endpoint without container and link", left, { links: [eth1], inside: [] }, "gone"],
    ["somebody else's link of that name", left, { links: [{ ...waiting, alias: "" }] }, "gone"],
  ];
  for (const [title, of, found, state] of states) {
    it(`says of ${title}: ${state}`, () => expect(report(of, network, found).state).to.equal(state));
  }

  it("names the link where it is", () => {
    const name = waiting.name;
    expect(report(left, network, { links: [waiting] })).to.deep.include({ link: null, hostLink: name, mtuBytes: null });
  });

  it("says of one that is being removed nothing else", () => {
    expect(report(endpoint, network, { inside: [own] }, true).state).to.equal("removing");
  });
});

describe("the report of an endpoint on a bridge", () => {
  const network = networkOf();
  const endpoint = endpointOf({ sandbox });
  const bridge = linkOf(bridgeName(network.id), { index: 7 });
  const veth = linkOf(hostVethName(endpoint.id), { alias: linkAlias("veth", endpoint.id), master: 7 });
  const peer = linkOf("eth0", { alias: linkAlias("peer", endpoint.id) });
  const waiting = { ...peer, name: containerVethName(endpoint.id) };

  it("has both ends of the pair", () => {
    expect(report(endpoint, network, { links: [bridge, veth], inside: [peer] })).to.deep.include({
      ...{ mode: "bridge", linkMode: null, parent: bridge.name, mac: "02:42:ac:12:00:02", macIsParents: false },
      ...{ link: "eth0", hostLink: veth.name, mtuBytes: 1500, state: "up" },
    });
  });

  const states: [title: string, found: Found, state: string][] = [
    ["a pair that waits for its container", { links: [bridge, veth, waiting] }, "waiting"],
    ["a host's end that is down", { links: [bridge, { ...veth, up: false }], inside: [peer] }, "down"],
    ["a container's end that is down", { links: [bridge, { ...veth, carrier: false }], inside: [peer] }, "down"],
    ["a host's end that is not on the bridge", { links: [bridge, { ...veth, master: 8 }], inside: [peer] }, "down"],
    ["a host's end on a bridge that is gone", { links: [{ ...veth, master: 0 }], inside: [peer] }, "down"],
    ["a pair that is gone", { links: [bridge], inside: [] }, "gone"],
    ["somebody else's link of that name", { links: [bridge, { ...veth, alias: "" }] }, "gone"],
  ];
  for (const [title, found, state] of states) {
    it(`says of ${title}: ${state}`, () => expect(report(endpoint, network, found).state).to.equal(state));
  }
});

describe("the report of an endpoint of an overlay network", () => {
  const network = overlayOf();
  const endpoint = endpointOf({ network: network.id, sandbox });
  const own = linkOf("eth0", { alias: linkAlias("peer", endpoint.id) });
  const waiting = { ...own, name: containerVethName(endpoint.id) };
  const pair = linkOf(hostVethName(endpoint.id), { alias: linkAlias("veth", endpoint.id), master: 1 });
  const inNamespace = (
    found: readonly ObservedLink[] | undefined,
    inside: readonly ObservedLink[],
    host: ObservedLink[] = [],
  ) =>
    reportEndpoint(endpoint, placeOf(network, new Map()), {
      links: new Map(host.map((link) => [link.name, link])),
      sandboxes: new Map([[sandbox, inside]]),
      inside: found && new Map(found.map((link) => [link.name, link])),
      isRemoving: false,
    });

  it("names the other end, in the network's namespace", () => {
    expect(inNamespace([pair], [own])).to.deep.include({ link: "eth0", hostLink: pair.name, state: "up" });
    expect(inNamespace([], [], [waiting])).to.deep.include({ link: null, hostLink: waiting.name, state: "waiting" });
  });

  const states: [title: string, found: ObservedLink[] | undefined, inside: ObservedLink[], state: string][] = [
    ["whose link is down in the container", [pair], [{ ...own, up: false }], "down"],
    ["whose other end is down", [{ ...pair, up: false }], [own], "down"],
    ["whose other end is no port of the bridge", [{ ...pair, master: 0 }], [own], "down"],
    ["whose other end is gone", [], [own], "gone"],
    ["whose network has lost its namespace", undefined, [own], "gone"],
    ["whose container has lost its link", [pair], [], "gone"],
  ];
  for (const [title, found, inside, state] of states) {
    it(`says of one ${title}: ${state}`, () => expect(inNamespace(found, inside).state).to.equal(state));
  }
});
