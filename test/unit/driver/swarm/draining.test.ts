import { mock } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect } from "chai";
import { Draining, type DrainingNetwork } from "../../../../src/driver/swarm/draining.ts";
import { TsnetError } from "../../../../src/errors.ts";
import type { GossipNetwork, GossipTask } from "../../../../src/plan/gossip.ts";
import type { NameAnswer, NameQuestions } from "../../../../src/plan/name-questions.ts";
import { TestLog } from "../../../support/driver.ts";

const silent: NameAnswer = { outcome: "silent", addresses: [] };
const answered = (...addresses: readonly string[]): NameAnswer => ({ outcome: "answered", addresses });
const [ip1, ip2, ip3] = ["10.5.0.1", "10.5.0.2", "10.5.0.3"] as const;
const task = (endpoint: string, ip: string): GossipTask => ({ name: `web.${endpoint}`, endpoint, ip });
const gone = (errno: string): TsnetError => new TsnetError("kernel", `no: ${errno}`, { errno });

/** Docker on one host, with a container on one network, as far as it is asked here. */
class FakeDocker {
  readonly networks: DrainingNetwork[] = [{ id: "n1", name: "ov", sandboxes: ["/ns/1"] }];
  readonly services = new Map<string, { vip: string | null; tasks: GossipTask[] }>([
    ["web", { vip: "10.5.0.100", tasks: [task("a", ip1), task("b", ip2)] }],
  ]);
  /** What its name server knows: nothing is answered about the rest. */
  readonly names = new Map<string, NameAnswer>([["tasks.web.ov", answered(ip1, ip2)]]);
  /** By sandbox: why nobody can be asked there. */
  readonly broken = new Map<string, TsnetError>();
  readonly asked: string[] = [];
  nowMs = 100_000;
  /** Held back until this is settled. */
  pause: Promise<void> | undefined;

  readonly kernel = {
    askNames: async ({ sandbox, names, waitMs }: NameQuestions): Promise<NameAnswer[]> => {
      this.asked.push(`${sandbox}: ${names.join(" ")}`);
      expect(waitMs).to.equal(300);
      await this.pause;
      const error = this.broken.get(sandbox);
      if (error !== undefined) throw error;
      return names.map((name) => this.names.get(name) ?? silent);
    },
  };

  gossip(id: string): GossipNetwork | undefined {
    if (id !== "n1") return undefined;
    return { peers: [], services: [...this.services].map(([name, service]) => ({ name, ...service })) };
  }
}

describe("Draining", () => {
  let docker: FakeDocker;
  let draining: Draining;
  let log: TestLog;
  let changed: string[];
  /** In which rounds the view was told to look. */
  let hurried: number[];
  let round: number;

  beforeEach(() => {
    [hurried, round] = [[], 0];
    docker = new FakeDocker();
    log = new TestLog();
    changed = [];
    draining = new Draining({
      ...{ kernel: docker.kernel, log, networks: () => docker.networks, now: () => docker.nowMs },
      gossip: (id) => docker.gossip(id),
      hurry: (id) => {
        expect(id).to.equal("n1");
        hurried.push(round);
      },
    });
    draining.onChange((id) => changed.push(id));
  });

  /** A round each 500 ms. */
  const rounds = async (count = 1): Promise<void> => {
    for (let n = 0; n < count; n++) {
      docker.nowMs += 500;
      round++;
      await draining.look();
    }
  };
  const drained = (service = "web"): string[] => [ip1, ip2, ip3].filter((ip) => draining.isDraining("n1", service, ip));
  const answer = (given: NameAnswer, name = "tasks.web.ov"): unknown => docker.names.set(name, given);

  /** The first task is to stop, and it is known. */
  const drainFirst = async (): Promise<void> => {
    await rounds();
    answer(answered(ip2));
    await rounds();
    expect(drained()).to.deep.equal([ip1]);
  };

  it("says of a task that it is to stop when the name server has it no more, once", async () => {
    await rounds();
    expect(drained()).to.deep.equal([]);
    expect(changed).to.deep.equal([]);
    answer(answered(ip2));
    await rounds(3);
    expect(drained()).to.deep.equal([ip1]);
    expect(changed).to.deep.equal(["n1"]);
    expect(docker.asked).to.deep.equal(Array(4).fill("/ns/1: tasks.web.ov"));
    docker.services.set("web", { vip: "10.5.0.100", tasks: [task("b", ip2), task("c", ip3)] });
    answer(answered(ip2, ip3));
    await rounds();
    expect(drained()).to.deep.equal([]);
    expect(changed).to.deep.equal(["n1", "n1"]);
  });

  it("does not say it of a task that is listed before the name server has it", async () => {
    await rounds();
    docker.services.set("web", { vip: "10.5.0.100", tasks: [task("a", ip1), task("b", ip2), task("c", ip3)] });
    await rounds();
    expect(drained()).to.deep.equal([]);
    answer(answered(ip1, ip2, ip3));
    await rounds();
    expect(changed).to.deep.equal([]);
  });

  for (const outcome of ["silent", "SERVFAIL", "NXDOMAIN", "truncated", "malformed"])
    it(`keeps all tasks of a service whose answer is "${outcome}"`, async () => {
      answer({ outcome, addresses: [] });
      await rounds(20);
      expect(drained()).to.deep.equal([]);
      expect(changed).to.deep.equal([]);
    });

  it("keeps all tasks when somebody else answers for the name, or has no address for it", async () => {
    await rounds();
    for (const other of [answered("192.0.2.1"), answered()]) {
      answer(other);
      await rounds(3);
      expect(drained()).to.deep.equal([]);
    }
  });

  it("stands by what it knows for 5 s without an answer", async () => {
    await drainFirst();
    answer(silent);
    await rounds(10);
    expect(drained()).to.deep.equal([ip1]);
    await rounds();
    expect(drained()).to.deep.equal([]);
    expect(changed).to.deep.equal(["n1", "n1"]);
  });

  it("lets connections go to a task that is to stop, when no other is left, at once", async () => {
    await drainFirst();
    docker.services.set("web", { vip: "10.5.0.100", tasks: [task("a", ip1)] });
    expect(drained()).to.deep.equal([]);
    await rounds();
    expect(drained()).to.deep.equal([]);
  });

  it("never says it of the only task, whoever is answered instead", async () => {
    docker.services.set("web", { vip: "10.5.0.100", tasks: [task("a", ip1)] });
    answer(answered(ip1));
    await rounds(2);
    for (const given of [answered(ip2), answered(), { outcome: "NXDOMAIN", addresses: [] }]) {
      answer(given);
      await rounds(20);
      expect(drained()).to.deep.equal([]);
    }
    expect(changed).to.deep.equal([]);
  });

  it("asks for what has no answer less and less often, since Docker passes it on to other servers", async () => {
    answer(silent);
    await rounds(18);
    // in rounds 1, 2, 4, 8, 12 and 16
    expect(docker.asked).to.have.length(6);
    answer(answered(ip1, ip2));
    await rounds(2);
    answer(silent);
    await rounds();
    expect(docker.asked).to.have.length(8);
    await rounds();
    expect(docker.asked).to.have.length(9);
  });

  it("asks for services with virtual IPs and tasks only, all at once, and by names that can be asked for", async () => {
    docker.services.set("none", { vip: "10.5.0.104", tasks: [] });
    docker.services.set("", { vip: null, tasks: [task("c", ip1), task("d", ip2)] });
    docker.services.set("rr", { vip: null, tasks: [task("e", ip1), task("f", ip2)] });
    docker.services.set("one", { vip: "10.5.0.101", tasks: [task("g", ip1)] });
    docker.services.set("a.b", { vip: "10.5.0.102", tasks: [task("h", ip1), task("i", ip2)] });
    docker.services.set("db", { vip: "10.5.0.103", tasks: [task("j", ip1), task("k", ip2)] });
    await rounds();
    expect(docker.asked).to.deep.equal(["/ns/1: tasks.web.ov tasks.one.ov tasks.db.ov"]);
  });

  it("does not mix up the answers when some services are left out of a round", async () => {
    docker.services.set("db", { vip: "10.5.0.103", tasks: [task("j", ip1), task("k", ip3)] });
    await rounds(2); // db has no answer: it is left out of the next
    await drainFirst();
    expect(drained("db")).to.deep.equal([]);
    expect(docker.asked[2]).to.equal("/ns/1: tasks.web.ov");
  });

  it("asks from within another container when one is gone, and stays with that", async () => {
    docker.networks[0] = { id: "n1", name: null, sandboxes: ["/ns/1", "/ns/2", "/ns/3"] };
    answer(answered(ip1, ip2), "tasks.web");
    docker.broken.set("/ns/1", gone("ENOENT"));
    docker.broken.set("/ns/2", gone("ECONNREFUSED"));
    await rounds(2);
    expect(docker.asked.map((text) => text.slice(0, 5))).to.deep.equal(["/ns/1", "/ns/2", "/ns/3", "/ns/3"]);
    answer(answered(ip1), "tasks.web");
    await rounds();
    expect(drained()).to.deep.equal([ip2]);
  });

  it("asks from within another container after one that says nothing", async () => {
    docker.networks[0] = { id: "n1", name: "ov", sandboxes: ["/ns/1", "/ns/2"] };
    answer(silent);
    await rounds(4);
    expect(docker.asked.map((text) => text.slice(0, 5))).to.deep.equal(["/ns/1", "/ns/2", "/ns/1"]);
  });

  it("says once that nobody can be asked, and that it is over", async () => {
    docker.broken.set("/ns/1", gone("ECONNREFUSED"));
    await rounds(9);
    expect(log.lines).to.deep.equal([]);
    await rounds(20);
    expect(log.lines).to.have.length(1);
    expect(log.lines[0]).to.match(
      /^warn: Docker's name server does not tell .*"network":"n1","error":"no: ECONNREFUSED"/,
    );
    expect(drained()).to.deep.equal([]);
    docker.broken.clear();
    await rounds(2);
    expect(log.lines).to.have.length(2);
    expect(log.lines[1]).to.match(/^info: .* tells again/);
  });

  it("has nobody to ask without containers, and forgets networks that are gone", async () => {
    docker.networks[0] = { id: "n1", name: "ov", sandboxes: [] };
    await rounds(20);
    expect([docker.asked, log.lines]).to.deep.equal([[], []]);
    docker.networks[0] = { id: "n1", name: "ov", sandboxes: ["/ns/1"] };
    await drainFirst();
    docker.networks.pop();
    await rounds();
    expect(drained()).to.deep.equal([]);
    expect(draining.isDraining("n2", "web", ip1)).to.equal(false);
  });

  it("does not ask again while an answer is under way, and waits for it at the end", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    docker.pause = promise;
    const first = draining.look();
    await draining.look();
    expect(docker.asked).to.have.length(1);
    let hasStopped = false;
    const stopped = draining.stop().then(() => {
      hasStopped = true;
    });
    await draining.look();
    expect(hasStopped).to.equal(false);
    resolve();
    await Promise.all([first, stopped]);
  });

  describe("by itself", () => {
    const web = { vip: "10.5.0.100", tasks: [task("a", ip1), task("b", ip2)] };
    let looks: number;
    /** So many intervals pass, of 500 ms each. @returns in how many of them it looked at anything */
    const intervals = async (count: number): Promise<number> => {
      looks = 0;
      for (let n = 0; n < count; n++) {
        mock.timers.tick(500);
        await nextTurn();
      }
      return looks;
    };
    beforeEach(() => {
      mock.timers.enable({ apis: ["setInterval"] });
      const { networks } = docker;
      draining = new Draining({
        ...{ kernel: docker.kernel, log, now: () => docker.nowMs, hurry: () => {}, gossip: (id) => docker.gossip(id) },
        networks: () => {
          looks++;
          return networks;
        },
      });
    });
    afterEach(async () => {
      await draining.stop();
      mock.timers.reset();
    });

    it("asks twice a second while there are services to ask for, and looks at nothing otherwise", async () => {
      docker.services.delete("web");
      draining.start();
      expect(await intervals(100)).to.equal(0);
      docker.services.set("web", web);
      draining.wake();
      await intervals(10);
      expect(docker.asked).to.have.length(10);
      docker.services.delete("web");
      await intervals(1);
      expect(await intervals(100)).to.equal(0);
      expect(docker.asked).to.have.length(10);
      docker.services.set("web", web);
      draining.wake();
      await intervals(1);
      expect(docker.asked).to.have.length(11);
    });

    it("goes on when a service comes in the moment in which it ends for want of any", async () => {
      draining.start();
      await intervals(1);
      docker.services.delete("web");
      mock.timers.tick(500);
      docker.services.set("web", web);
      draining.wake();
      await nextTurn();
      await intervals(1);
      expect(docker.asked).to.have.length(2);
    });

    it("asks neither before it is started, nor after it is stopped", async () => {
      draining.wake();
      expect(await intervals(10)).to.equal(0);
      draining.start();
      await intervals(1);
      await draining.stop();
      draining.wake();
      expect(await intervals(10)).to.equal(0);
    });

    it("goes on after a round that has failed, and says that once, until it has worked", async () => {
      draining.onChange(() => {
        throw new Error("no luck");
      });
      draining.start();
      await intervals(1);
      for (const given of [answered(ip2), answered(ip1, ip2), answered(ip1)]) {
        answer(given);
        await intervals(1);
      }
      expect(docker.asked).to.have.length(4);
      expect(log.lines).to.have.length(1);
      expect(log.lines[0]).to.match(/^error: .*no luck/);
      await intervals(1);
      answer(answered(ip1, ip2));
      await intervals(1);
      expect(log.lines).to.have.length(2);
    });
  });

  describe("has the list asked for anew", () => {
    const list = (...tasks: GossipTask[]): unknown => docker.services.set("web", { vip: "10.5.0.100", tasks });
    beforeEach(async () => {
      await rounds(2);
      expect(hurried).to.deep.equal([]);
    });

    it("when a task is named that is not listed, and not again once it is", async () => {
      answer(answered(ip1, ip2, ip3));
      await rounds();
      list(task("a", ip1), task("b", ip2), task("c", ip3));
      await rounds(10);
      expect(hurried).to.deep.equal([3]);
    });

    it("at once when another comes as soon as the list was worth asking for", async () => {
      answer(answered(ip1, ip2, ip3));
      await rounds();
      list(task("a", ip1), task("b", ip2), task("c", ip3));
      answer(answered(ip1, ip2, ip3, "10.5.0.4"));
      await rounds(10);
      expect(hurried).to.deep.equal([3, 4]);
    });

    it("when one that is listed is not named any more, once, however long it drains", async () => {
      answer(answered(ip2));
      await rounds(1000);
      expect(hurried).to.deep.equal([3]);
      expect(drained()).to.deep.equal([ip1]);
      list(task("b", ip2), task("c", ip3));
      await rounds();
      expect(hurried).to.deep.equal([3, 1003]);
    });

    it("when the only task is another, or is gone", async () => {
      list(task("a", ip1));
      answer(answered(ip1));
      await rounds();
      answer(answered(ip2));
      await rounds();
      list(task("b", ip2));
      await rounds(3);
      expect(hurried).to.deep.equal([4]);
      answer({ outcome: "NXDOMAIN", addresses: [] });
      await rounds(50);
      expect(hurried).to.deep.equal([4, 8]);
    });

    it("not when there is no answer, or not all of it, for a name that never had one", async () => {
      docker.services.set("db", { vip: "10.5.0.103", tasks: [task("j", ip3)] });
      for (const outcome of ["silent", "SERVFAIL", "NXDOMAIN", "truncated", "malformed"]) {
        answer({ outcome, addresses: [] }, "tasks.db.ov");
        await rounds(8);
      }
      expect(hurried).to.deep.equal([]);
      for (const outcome of ["truncated", "malformed"]) {
        answer({ outcome, addresses: [] });
        await rounds(8);
      }
      expect(hurried).to.deep.equal([]);
    });

    it("ever more seldom when it stays as it is, and who answers says something else each time", async () => {
      for (let n = 0; n < 1000; n++) {
        answer(answered(ip1, `192.0.2.${n % 200}`));
        await rounds();
      }
      expect(hurried).to.deep.equal([3, 5, 9, 17, 33, 65, 129, 257, 513, 769]);
      answer(answered(ip1, ip2));
      await rounds();
      answer(answered(ip1));
      await rounds();
      expect(hurried).to.have.length(11);
    });
  });
});
