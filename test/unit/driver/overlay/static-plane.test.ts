import { expect } from "chai";
import type { RemoteChange } from "../../../../src/driver/overlay/control-plane.ts";
import { StaticPlane } from "../../../../src/driver/overlay/static-plane.ts";
import { TestLog } from "../../../support/driver.ts";
import { FakeGossip, FakeNodes, gossipOf, swarmIdOf } from "../../../support/fake-gossip.ts";
import { overlayEndpoint, overlayNetwork } from "../../../support/plane-host.ts";
import { idOf } from "../../../support/values.ts";

const [vni, other] = [8_388_700, 77];
const [id, otherId] = [swarmIdOf("a1"), idOf("b1")];
const peers = ["192.0.2.2"];
const remote = { mac: "02:42:0a:05:00:09", ips: ["10.5.0.9"], vtep: null };

/** A host with TSNET_PEERS that has a network of its swarm, and one of no swarm. */
function open({ makesMacs = true, withoutDocker = false } = {}) {
  const gossip = new FakeGossip();
  const own = [
    {
      network: overlayNetwork(id, ["10.5.0.0/24"], vni),
      endpoints: [overlayEndpoint("e1", id, "10.5.0.2/24")],
    },
    {
      network: overlayNetwork(otherId, ["10.6.0.0/24"], other),
      endpoints: [overlayEndpoint("e2", otherId, "10.6.0.2/24")],
    },
  ];
  const plane = new StaticPlane({
    ...{ peers, gossip: withoutDocker ? undefined : gossip, makesMacs, log: new TestLog(), own: () => own },
    nodes: new FakeNodes(),
    isOwn: (endpoint) => own.some(({ endpoints }) => endpoints.some((one) => one.id === endpoint)),
    isFree: async () => true,
  });
  const changes: RemoteChange[] = [];
  const hosts: (number | null)[] = [];
  plane.start({ onChange: (change) => void changes.push(change), onHosts: (one) => void hosts.push(one) });
  const hear = async (tasks: Readonly<Record<string, string>>): Promise<void> => {
    gossip.follow([id]);
    gossip.put(id, gossipOf(["192.0.2.1", "192.0.2.3"], tasks));
    await new Promise(setImmediate);
  };
  return { plane, own, gossip, changes, hosts, hear };
}

describe("a control plane by TSNET_PEERS", () => {
  it("tells of the tasks on other nodes of a swarm, without a place, and goes on sending to all peers", async () => {
    const { plane, own, changes, hear } = open();
    await hear({ "10.5.0.9": "r1", "10.5.0.2": "e1" });
    expect(changes).to.deep.equal([{ vni, put: [remote], removed: [] }]);
    expect([...plane.remotes(vni)]).to.deep.equal([remote]);
    expect(plane.remote(vni, remote.mac)).to.deep.equal(remote);
    expect([[...plane.remotes(other)], plane.remote(other, remote.mac)]).to.deep.equal([[], undefined]);
    expect(plane.hostsOf()).to.deep.equal(peers);
    await hear({ "10.5.0.2": "e1" });
    expect(changes.at(-1)).to.deep.equal({ vni, put: [], removed: [remote.mac] });

    // one of this host's that has gone is nobody's before Docker has heard of it
    const here = overlayEndpoint("e3", id, "10.5.0.9/24");
    own[0]?.endpoints.push(here);
    await hear({ "10.5.0.9": "e3" });
    await plane.release(own[0]?.network ?? expect.fail(), here);
    own[0]?.endpoints.pop();
    expect(plane.remote(vni, remote.mac)).to.equal(undefined);
  });

  it("is complete for networks of a swarm when their tasks were told, and for others at once", async () => {
    const { plane, hosts, hear } = open();
    const now = () => [plane.isComplete(other), plane.isComplete(vni), plane.isComplete(), plane.isTold()];
    expect(now()).to.deep.equal([true, false, false, false]);
    await hear({ "10.5.0.9": "r1" });
    expect(now()).to.deep.equal([true, true, true, true]);
    expect(hosts).to.deep.equal([null]);
    const without = open({ withoutDocker: true }).plane;
    expect([without.isComplete(), without.isTold(), [...without.remotes(vni)]]).to.deep.equal([true, true, []]);
  });

  it("tells of nothing where Docker makes MAC addresses, nor when it has ended", async () => {
    const { plane, hear } = open({ makesMacs: false });
    await hear({ "10.5.0.9": "r1" });
    expect([[...plane.remotes(vni)], plane.isComplete()]).to.deep.equal([[], true]);
    const ended = open();
    await ended.plane.close();
    await ended.hear({ "10.5.0.9": "r1" });
    expect([ended.changes, ended.hosts]).to.deep.equal([[], []]);
  });
});
