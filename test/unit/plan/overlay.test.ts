import { expect } from "chai";
import type { OverlayNetwork } from "../../../src/plan/network.ts";
import type { Op } from "../../../src/plan/op.ts";
import {
  innerMtuBytes,
  planInnerVeth,
  planInnerVethRemoval,
  planOverlay,
  planOverlayRemoval,
} from "../../../src/plan/overlay.ts";
import { localPlace, remotePlace, setFloodList } from "../../../src/plan/overlay-places.ts";
import { endpoint, names, network, underlay } from "../../support/overlay-links.ts";

const opOf = <Name extends Op["op"]>(ops: readonly Op[], name: Name): Extract<Op, { op: Name }> => {
  const found = ops.find(({ op }) => op === name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found as Extract<Op, { op: Name }>; // it was looked for by its name
};
const internal: OverlayNetwork = {
  ...network,
  internal: true,
  subnets: network.subnets.map((subnet) => ({ ...subnet, gateway: null })) as unknown as OverlayNetwork["subnets"],
};

describe("an overlay network's plan", () => {
  it("has the MTU of the hosts' network less what the tunnel takes, or the option's", () => {
    const { mtuBytes: _, ...none } = network;
    expect(innerMtuBytes({ ...none, mtuBytes: null }, underlay)).to.equal(1450);
    expect(innerMtuBytes({ mtuBytes: null }, { ...underlay, local: "fd00::1" })).to.equal(1430);
    expect(innerMtuBytes({ mtuBytes: 9000 }, underlay)).to.equal(8950);
    expect(innerMtuBytes({ mtuBytes: 9000 }, { ...underlay, local: "fd00::1" })).to.equal(8930);
  });

  it("makes the namespace first, and has the VXLAN link learn only where places are not known", () => {
    const known = planOverlay(network, underlay);
    expect(known[0]).to.deep.equal({ op: "ensure-namespace", name: names.namespace });
    expect(opOf(known, "ensure-vxlan")).to.deep.include({
      ...{ namespace: names.namespace, name: names.vxlan, master: names.bridge },
      ...{ vni: 8388700, port: 4789, local: "192.168.9.1", mtuBytes: 1450 },
      flags: { learning: false, suppress: true, flood: true },
    });
    const learning = planOverlay({ ...network, flood: false }, { ...underlay, knowsPlaces: false });
    expect(opOf(learning, "ensure-vxlan").flags).to.deep.equal({ learning: true, suppress: true, flood: false });
    expect(opOf(learning, "ensure-inner-veth").flags).to.include({ learning: true, flood: true });
  });

  it("gives the way out the gateways' addresses, its MAC address, and one for IPv6's neighbor discovery", () => {
    const ops = planOverlay(network, underlay);
    expect(opOf(ops, "ensure-inner-veth")).to.deep.include({
      ...{ name: names.gatewayPort, peer: names.gateway, peerMac: network.mac, mtuBytes: 1450 },
    });
    const addresses = ops.flatMap((op) => (op.op === "ensure-address" ? [`${op.link} ${op.address}`] : []));
    expect(addresses).to.deep.equal(
      ["10.1.0.1/24", "fd00:1::1/64", "fe80::1/64"].map((address) => `${names.gateway} ${address}`),
    );
    const ipv4 = { ...network, subnets: [network.subnets[0]] } as OverlayNetwork;
    expect(planOverlay(ipv4, underlay).filter(({ op }) => op === "ensure-address")).to.have.length(1);
  });

  it("has no way out for an internal network", () => {
    const kinds = new Set(planOverlay(internal, underlay).map(({ op }) => op));
    expect([...kinds]).to.deep.equal(["ensure-namespace", "in-namespace", "ensure-vxlan"]);
  });

  it("has an endpoint's link, then its place, and removes them the other way round", () => {
    const [veth, places] = planInnerVeth(network, endpoint, underlay);
    expect(veth).to.include({ op: "ensure-inner-veth", name: names.port, peer: names.container, peerMac: null });
    expect(places).to.deep.nested.include({
      "ops[0].op": "ensure-places",
      "ops[0].places": [localPlace(endpoint)],
    });
    const [putBack, removal] = planInnerVethRemoval(network, endpoint);
    const peer = { name: names.container, alias: `tsnet:peer:${endpoint.id}` };
    expect(putBack).to.deep.equal({ op: "remove-links", links: [peer] });
    expect(removal).to.deep.include({
      ops: [
        { op: "remove-places", macs: ["02:42:0a:01:00:02"] },
        { op: "remove-links", links: [{ name: names.port, alias: `tsnet:veth:${endpoint.id}` }] },
      ],
    });
    expect(planOverlayRemoval(network)).to.deep.equal([{ op: "remove-namespace", name: names.namespace }]);
  });

  it("knows an endpoint of this host by its port, and one of another by its host", () => {
    expect(localPlace(endpoint)).to.deep.equal({
      ...{ mac: "02:42:0a:01:00:02", ips: ["10.1.0.2", "fd00:1::2"], port: names.port, vtep: null },
    });
    const remote = { mac: "02:42:0a:01:00:03", ips: ["10.1.0.3"], vtep: "192.0.2.7" };
    expect(remotePlace(network, remote)).to.deep.equal({ ...remote, port: names.vxlan });
    expect(setFloodList(network, ["192.0.2.7"])).to.deep.nested.include({ "ops[0].vteps": ["192.0.2.7"] });
  });
});
