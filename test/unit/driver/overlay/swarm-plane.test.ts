import { mock } from "node:test";
import { expect } from "chai";
import type { RemoteChange } from "../../../../src/driver/overlay/control-plane.ts";
import { SwarmPlane } from "../../../../src/driver/overlay/swarm-plane.ts";
import { explain } from "../../../../src/errors.ts";
import { vniOf } from "../../../../src/net/vni.ts";
import type { GossipNetwork } from "../../../../src/plan/gossip.ts";
import type { Endpoint, OverlayNetwork } from "../../../../src/plan/network.ts";
import { TestLog } from "../../../support/driver.ts";
import { FakeGossip, FakeNodes, gossipOf, swarmIdOf } from "../../../support/fake-gossip.ts";
import { overlayEndpoint, overlayNetwork } from "../../../support/plane-host.ts";
import { until } from "../../../support/poll.ts";
import { idOf, overlayOf } from "../../../support/values.ts";

const vni = 8_388_700;
const id = swarmIdOf("a1");
const [self, second, third] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
const remote = (ip: string) => ({
  mac: `02:42:${ip
    .split(".")
    .map((byte) => Number(byte).toString(16).padStart(2, "0"))
    .join(":")}`,
  ...{ ips: [ip], vtep: null },
});
const macOf = (ip: string): string => remote(ip).mac;

/** A node of a swarm with one network, and an endpoint of it: e1, 10.5.0.2. */
class Fixture {
  readonly log = new TestLog();
  readonly network: OverlayNetwork;
  readonly own = new Map<string, { network: OverlayNetwork; endpoints: Endpoint[] }>();
  readonly gossip = new FakeGossip();
  readonly nodes = new FakeNodes();
  ownAddresses: () => Promise<string[]> = async () => [];
  free = true;
  nowMs = 1_000;
  readonly changes: RemoteChange[] = [];
  readonly hosts: (number | null)[] = [];
  /** What the kernel takes its time for. */
  applied: Promise<void> = Promise.resolve();
  readonly plane: SwarmPlane;

  constructor(options: { withoutDocker?: true; makesMacs?: boolean; networkId?: string } = {}) {
    const { withoutDocker, makesMacs = true, networkId = id } = options;
    this.network = overlayNetwork(networkId, ["10.5.0.0/24"], vni);
    this.own.set(networkId, { network: this.network, endpoints: [overlayEndpoint("e1", networkId, "10.5.0.2/24")] });
    this.plane = new SwarmPlane({
      ...{ gossip: withoutDocker ? undefined : this.gossip, nodes: this.nodes, makesMacs, log: this.log },
      own: () => this.own.values(),
      isOwn: (endpoint) => [...this.own.values()].some(({ endpoints }) => endpoints.some((one) => one.id === endpoint)),
      ownAddresses: () => this.ownAddresses(),
      now: () => this.nowMs,
      isFree: async () => this.free,
    });
  }

  start(): this {
    this.plane.start({
      onChange: (change) => {
        this.changes.push(change);
        return this.applied;
      },
      onHosts: (changed) => void this.hosts.push(changed),
    });
    return this;
  }

  /** @param tasks endpoints by address */
  async hear(peers: readonly string[], tasks: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.hearAll(gossipOf(peers, tasks));
  }

  async hearAll(gossip: GossipNetwork): Promise<void> {
    if (!this.gossip.followed.includes(id)) this.gossip.follow([id]);
    this.gossip.put(id, gossip);
    await new Promise(setImmediate);
  }

  /** Time goes by, and something makes it look. */
  async later(ms: number): Promise<void> {
    this.nowMs += ms;
    this.nodes.tell();
    await new Promise(setImmediate);
  }

  remotes = (): string[] => [...this.plane.remotes(vni)].map(({ ips }) => ips.join()).toSorted();

  /** What was told since it was asked for last: "+10.5.0.9", "-10.5.0.9". */
  get told(): string[] {
    return this.changes
      .splice(0)
      .flatMap(({ put, removed }) => [
        ...put.map(({ ips }) => `+${ips}`).toSorted(),
        ...removed.map((mac) => `-${mac}`),
      ]);
  }
}

describe("a control plane by what a swarm's nodes tell each other", () => {
  const open = (options?: ConstructorParameters<typeof Fixture>[0]): Fixture => new Fixture(options).start();

  it("floods to the nodes that have the network, without this one, under whatever name", async () => {
    const one = open();
    one.ownAddresses = async () => ["172.16.0.1"];
    await one.hear([self, second, third, "172.16.0.1"]);
    expect(one.plane.hostsOf(vni)).to.deep.equal([second, third]);
    expect(one.plane.hostsOf(vni + 1)).to.deep.equal([]);
    expect(one.hosts).to.deep.equal([vni, null]);
    await one.hear([self, third]);
    await one.later(3_000);
    expect(one.plane.hostsOf(vni)).to.deep.equal([third]);
    one.hosts.length = 0;
    await one.hear([self, third], { "10.5.0.9": "x" });
    expect(one.hosts).to.deep.equal([]);
    // Docker says which node this is only now
    one.gossip.address = third;
    one.gossip.tellOfNode();
    await new Promise(setImmediate);
    expect(one.hosts.at(-1)).to.equal(vni);
    expect(one.plane.hostsOf(vni)).to.deep.equal([self]);
  });

  it("goes on for a minute to nodes that Docker has lost sight of, and for 3 s until it has said so", async () => {
    const one = open();
    await one.hear([self, second, third]);
    one.nodes.gone.add(second);
    await one.hear([self]);
    expect(one.plane.hostsOf(vni)).to.deep.equal([second, third]);
    await one.later(2_999);
    expect(one.plane.hostsOf(vni)).to.deep.equal([second, third]);
    await one.later(1);
    expect(one.plane.hostsOf(vni)).to.deep.equal([second]);
    await one.hear([self, third]);
    expect(one.plane.hostsOf(vni)).to.deep.equal([third, second]);
    await one.later(56_999);
    expect(one.plane.hostsOf(vni)).to.deep.equal([third, second]);
    await one.later(1);
    expect(one.plane.hostsOf(vni)).to.deep.equal([third]);
    await one.hear([self, second, third]);
    expect(one.plane.hostsOf(vni)).to.deep.equal([second, third]);
    await one.hear([self]);
    one.gossip.follow([]);
    one.nodes.others = [third];
    expect(one.plane.hostsOf(vni)).to.deep.equal([third]);
    await one.hear([self]);
    expect(one.plane.hostsOf(vni), "the network was forgotten").to.deep.equal([]);
  });

  it("goes on for another minute to a node that is heard of again, until it has the network again", async () => {
    const one = open();
    await one.hear([self, second]);
    one.nodes.gone.add(second);
    await one.hear([self]);
    await one.later(59_000);
    one.nodes.gone.delete(second);
    await one.later(0);
    await one.later(59_999);
    expect(one.plane.hostsOf(vni)).to.deep.equal([second]);
    await one.later(1);
    expect(one.plane.hostsOf(vni)).to.deep.equal([]);
    one.hosts.length = 0;
    await one.hear([self, second]);
    expect(one.hosts).to.deep.equal([vni]);
    expect(one.plane.hostsOf(vni)).to.deep.equal([second]);
  });

  it("keeps the tasks that went with a node that Docker has lost sight of, as long as it sends to the node", async () => {
    const one = open();
    await one.hear([self, second], { "10.5.0.9": "r1", "10.5.0.10": "r2", "10.5.0.11": "r3", "10.5.0.2": "e1" });
    await one.hear([self, second], { "10.5.0.9": "r1", "10.5.0.10": "r2", "10.5.0.2": "e1" });
    expect(one.remotes(), "one that ends while all nodes are there").to.deep.equal(["10.5.0.10", "10.5.0.9"]);
    await one.later(3_000);
    await one.hear([self], { "10.5.0.10": "r2", "10.5.0.2": "e1" });
    one.nodes.gone.add(second);
    expect(one.told.at(-1)).to.equal(`-${macOf("10.5.0.11")}`);
    await one.later(1_000);
    await one.hear([self], { "10.5.0.2": "e1" });
    await one.later(58_999);
    expect([one.remotes(), one.told]).to.deep.equal([["10.5.0.10", "10.5.0.9"], []]);
    await one.later(1);
    expect([one.remotes(), one.told.toSorted()]).to.deep.equal([
      [],
      [`-${macOf("10.5.0.10")}`, `-${macOf("10.5.0.9")}`].toSorted(),
    ]);
  });

  it("keeps them also if they were gone a moment before their node, and no others", async () => {
    const one = open();
    await one.hear([self, second], { "10.5.0.9": "r1", "10.5.0.10": "r2", "10.5.0.11": "r3" });
    await one.hear([self, second], { "10.5.0.10": "r2", "10.5.0.11": "r3" });
    await one.later(3_000);
    await one.hear([self, second], { "10.5.0.11": "r3" });
    expect(one.remotes()).to.deep.equal(["10.5.0.11"]);
    await one.later(2_999);
    one.nodes.gone.add(second);
    await one.hear([self], { "10.5.0.11": "r3" });
    expect(one.remotes()).to.deep.equal(["10.5.0.10", "10.5.0.11"]);
    await one.later(3_000);
    await one.hear([self], {});
    expect(one.remotes(), "one that ends later, elsewhere").to.deep.equal(["10.5.0.10"]);
  });

  it("keeps them until they are listed again, which is later than their node is, and through another loss", async () => {
    const one = open();
    const tasks = { "10.5.0.9": "r1", "10.5.0.10": "r2" };
    await one.hear([self, second], tasks);
    one.nodes.gone.add(second);
    await one.hear([self], {});
    await one.later(10_000);
    one.nodes.gone.delete(second);
    await one.hear([self, second], {});
    expect(one.remotes()).to.deep.equal(["10.5.0.10", "10.5.0.9"]);
    await one.later(5_000);
    await one.hear([self, second], { "10.5.0.9": "r1" });
    one.nodes.gone.add(second);
    await one.hear([self], {});
    expect(one.remotes()).to.deep.equal(["10.5.0.10", "10.5.0.9"]);
    one.nodes.gone.delete(second);
    await one.hear([self, second], tasks);
    await one.later(4_000);
    await one.hear([self, second], { "10.5.0.9": "r1" });
    expect(one.remotes(), "it has ended").to.deep.equal(["10.5.0.9"]);
  });

  it("forgets such a task when its node is there after all, and when somebody else has its address", async () => {
    const one = open();
    const all = { "10.5.0.9": "r1", "10.5.0.10": "r2", "10.5.0.11": "r3", "10.5.0.12": "r4" };
    await one.hear([self, second], all);
    const plain = { name: "", vip: null, tasks: [{ name: "c", endpoint: "r9", ip: "10.5.0.9" }] };
    const service = { name: "db", vip: "10.5.0.10", tasks: [{ name: "db.1", endpoint: "r8", ip: "10.5.0.11" }] };
    await one.hearAll({ peers: [self], services: [plain, service] });
    expect(one.remotes()).to.deep.equal(["10.5.0.11", "10.5.0.12"]);
    expect(one.plane.remote(vni, macOf("10.5.0.12"))).to.deep.equal(remote("10.5.0.12"));
    await one.hearAll({ peers: [self, second], services: [plain, service] });
    expect(one.remotes()).to.deep.equal(["10.5.0.11"]);
  });

  it("takes none of this host's tasks that have ended meanwhile for one of a lost node's", async () => {
    const one = open();
    await one.hear([self, second], { "10.5.0.9": "r1", "10.5.0.2": "e1" });
    const [endpoint] = one.own.get(id)?.endpoints.splice(0) ?? [];
    await one.plane.release(one.network, endpoint ?? expect.fail());
    await one.hear([self, second], { "10.5.0.9": "r1" });
    await one.later(1_000);
    await one.hear([self], {});
    expect(one.remotes()).to.deep.equal(["10.5.0.9"]);
  });

  it("says when its time is over", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      const one = open();
      const tick = async (ms: number): Promise<void> => {
        one.nowMs += ms;
        mock.timers.tick(ms);
        await new Promise(setImmediate);
      };
      await one.hear([self, second, third]);
      one.nodes.gone.add(second);
      await one.hear([self]);
      one.hosts.length = 0;
      await tick(2_999);
      expect(one.hosts).to.deep.equal([]);
      await tick(1);
      expect([one.hosts.splice(0), one.plane.hostsOf(vni)]).to.deep.equal([[vni], [second]]);
      await tick(56_999);
      expect(one.hosts).to.deep.equal([]);
      await tick(1);
      expect([one.hosts.splice(0), one.plane.hostsOf(vni)]).to.deep.equal([[vni], []]);
      await one.hear([self, second]);
      await one.hear([self]);
      one.hosts.length = 0;
      await one.plane.close();
      await tick(60_000);
      expect(one.hosts).to.deep.equal([]);
    } finally {
      mock.timers.reset();
    }
  });

  it("goes on by the addresses that this host had, where they cannot be asked for", async () => {
    const one = open();
    one.ownAddresses = async () => ["172.16.0.1"];
    await one.hear([self, second, "172.16.0.1"]);
    one.ownAddresses = () => Promise.reject(new Error("no"));
    await one.hear([second, third, "172.16.0.1"]);
    expect(one.plane.hostsOf(vni)).to.deep.equal([second, third]);
  });

  it("tells of the tasks on other nodes, with their MAC addresses and without a place, and not of this host's", async () => {
    const one = open();
    await one.hear([self, second], { "10.5.0.9": "r1", "10.5.0.10": "r2", "10.5.0.2": "e1" });
    expect(one.changes).to.have.length(1);
    expect(one.changes[0]?.put).to.have.deep.members([remote("10.5.0.9"), remote("10.5.0.10")]);
    expect(one.told).to.have.length(2);
    expect(one.remotes()).to.deep.equal(["10.5.0.10", "10.5.0.9"]);
    expect(one.plane.remote(vni, macOf("10.5.0.9"))).to.deep.equal(remote("10.5.0.9"));
    expect(one.plane.remote(vni, macOf("10.5.0.2"))).to.equal(undefined);
    expect(one.plane.remote(vni + 1, macOf("10.5.0.9"))).to.equal(undefined);
    await one.hear([self, second], { "10.5.0.10": "r2", "10.5.0.11": "r3", "10.5.0.2": "e1" });
    expect(one.told).to.deep.equal(["+10.5.0.11", `-${macOf("10.5.0.9")}`]);
    await one.hear([self, second, third], { "10.5.0.11": "r3", "10.5.0.10": "r2", "10.5.0.2": "e1" });
    expect(one.told).to.deep.equal([]);
  });

  it("tells nothing of plain containers, whose MAC addresses are their users' to choose, nor of any if Docker makes them", async () => {
    const plain = { name: "", vip: null, tasks: [{ name: "c", endpoint: "r1", ip: "10.5.0.9" }] };
    const one = open();
    await one.hearAll({ peers: [self, second], services: [plain] });
    expect([one.told, one.remotes()]).to.deep.equal([[], []]);
    const other = open({ makesMacs: false });
    await other.hear([self, second], { "10.5.0.9": "r1" });
    expect([other.told, other.remotes()]).to.deep.equal([[], []]);
    expect(other.plane.hostsOf(vni)).to.deep.equal([second]);
  });

  it("says once that virtual IPs lead to tasks here alone, where Docker makes MAC addresses", async () => {
    const said = (one: Fixture): string[] => one.log.lines.filter((line) => line.includes("on this host alone"));
    const other = open({ makesMacs: false });
    const plain = { name: "", vip: null, tasks: [{ name: "c", endpoint: "r9", ip: "10.5.0.99" }] };
    const withoutVip = { name: "db", vip: null, tasks: [{ name: "db.1", endpoint: "r8", ip: "10.5.0.98" }] };
    await other.hearAll({ peers: [self, second], services: [plain, withoutVip] });
    await other.hear([self, second], { "10.5.0.2": "e1" });
    expect(said(other)).to.deep.equal([]);
    await other.hear([self, second], { "10.5.0.2": "e1", "10.5.0.9": "r1" });
    await other.hear([self, second], { "10.5.0.10": "r2" });
    expect(said(other)).to.have.length(1);
    expect(said(other)[0]).to.contain("warn").and.contain("TSNET_REQUIRES_MAC_ADDRESS").and.contain("10.5.0.200");
    const made = open();
    await made.hear([self, second], { "10.5.0.9": "r1" });
    expect(said(made)).to.deep.equal([]);
  });

  it("tells of an endpoint that moves, whichever node is quicker", async () => {
    const one = open();
    const own = one.own.get(id)?.endpoints ?? [];
    await one.hear([self, second], { "10.5.0.9": "r1" });
    expect(one.told).to.deep.equal(["+10.5.0.9"]);
    // from one node to another: the place is learned, but the bridge's entry may have been another's meanwhile
    await one.hear([self, second], { "10.5.0.9": "r2" });
    expect(one.told).to.deep.equal(["+10.5.0.9"]);
    // to this one
    const here = overlayEndpoint("e2", id, "10.5.0.9/24");
    own.push(here);
    expect(one.plane.remote(vni, macOf("10.5.0.9"))).to.deep.equal(remote("10.5.0.9"));
    await one.hear([self, second], { "10.5.0.9": "e2" });
    expect(one.told).to.deep.equal([]);
    expect(one.plane.remote(vni, macOf("10.5.0.9"))).to.equal(undefined);
    // and away, before the gossip has heard of it: it is nowhere, and not on another node
    await one.plane.release(one.network, here);
    own.pop();
    expect(one.plane.remote(vni, macOf("10.5.0.9"))).to.equal(undefined);
    expect(one.remotes()).to.deep.equal([]);
    await one.hear([self, second], { "10.5.0.9": "r3" });
    expect(one.told).to.deep.equal(["+10.5.0.9"]);
    expect(one.plane.remote(vni, macOf("10.5.0.9"))).to.deep.equal(remote("10.5.0.9"));
    // what was forgotten with the gossip is not kept in mind for ever
    await one.hear([self, second], { "10.5.0.9": "e2" });
    expect(one.told).to.deep.equal(["+10.5.0.9"]);
  });

  it("takes it for the other node's while both have it, and nobody's when it is gone from both", async () => {
    const one = open();
    const own = one.own.get(id)?.endpoints ?? [];
    const here = overlayEndpoint("e2", id, "10.5.0.9/24");
    own.push(here);
    const both = { name: "web", vip: null, tasks: ["e2", "r1"].map((x) => ({ name: x, endpoint: x, ip: "10.5.0.9" })) };
    await one.hearAll({ peers: [self, second], services: [both] });
    expect(one.plane.remote(vni, macOf("10.5.0.9"))).to.deep.equal(remote("10.5.0.9"));
    await one.hear([self, second]);
    expect(one.plane.remote(vni, macOf("10.5.0.9"))).to.equal(undefined);
  });

  it("is complete for a network when the kernel was told what was heard of it, and says so once all are", async () => {
    const one = new Fixture();
    const other = swarmIdOf("a2");
    one.own.set(other, { network: overlayNetwork(other, ["10.6.0.0/24"], 77), endpoints: [] });
    one.start();
    const { promise, resolve } = Promise.withResolvers<void>();
    one.applied = promise;
    expect([one.plane.isComplete(), one.plane.isTold(), one.plane.isComplete(77)]).to.deep.equal([false, false, true]);
    await one.hear([self, second], { "10.5.0.9": "r1" });
    expect(one.plane.isComplete()).to.equal(false);
    expect(one.hosts).to.deep.equal([vni]);
    resolve();
    await until("it is complete", 1000, () => one.plane.isComplete());
    expect(one.plane.isTold()).to.equal(true);
    expect(one.hosts).to.deep.equal([vni, null]);
    // another network gets its first endpoint: that makes no other network wait, nor is it compared anew
    one.own.get(other)?.endpoints.push(overlayEndpoint("e9", other, "10.6.0.2/24"));
    expect([one.plane.isComplete(), one.plane.isComplete(vni)]).to.deep.equal([false, true]);
    one.gossip.follow([id, other]);
    one.gossip.put(other, gossipOf([self]));
    await until("it is complete", 1000, () => one.plane.isComplete());
    expect(one.hosts).to.deep.equal([vni, null, 77]);
  });

  it("begins anew with a network that is followed no more, and then again", async () => {
    const one = open();
    await one.hear([self, second], { "10.5.0.9": "r1" });
    expect(one.told).to.deep.equal(["+10.5.0.9"]);
    one.gossip.follow([]);
    expect([one.remotes(), one.plane.hostsOf(vni), one.plane.isComplete()]).to.deep.equal([[], [], false]);
    await one.hear([self, second], { "10.5.0.9": "r1" });
    expect(one.told).to.deep.equal(["+10.5.0.9"]);
    expect(one.plane.isComplete()).to.equal(true);
  });

  it("is not complete for a network that was forgotten while the kernel was told of it", async () => {
    const one = open();
    const { promise, resolve } = Promise.withResolvers<void>();
    one.applied = promise;
    await one.hear([self, second], { "10.5.0.9": "r1" });
    one.gossip.follow([]);
    resolve();
    await new Promise(setImmediate);
    one.gossip.docker.clear();
    expect([one.plane.isComplete(vni), one.plane.isComplete()]).to.deep.equal([false, false]);
    expect(one.hosts).to.deep.equal([vni]);
    await one.hear([self, second], { "10.5.0.9": "r1" });
    expect([one.plane.isComplete(vni), one.hosts]).to.deep.equal([true, [vni, vni, null]]);
  });

  it("tells what was heard before it began, and nothing when it has ended", async () => {
    const one = new Fixture();
    await one.hear([self, second], { "10.5.0.9": "r1" });
    one.start();
    await new Promise(setImmediate);
    expect(one.told).to.deep.equal(["+10.5.0.9"]);
    await one.plane.close();
    await one.hear([self, third], { "10.5.0.10": "r2" });
    expect([one.told, one.hosts]).to.deep.equal([[], [vni, null]]);
  });

  it("has all nodes that Docker has told of before it has answered, and where it is not to be asked", async () => {
    const one = open();
    one.nodes.others = [second, third];
    expect(one.plane.hostsOf(vni)).to.deep.equal([second, third]);
    await one.hear([self, third]);
    expect(one.plane.hostsOf(vni)).to.deep.equal([third]);

    const without = open({ withoutDocker: true });
    without.nodes.others = [self, second];
    without.nodes.own = self;
    expect(without.plane.hostsOf(vni)).to.deep.equal([second]);
    expect([without.plane.isComplete(), without.plane.isTold()]).to.deep.equal([true, true]);
    without.nodes.tell();
    expect(without.hosts).to.deep.equal([null]);
  });

  it("has the routing say which address of this host leads to others, or else this node's own", async () => {
    const one = open();
    one.gossip.address = null;
    expect(one.plane.somewhere()).to.equal(null);
    one.nodes.own = "192.0.2.77";
    expect(one.plane.somewhere()).to.equal("192.0.2.77");
    one.gossip.address = self;
    expect(one.plane.somewhere()).to.equal(self);
    one.nodes.others = [third];
    expect(one.plane.somewhere()).to.equal(third);
    await one.hear([self, second]);
    expect(one.plane.somewhere()).to.equal(second);
  });

  describe("where a network is made", () => {
    const refused = async (one: Fixture, network: OverlayNetwork): Promise<string> =>
      one.plane.joinNetwork(network).then(
        () => "",
        (error: unknown) => explain(error),
      );

    it("takes the VNI that the swarm has given it, or one of its subnets", async () => {
      const one = open();
      expect(await one.plane.joinNetwork(one.network)).to.equal(vni);
      const chosen = await one.plane.joinNetwork({ ...one.network, vni: 0 });
      expect(chosen).to.equal(vniOf(["10.5.0.0/24"]));
    });

    it("refuses a VNI that is taken on this host, and what needs to know where endpoints are", async () => {
      const one = open();
      expect(await refused(one, { ...one.network, flood: false })).to.match(
        /^tsnet.flood=false: .*TSNET_ETCD_ENDPOINTS$/,
      );
      expect(await refused(one, { ...one.network, datapath: "direct" })).to.match(
        /^tsnet.datapath=direct: .*TSNET_ETCD_ENDPOINTS$/,
      );
      one.free = false;
      expect(await refused(one, one.network)).to.contain(`VNI ${vni} is in use on this host`);
    });

    it("refuses one of this host alone, and says what to set", async () => {
      const text = await refused(open(), overlayOf({}, { id: idOf("b1") }));
      expect(text).to.contain("network b10000000000").and.contain("TSNET_PEERS").and.contain("TSNET_SCOPE=global");
    });
  });

  describe("with a network of no swarm, which etcd or peers have left", () => {
    const left = { id: idOf("b1") };
    const endpoints = [overlayEndpoint("e9", left.id, "10.6.0.2/24")];

    it("says what is missing, whatever Docker says, and has nobody to send to", async () => {
      const one = open();
      one.own.set(left.id, { network: overlayNetwork(left.id, ["10.6.0.0/24"], 77), endpoints });
      one.nodes.others = [second];
      one.nodes.own = self;
      for (const [isIn, isAsked] of [
        [false, false],
        [false, true],
        [true, true],
      ] as const) {
        Object.assign(one.gossip, { isIn, isAsked });
        expect(one.plane.missingFor(left)).to.contain("set TSNET_ETCD_ENDPOINTS, or TSNET_PEERS to their addresses");
        expect(one.plane.missingFor(one.network)).to.equal(undefined);
      }
      expect([one.plane.hostsOf(77), one.plane.hostsOf(vni)]).to.deep.equal([[], [second]]);
      const taken = one.plane.claim(overlayNetwork(left.id, ["10.6.0.0/24"], 77));
      expect(await taken.catch(explain)).to.contain("TSNET_PEERS");
      await one.plane.claim(one.network);
    });

    it("is never complete for it, with or without Docker, but for those of the swarm", async () => {
      for (const options of [{}, { withoutDocker: true }] as const) {
        const one = open(options);
        one.own.set(left.id, { network: overlayNetwork(left.id, ["10.6.0.0/24"], 77), endpoints });
        await one.hear([self, second]);
        expect([one.plane.isComplete(77), one.plane.isComplete(), one.plane.isTold()]).to.deep.equal(
          Array(3).fill(false),
        );
        expect(one.plane.isComplete(vni)).to.equal(true);
        one.own.set(left.id, { network: overlayNetwork(left.id, ["10.6.0.0/24"], 77), endpoints: [] });
        expect([one.plane.isComplete(77), one.plane.isComplete()]).to.deep.equal([true, true]);
      }
    });
  });
});
