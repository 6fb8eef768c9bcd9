import { expect } from "chai";
import { Allocations, forgetMs } from "../../../src/driver/allocations.ts";
import { Locks } from "../../../src/driver/locks.ts";
import { explain, TsnetError } from "../../../src/errors.ts";
import { vniOf } from "../../../src/net/vni.ts";
import type { DockerNetwork } from "../../../src/plan/docker-network.ts";
import type { SwarmRole } from "../../../src/plan/docker-swarm.ts";
import type { Network } from "../../../src/plan/network.ts";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import type { Change, Kind } from "../../../src/store/store.ts";
import { TestLog } from "../../support/driver.ts";
import { networkOf, overlayOf, requestedSubnet } from "../../support/values.ts";

type Options = Readonly<Record<string, string>>;

/** What a swarm has of a network: all its managers' Docker says it. */
interface SwarmNetwork {
  readonly spec: Options;
  readonly pool: string;
  /** The last answer that has reached the swarm. */
  state?: Options;
}

const web = "web0q1c2s8x4w7m9b5n6t1zpa";
const api = "api0q1c2s8x4w7m9b5n6t1zpb";
const third = "thi0q1c2s8x4w7m9b5n6t1zpd";
const ten = vniOf(["10.5.0.0/24"]);

/** The swarm, whichever of its managers leads it. */
class Swarm {
  readonly networks = new Map<string, SwarmNetwork>();

  create(id: string, spec: Options = {}, pool = "10.5.0.0/24"): void {
    this.networks.set(id, { spec, pool });
  }

  listed(): DockerNetwork[] {
    return [...this.networks].map(([id, { state }]) => ({
      ...{ id, name: id.slice(0, 3), driver: state === undefined ? "" : "tsnet-plugin:latest", parent: null },
      ...{ ipamDriver: "default", ipamOptions: {}, subnets: [] },
      ...(state?.["tsnet.vni"] === undefined ? {} : { vni: state["tsnet.vni"] }),
    }));
  }
}

/** One manager: what its plugin keeps outlives its process. */
class Manager {
  readonly store = new MemoryStore();
  readonly log = new TestLog();
  readonly taken = new Set<number>();
  readonly commits: string[] = [];
  networks: Network[] = [];
  shared = new Map<number, readonly string[]>();
  clock = 1_000_000;
  /** What Docker says that it is in the swarm. */
  role: SwarmRole | null = "manager";
  /** Whether Docker can be asked. */
  hasSocket = true;
  /** What Docker has said last, where it is older than the swarm. */
  picture: readonly DockerNetwork[] | undefined;
  refuseCommit: (() => void) | undefined;
  isFree = async (vni: number): Promise<boolean> => !this.taken.has(vni);
  readonly swarm: Swarm;
  allocations: Allocations;

  constructor(swarm: Swarm) {
    this.swarm = swarm;
    this.allocations = this.open();
  }

  open(): Allocations {
    const listed = () => (this.hasSocket ? (this.picture ?? this.swarm.listed()) : null);
    return new Allocations({
      records: {
        list: (kind: Kind) => this.store.list(kind),
        commit: async (changes: readonly Change[]) => {
          this.refuseCommit?.();
          this.commits.push(...changes.map((change) => ("put" in change ? `+${change.id}` : `-${change.id}`)));
          await this.store.commit(changes);
        },
      },
      state: { networks: () => this.networks },
      ...{ locks: new Locks(), log: this.log, networks: listed, refresh: async () => listed() },
      role: async () => this.role,
      ...{ shared: () => this.shared, isFree: (vni: number) => this.isFree(vni), now: () => this.clock },
    });
  }

  async restart(): Promise<void> {
    this.allocations = this.open();
    await this.allocations.restore();
  }

  /** As the swarm's leader asks: with the last answer among the options. */
  ask(id: string): Promise<Options> {
    const network = this.swarm.networks.get(id);
    if (network === undefined) throw new Error(`no network ${id}`);
    const subnets = [requestedSubnet(network.pool, network.pool.replace("0/", "1/"), { addressSpace: "" })];
    return this.allocations.allocate({ id, options: { ...network.spec, ...network.state }, subnets });
  }

  /** As above, and the swarm keeps the answer. */
  async allocate(id: string): Promise<string | undefined> {
    const state = await this.ask(id);
    const network = this.swarm.networks.get(id);
    if (network) network.state = state;
    return state["tsnet.vni"];
  }

  /** Becomes the leader: Docker registers the plugin anew, and asks for all networks. */
  async lead(): Promise<void> {
    this.allocations.newEpoch();
    for (const id of this.swarm.networks.keys()) await this.allocate(id);
  }

  /** `docker network rm`, while this manager leads. */
  async remove(id: string): Promise<void> {
    this.swarm.networks.delete(id);
    await this.allocations.free(id);
  }

  async records(): Promise<Record<string, { vni: number | null; failure: object | null }>> {
    return Object.fromEntries(await this.store.list("allocation")) as never;
  }

  async recordedVnis(): Promise<Record<string, number | null>> {
    return Object.fromEntries(Object.entries(await this.records()).map(([id, { vni }]) => [id, vni]));
  }

  errors(): string[] {
    return this.log.lines.filter((line) => line.startsWith("error"));
  }
}

const failure = (promise: Promise<unknown>): Promise<string> => promise.then(() => "no error", explain);

describe("the networks that the swarm's leader allocates", () => {
  let swarm: Swarm;
  let manager: Manager;
  beforeEach(() => {
    swarm = new Swarm();
    manager = new Manager(swarm);
  });

  it("have the VNI of their subnets, recorded before it is answered, and all options of the user's", async () => {
    swarm.create(web, { "com.docker.network.driver.mtu": "1450" });
    expect(await manager.ask(web)).to.deep.equal({
      ...{ "com.docker.network.driver.mtu": "1450", mode: "overlay", "tsnet.vni": `${ten}` },
    });
    expect(await manager.recordedVnis()).to.deep.equal({ [web]: ten });
  });

  it("are not answered where they cannot be recorded, and are the same once they can", async () => {
    swarm.create(web);
    manager.refuseCommit = () => {
      throw new TsnetError("store", "the disk is full");
    };
    expect(await failure(manager.allocate(web))).to.equal("the disk is full");
    expect(manager.allocations.failed().map(({ error }) => error)).to.deep.equal(["the disk is full"]);
    manager.refuseCommit = undefined;
    expect(await manager.allocate(web)).to.equal(`${ten}`);
    expect(manager.allocations.failed()).to.deep.equal([]);
    expect(manager.log.lines.at(-1)).to.contain("allocated now");
  });

  it("have another one where a link of the manager's, or of another network, has it", async () => {
    manager.taken.add(ten);
    manager.networks = [{ ...overlayOf(), id: api, vni: vniOf(["10.5.0.0/24"], 1) }];
    swarm.create(web);
    expect(await manager.allocate(web)).to.equal(`${vniOf(["10.5.0.0/24"], 2)}`);
  });

  it("have one also while the manager has no address for other hosts, and none is refused for want of a free one", async () => {
    manager.isFree = async () => {
      throw new TsnetError("conflict", "no address of this host reaches others");
    };
    swarm.create(web);
    expect(await manager.allocate(web)).to.equal(`${ten}`);
    manager.isFree = async () => false;
    swarm.create(api, {}, "10.6.0.0/24");
    expect(await failure(manager.allocate(api)))
      .to.contain("no free VNI was found")
      .and.contain("tsnet.vni");
    manager.isFree = async () => {
      throw new TsnetError("kernel", "RTM_NEWLINK: EPERM");
    };
    expect(await failure(manager.allocate(api))).to.equal("RTM_NEWLINK: EPERM");
  });

  it("of other modes have no VNI, and no record", async () => {
    swarm.create(web, { mode: "macvlan", parent: "eth0" });
    expect(await manager.ask(web)).to.deep.equal({ mode: "macvlan", parent: "eth0" });
    expect(await manager.records()).to.deep.equal({});
  });

  it("are bridges if an earlier version has answered them without a mode, or this node has one", async () => {
    swarm.create(web);
    const options = { "com.docker.network.bridge.enable_icc": "true" };
    Object.assign(swarm.networks.get(web) ?? {}, { state: options });
    expect(await manager.ask(web)).to.deep.equal({ ...options, mode: "bridge" });
    manager.hasSocket = false;
    manager.networks = [{ ...networkOf(), id: api }];
    swarm.create(api, {}, "10.6.0.0/24");
    expect(await manager.ask(api)).to.deep.equal({ mode: "bridge" });
    expect(await manager.records()).to.deep.equal({});
    manager.networks = [{ ...overlayOf(), id: api, vni: 5000 }];
    expect(await manager.ask(api)).to.deep.equal({ mode: "overlay", "tsnet.vni": "5000" });
  });

  it("have VNIs that other networks name without having them, of this host alone or of other drivers", async () => {
    const named = { name: "n", parent: null, ipamDriver: "default", ipamOptions: {}, subnets: [], vni: "5000" };
    const config = { ...named, id: "c".repeat(64), driver: "null" };
    manager.picture = [config, { ...named, id: api, driver: "overlay" }, { ...config, driver: "tsnet-plugin" }];
    swarm.create(web, { "tsnet.vni": "5000" });
    expect(await manager.allocate(web)).to.equal("5000");
    manager.picture = [{ ...named, id: api, driver: "tsnet-plugin" }];
    swarm.create(third, { "tsnet.vni": "5000" });
    expect(await failure(manager.allocate(third))).to.contain(`network n (${api}) of this swarm has that VNI`);
  });

  it("are what hosts share by etcd, if the subnets are the same, and keep off the VNIs of others there", async () => {
    manager.shared = new Map([
      [5000, ["10.5.0.0/24"]],
      [vniOf(["10.6.0.0/24"]), ["10.7.0.0/24"]],
    ]);
    swarm.create(web);
    swarm.create(api, {}, "10.6.0.0/24");
    expect(await manager.allocate(web)).to.equal("5000");
    expect(await manager.allocate(api)).to.equal(`${vniOf(["10.6.0.0/24"], 1)}`);
  });

  it("are the same when they are asked for again, after a crash before the answer as well, and are written once", async () => {
    swarm.create(web);
    await manager.ask(web); // the answer is lost: the swarm has none
    manager.taken.add(ten); // a node that is quick
    await manager.restart();
    expect(await manager.allocate(web)).to.equal(`${ten}`);
    expect(await manager.allocate(web)).to.equal(`${ten}`);
    await manager.restart();
    await manager.lead();
    expect(swarm.networks.get(web)?.state).to.deep.equal({ mode: "overlay", "tsnet.vni": `${ten}` });
    expect(manager.commits).to.deep.equal([`+${web}`]);
  });

  it("are the same if they are asked for twice at once, and differ if they are two", async () => {
    // the same subnets, which no swarm gives to two
    swarm.create(web);
    swarm.create(api);
    const answers = await Promise.all([web, web, api, api].map((id) => manager.ask(id)));
    const vnis = answers.map((options) => options["tsnet.vni"]);
    const second = `${vniOf(["10.5.0.0/24"], 1)}`;
    expect(vnis).to.deep.equal([`${ten}`, `${ten}`, second, second]);
  });

  it("are forgotten with their removal, twice as once, and unknown ones are success", async () => {
    swarm.create(web);
    await manager.allocate(web);
    await manager.remove(web);
    await manager.allocations.free(web);
    await manager.allocations.free(api);
    expect(await manager.records()).to.deep.equal({});
    expect(manager.commits).to.deep.equal([`+${web}`, `-${web}`]);
  });

  it("can have the VNI of one that was removed a moment ago, which Docker's list still has", async () => {
    swarm.create(web, { "tsnet.vni": "5000" });
    await manager.allocate(web);
    manager.picture = swarm.listed();
    await manager.remove(web);
    swarm.create(api, { "tsnet.vni": "5000" });
    expect(await manager.allocate(api)).to.equal("5000");
  });

  for (const hasSocket of [true, false]) {
    it(`are refused a VNI that another one has, ${hasSocket ? "with" : "without"} Docker's word for it`, async () => {
      manager.hasSocket = hasSocket;
      swarm.create(web, { "tsnet.vni": "5000" });
      swarm.create(api, { "tsnet.vni": "5000" }, "10.6.0.0/24");
      await manager.allocate(web);
      const name = hasSocket ? `web (${web})` : web;
      const text = `tsnet.vni=5000: network ${name} of this swarm has that VNI; give another one, or leave it out`;
      expect(await failure(manager.allocate(api))).to.equal(text);
      expect(manager.allocations.failed()).to.deep.equal([
        { id: api, mode: "overlay", subnets: ["10.6.0.0/24"], error: text, since: "1970-01-01T00:16:40.000Z" },
      ]);
      // the first goes on with it
      await manager.lead().catch(() => {});
      expect(swarm.networks.get(web)?.state?.["tsnet.vni"]).to.equal("5000");
      await manager.remove(web);
      expect(await manager.allocate(api)).to.equal("5000");
    });
  }
});

describe("the networks of a swarm whose leadership goes back and forth", () => {
  for (const hasSocket of [true, false]) {
    describe(hasSocket ? "with Docker's list of them" : "without Docker's socket", () => {
      let swarm: Swarm;
      let a: Manager;
      let b: Manager;
      beforeEach(() => {
        swarm = new Swarm();
        [a, b] = [new Manager(swarm), new Manager(swarm)];
        a.hasSocket = hasSocket;
        b.hasSocket = hasSocket;
      });

      it("keep their VNIs with a leader that has never seen them, whatever it would have chosen", async () => {
        a.taken.add(ten);
        swarm.create(web);
        const vni = await a.allocate(web);
        b.taken.add(Number(vni)); // a node of it, which has the network already
        await b.lead();
        expect(swarm.networks.get(web)?.state?.["tsnet.vni"]).to.equal(vni);
        expect(await b.recordedVnis()).to.deep.equal({ [web]: Number(vni) });
      });

      it("have what the swarm says, where the answer of an earlier leader was lost", async () => {
        swarm.create(web);
        await a.ask(web); // lost: A is the leader no more
        b.taken.add(ten);
        const vni = await b.allocate(web);
        await a.lead();
        expect(swarm.networks.get(web)?.state?.["tsnet.vni"]).to.equal(vni);
        expect(await a.recordedVnis()).to.deep.equal({ [web]: Number(vni) });
      });

      it("can have the VNI of one that was removed meanwhile, and the old record goes", async () => {
        swarm.create(web);
        await a.allocate(web);
        await b.lead();
        await b.remove(web);
        swarm.create(api); // the same subnets: the same VNI
        expect(await b.allocate(api)).to.equal(`${ten}`);
        await a.lead();
        expect(swarm.networks.get(api)?.state?.["tsnet.vni"]).to.equal(`${ten}`);
        expect(await a.recordedVnis()).to.deep.equal({ [api]: ten });
        expect(a.errors()).to.deep.equal([]);
      });

      it("can be new with a VNI of the user's that one had which was removed meanwhile", async () => {
        swarm.create(web, { "tsnet.vni": "5000" });
        await a.allocate(web);
        await b.lead();
        await b.remove(web);
        a.clock += 3_600_000;
        await a.lead();
        swarm.create(api, { "tsnet.vni": "5000" });
        expect(await a.allocate(api)).to.equal("5000");
        expect(await a.recordedVnis()).to.deep.equal({ [api]: 5000 });
      });
    });
  }

  it("that were chosen, and did not reach the swarm, give way to one that has the VNI since", async () => {
    const swarm = new Swarm();
    const [a, b] = [new Manager(swarm), new Manager(swarm)];
    swarm.create(web);
    await a.ask(web); // lost
    swarm.create(api, { "tsnet.vni": `${ten}` }, "10.6.0.0/24");
    expect(await b.allocate(api)).to.equal(`${ten}`);
    a.allocations.newEpoch();
    expect(await a.allocate(web)).to.equal(`${vniOf(["10.5.0.0/24"], 1)}`);
    expect(await a.allocate(api)).to.equal(`${ten}`);
  });

  it("are what all nodes have been told, whatever stands in the way", async () => {
    const swarm = new Swarm();
    for (const id of [web, api]) {
      swarm.create(id);
      Object.assign(swarm.networks.get(id) ?? {}, { state: { mode: "overlay", "tsnet.vni": "5000" } });
    }
    const manager = new Manager(swarm);
    await manager.lead();
    expect([...swarm.networks.values()].map(({ state }) => state?.["tsnet.vni"])).to.deep.equal(["5000", "5000"]);
  });

  it("are not taken from one that the new leader has not been asked for yet", async () => {
    const swarm = new Swarm();
    const [a, b] = [new Manager(swarm), new Manager(swarm)];
    swarm.create(api, { "tsnet.vni": "5000" }, "10.6.0.0/24");
    swarm.create(web, { "tsnet.vni": "5000" });
    await b.allocate(web);
    // Docker lists the one that waits first
    expect(await failure(a.allocate(api))).to.contain(
      `tsnet.vni=5000: network web (${web}) of this swarm has that VNI`,
    );
    expect(await a.allocate(web)).to.equal("5000");
  });
});

describe("what a manager remembers of networks that the swarm has no more", () => {
  let swarm: Swarm;
  let manager: Manager;
  beforeEach(async () => {
    swarm = new Swarm();
    manager = new Manager(swarm);
    swarm.create(web);
    swarm.create(api, {}, "10.6.0.0/24");
    for (const id of [web, api]) await manager.allocate(id);
    swarm.networks.delete(web); // by another leader
  });
  const sweepAfter = async (ms: number): Promise<string[]> => {
    manager.clock += ms;
    await manager.allocations.sweep();
    return Object.keys(await manager.records());
  };

  it("goes after a while, and what the swarm has stays", async () => {
    expect(await sweepAfter(0)).to.deep.equal([web, api]);
    expect(await sweepAfter(forgetMs - 1)).to.deep.equal([web, api]);
    expect(await sweepAfter(1)).to.deep.equal([api]);
    expect(await sweepAfter(10 * forgetMs)).to.deep.equal([api]);
  });

  it("stays while Docker cannot be asked, and the while begins anew with what it lists again", async () => {
    await sweepAfter(0);
    manager.hasSocket = false;
    expect(await sweepAfter(2 * forgetMs)).to.deep.equal([web, api]);
    manager.hasSocket = true;
    expect(await sweepAfter(0)).to.deep.equal([web, api]);
    manager.picture = [];
    await sweepAfter(forgetMs / 2);
    manager.picture = undefined; // the managers have agreed on a leader again
    expect(await sweepAfter(forgetMs / 2)).to.deep.equal([api]);
    expect(await sweepAfter(forgetMs)).to.deep.equal([api]);
  });

  it("stays while there is no leader, when Docker lists what this host has alone", async () => {
    const ingress = { ...(swarm.listed()[0] as DockerNetwork), id: "ing0q1c2s8x4w7m9b5n6t1zpc", driver: "overlay" };
    manager.isFree = async () => false;
    swarm.create(third, {}, "10.7.0.0/24");
    await failure(manager.allocate(third));
    await sweepAfter(0);
    for (let at = 0; at < 3; at++) {
      [manager.role, manager.picture] = [null, [ingress]];
      expect(await sweepAfter(forgetMs)).to.deep.equal([web, api, third]);
      expect(await sweepAfter(forgetMs)).to.deep.equal([web, api, third]);
      [manager.role, manager.picture] = ["manager", undefined]; // the while begins anew
      expect(await sweepAfter(0)).to.deep.equal([web, api, third]);
    }
    expect(await sweepAfter(forgetMs)).to.deep.equal([api, third]);
    manager.role = "none"; // it has left the swarm
    swarm.networks.clear();
    await sweepAfter(0);
    expect(await sweepAfter(forgetMs)).to.deep.equal([]);
  });

  it("is not a record that cannot be understood: the swarm says it again", async () => {
    await manager.store.commit([{ put: "allocation", id: api, value: { vni: "many" } }]);
    await manager.restart();
    expect(Object.keys(await manager.records())).to.deep.equal([web]);
    expect(manager.log.lines.at(-1)).to.contain("is forgotten").and.contain(api);
    await manager.lead();
    expect(await manager.recordedVnis()).to.include({ [api]: vniOf(["10.6.0.0/24"]) });
  });
});

describe("a network of the swarm that cannot be allocated", () => {
  let swarm: Swarm;
  let manager: Manager;
  const wrong = { "tsnet.vnii": "5" };
  const text = "unknown option tsnet.vnii=5 for mode overlay: did you mean tsnet.vni?";
  const failed = (): string[] => manager.allocations.failed().map(({ error }) => error);
  beforeEach(() => {
    swarm = new Swarm();
    manager = new Manager(swarm);
  });

  it("is answered with its wrong options, which each node refuses, and is in the log and among the failed", async () => {
    swarm.create(web, wrong);
    expect(await manager.ask(web)).to.deep.equal({ ...wrong, mode: "overlay" });
    await manager.allocate(web);
    expect(manager.allocations.failed()).to.deep.equal([
      { id: web, mode: "overlay", subnets: ["10.5.0.0/24"], error: text, since: "1970-01-01T00:16:40.000Z" },
    ]);
    expect(manager.errors()).to.have.length(1); // once, however often it is asked for
    expect(manager.errors()[0]).to.contain(text).and.contain(web).and.contain("docker network rm");
  });

  it("is that also after a restart, until it is removed", async () => {
    swarm.create(web, wrong);
    await manager.allocate(web);
    await manager.restart();
    expect(failed()).to.deep.equal([text]);
    await manager.remove(web);
    expect(failed()).to.deep.equal([]);
    expect(await manager.records()).to.deep.equal({});
  });

  it("is one of a mode that there is not", async () => {
    swarm.create(web, { mode: "vxlan" });
    expect(await manager.ask(web)).to.deep.equal({ mode: "vxlan" });
    expect(manager.allocations.failed()[0]).to.include({ mode: null });
  });

  it("keeps what it was answered before, if a later version refuses it", async () => {
    swarm.create(web);
    await manager.allocate(web);
    swarm.networks.set(web, { spec: wrong, pool: "10.5.0.0/24", state: swarm.networks.get(web)?.state ?? {} });
    expect(await manager.ask(web)).to.deep.equal({ ...wrong, mode: "overlay", "tsnet.vni": `${ten}` });
    expect(await manager.recordedVnis()).to.deep.equal({ [web]: ten });
    expect(failed()).to.deep.equal([text]);
  });

  it("is no failure any more where another manager has allocated it", async () => {
    manager.isFree = async () => false;
    swarm.create(web);
    expect(await failure(manager.allocate(web))).to.contain("no free VNI");
    expect(failed()).to.have.length(1);
    expect(manager.errors()[0]).to.contain("asks again within five minutes");
    await manager.allocations.sweep();
    expect(failed()).to.have.length(1);
    await new Manager(swarm).allocate(web);
    expect(failed()).to.deep.equal([]);
    await manager.allocations.sweep();
    expect(await manager.records()).to.deep.equal({});
  });

  it("is no failure any more soon after Docker knows it no more: nobody says so to the manager", async () => {
    manager.isFree = async () => false;
    swarm.create(web);
    await failure(manager.allocate(web));
    manager.picture = []; // it is older than the network
    expect(failed()).to.have.length(1);
    manager.clock += 60_000;
    expect(failed()).to.deep.equal([]);
    manager.hasSocket = false; // who knows
    expect(failed()).to.have.length(1);
  });
});
