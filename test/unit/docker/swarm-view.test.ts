import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { SwarmView, type SwarmViewOptions } from "../../../src/docker/swarm-view.ts";
import { TestLog } from "../../support/driver.ts";
import { FakeSwarmDocker, networkAnswer } from "../../support/fake-swarm-docker.ts";
import { until } from "../../support/poll.ts";
import { makeDirectory, newName, removeDirectory } from "../../support/scratch.ts";

describe("SwarmView", () => {
  const deadlineMs = 2000;
  const everyMs = 20;
  const id = "a".repeat(25);
  const path = `/networks/${id}`;
  const ingress = "i".repeat(25);
  const gateway = "d".repeat(64);
  let directory: string;
  let docker: FakeSwarmDocker;
  let view: SwarmView;
  let log: TestLog;
  let told: string[];

  const open = (options: Partial<SwarmViewOptions> = {}): void => {
    const often = { everyMs, calmMs: everyMs };
    view = new SwarmView({ socketPath: docker.socketPath, log, pauseMs: 1, ...often, ...options });
    view.onChange((changed) => told.push(changed));
  };
  const peers = () => view.network(id)?.peers;
  const shows = (...expected: string[]) =>
    until(`it has ${expected}`, deadlineMs, () => JSON.stringify(peers()) === JSON.stringify(expected));
  const asksAgain = async (times = 3): Promise<void> => {
    const before = docker.countOf(path);
    await until("it has asked again", deadlineMs, () => docker.countOf(path) >= before + times);
  };
  const warnings = () => log.lines.filter((line) => line.startsWith("warn"));

  beforeEach(() => {
    directory = makeDirectory(newName());
    docker = new FakeSwarmDocker(join(directory, "docker.sock"));
    docker.networks.set(id, networkAnswer(["10.0.0.1", "10.0.0.2"], { e1: "10.5.0.3" }));
    log = new TestLog();
    told = [];
    open();
  });
  afterEach(async () => {
    await view.stop();
    await docker.close();
    removeDirectory(directory);
  });

  it("shows the networks that are followed, and this node, and tells when one of them changes", async () => {
    await docker.listen();
    expect([view.hasAnswered(), view.isSwarm(), view.nodeAddress()]).to.deep.equal([false, false, null]);
    view.start();
    view.follow([id]);
    expect(view.network(id)).to.equal(undefined);
    await shows("10.0.0.1", "10.0.0.2");
    expect([view.hasAnswered(), view.isSwarm(), view.nodeAddress()]).to.deep.equal([true, true, "10.0.0.1"]);
    expect(view.network(id)?.services[0]?.tasks).to.deep.equal([{ name: "web.1.x", endpoint: "e1", ip: "10.5.0.3" }]);
    expect(told).to.deep.equal(["", id]);
    docker.networks.set(id, networkAnswer(["10.0.0.1"], { e1: "10.5.0.3" }));
    await shows("10.0.0.1");
    expect(told).to.deep.equal(["", id, id]);
    expect(docker.mostAtOnce).to.equal(1);
  });

  it("is the same object, and tells nothing, where Docker writes the same in another order", async () => {
    docker.networks.set(id, networkAnswer(["10.0.0.1", "10.0.0.2"], { e1: "10.5.0.3", e2: "10.5.0.4" }));
    await docker.listen();
    view.start();
    view.follow([id]);
    await shows("10.0.0.1", "10.0.0.2");
    const before = view.network(id);
    docker.networks.set(id, networkAnswer(["10.0.0.2", "10.0.0.1"], { e2: "10.5.0.4", e1: "10.5.0.3" }));
    await asksAgain();
    expect(view.network(id)).to.equal(before);
    expect(told).to.deep.equal(["", id]);
  });

  it("asks for nothing but this node where the host is in no swarm, and for the networks once it is", async () => {
    docker.node = { NodeAddr: "", LocalNodeState: "inactive" };
    await docker.listen();
    view.start();
    view.follow([id]);
    await until("Docker has answered", deadlineMs, () => view.hasAnswered() && docker.isFollowed);
    await sleep(5 * everyMs);
    expect(docker.countOf(path)).to.equal(0);
    docker.node = { NodeAddr: "10.0.0.1", LocalNodeState: "active" };
    docker.tell({ Type: "network", Action: "create", Actor: { ID: ingress } });
    await shows("10.0.0.1", "10.0.0.2");
    docker.node = { NodeAddr: "", LocalNodeState: "inactive" };
    docker.tell({ Type: "network", Action: "destroy", Actor: { ID: ingress } });
    await until("it has left", deadlineMs, () => !view.isSwarm());
    expect(peers()).to.deep.equal(["10.0.0.1", "10.0.0.2"]);
  });

  describe("on a host in no swarm", () => {
    const asked = () => docker.countOf("/info");
    const tell = (Action: string, ID: string, name = "n") =>
      docker.tell({ Type: "network", Action, Actor: { ID, Attributes: { name, type: "bridge" } } });
    beforeEach(async () => {
      await view.stop();
      open({ nodeEveryMs: everyMs });
      docker.node = { NodeAddr: "", LocalNodeState: "inactive" };
      await docker.listen();
      view.start();
      await until("Docker has answered", deadlineMs, () => view.hasAnswered() && docker.isFollowed);
      await sleep(5 * everyMs);
    });

    it("asks for this node at the start, and not for each network that comes and goes", async () => {
      const before = asked();
      expect(before).to.be.within(1, 2); // before events are followed, and then
      for (const action of ["create", "connect", "disconnect", "destroy"]) tell(action, "c".repeat(64));
      for (const action of ["connect", "disconnect"]) tell(action, gateway, "docker_gwbridge");
      await sleep(250);
      expect(asked()).to.equal(before);
    });

    it("asks again when Docker was started again, when it gets or loses a swarm's network, and when one is followed", async () => {
      for (const act of [
        async () => {
          await docker.close();
          await docker.listen();
        },
        () => tell("create", ingress),
        () => tell("create", gateway, "docker_gwbridge"),
        () => tell("destroy", gateway, "docker_gwbridge"),
        () => view.follow([id]),
      ]) {
        const before = asked();
        await act();
        await until("it asks for this node", deadlineMs, () => asked() > before);
      }
      expect(view.isSwarm()).to.equal(false);
    });

    it("asks regularly once it is in one, even without an ingress network, until it is not any more", async () => {
      docker.node = { NodeAddr: "10.0.0.1", LocalNodeState: "active" };
      tell("create", gateway, "docker_gwbridge");
      await until("it is in a swarm", deadlineMs, () => view.isSwarm());
      docker.node = { NodeAddr: "10.0.0.7", LocalNodeState: "active" };
      await until("it has another address", deadlineMs, () => view.nodeAddress() === "10.0.0.7");
      docker.node = { NodeAddr: "", LocalNodeState: "inactive" };
      await until("it has left", deadlineMs, () => !view.isSwarm());
      const before = asked();
      await sleep(5 * everyMs);
      expect(asked()).to.equal(before);
    });
  });

  it("keeps what it knows where Docker hangs, asks for others meanwhile, and says so once, and once when it is over", async () => {
    const other = "b".repeat(25);
    await view.stop();
    open({ waitMs: 100 });
    docker.networks.set(other, networkAnswer(["10.0.0.3"]));
    await docker.listen();
    view.start();
    view.follow([id, other]);
    await shows("10.0.0.1", "10.0.0.2");
    expect(view.staleSinceMs()).to.equal(null);
    const hungMs = Date.now();
    docker.holds = (asked) => asked === path;
    await until("it waits", deadlineMs, () => docker.held.length > 0);
    docker.networks.set(other, networkAnswer(["10.0.0.4"]));
    await until("the other goes on", deadlineMs, () => view.network(other)?.peers[0] === "10.0.0.4");
    await until("it has waited in vain twice", deadlineMs, () => docker.held.length > 2);
    expect(docker.mostAtOnce).to.equal(1);
    expect(peers()).to.deep.equal(["10.0.0.1", "10.0.0.2"]);
    expect(view.staleSinceMs()).to.be.within(hungMs - 5, Date.now());
    expect(warnings()).to.have.length(1);
    expect(warnings()[0]).to.contain("what was known stays").and.contain("no answer within 100 ms");
    docker.networks.set(id, networkAnswer(["10.0.0.5"]));
    docker.release();
    await shows("10.0.0.5");
    expect(view.staleSinceMs()).to.equal(null);
    expect(log.lines.filter((line) => line.includes("tells again"))).to.have.length(1);
    expect(warnings()).to.have.length(1);
  });

  it("keeps what it knows while Docker is stopped and started, and follows its events after that", async () => {
    await docker.listen();
    view.start();
    view.follow([id]);
    await shows("10.0.0.1", "10.0.0.2");
    await docker.close();
    await until("it is stale", deadlineMs, () => view.staleSinceMs() !== null);
    await sleep(5 * everyMs);
    expect(peers()).to.deep.equal(["10.0.0.1", "10.0.0.2"]);
    expect(view.isSwarm()).to.equal(true);
    expect(warnings()).to.have.length(1);
    docker.networks.set(id, networkAnswer(["10.0.0.1"]));
    await docker.listen();
    await shows("10.0.0.1");
    await until("it follows events", deadlineMs, () => docker.isFollowed);
    expect(view.staleSinceMs()).to.equal(null);
  });

  it("keeps what it knows where the network is not there, or Docker answers with what is none", async () => {
    await docker.listen();
    view.start();
    view.follow([id]);
    await shows("10.0.0.1", "10.0.0.2");
    const known = view.network(id);
    docker.networks.delete(id);
    await asksAgain();
    expect(view.network(id)).to.equal(known);
    docker.networks.set(id, { Name: "n1", Scope: "swarm" }); // a manager whose network is not there yet
    await asksAgain();
    expect(view.network(id)).to.equal(known);
    expect(warnings()).to.deep.equal([]);
    expect(view.staleSinceMs()).to.equal(null);
    for (const garbage of ["{", "[]", '{"Peers":[{"IP":7}]}']) {
      docker.networks.set(id, garbage);
      await asksAgain();
      expect(view.network(id)).to.equal(known);
    }
    expect(warnings()).to.have.length(1);
    expect(view.staleSinceMs()).not.to.equal(null);
  });

  it("knows nothing of a network that is followed no more, not even from an answer that is under way", async () => {
    await docker.listen();
    view.start();
    view.follow([id]);
    await shows("10.0.0.1", "10.0.0.2");
    docker.holds = (asked) => asked === path;
    await until("it waits", deadlineMs, () => docker.held.length > 0);
    view.follow([]);
    expect(view.network(id)).to.equal(undefined);
    expect(told).to.deep.equal(["", id, id]);
    docker.networks.set(id, networkAnswer(["10.0.0.9"]));
    docker.release();
    const count = docker.countOf(path);
    await sleep(5 * everyMs);
    expect(docker.countOf(path)).to.equal(count);
    expect(view.network(id)).to.equal(undefined);
    view.follow([id]);
    await shows("10.0.0.9");
  });

  describe("between its regular questions", () => {
    beforeEach(async () => {
      await view.stop();
      open({ everyMs: 60_000 });
      await docker.listen();
      view.start();
      view.follow([id]);
      await shows("10.0.0.1", "10.0.0.2");
      await until("it follows events", deadlineMs, () => docker.isFollowed);
      docker.networks.set(id, networkAnswer(["10.0.0.1"]));
    });

    it("asks soon after an endpoint of the network has come or gone here, and not for others'", async () => {
      docker.tell({ Type: "network", Action: "connect", Actor: { ID: "another" } });
      await sleep(250);
      expect(peers()).to.have.length(2);
      docker.tell({ Type: "network", Action: "disconnect", Actor: { ID: id } });
      await shows("10.0.0.1");
    });

    it("asks when somebody knows better, and not for what is not followed", async () => {
      const before = docker.countOf(path);
      view.hurry("b".repeat(25));
      view.hurry(id);
      await shows("10.0.0.1");
      expect(docker.asked.slice(before)).not.to.include(`/networks/${"b".repeat(25)}`);
    });

    it("asks at once for a network that is new", async () => {
      const other = "b".repeat(25);
      docker.networks.set(other, networkAnswer(["10.0.0.7"]));
      view.follow([id, other]);
      await until("it has it", deadlineMs, () => view.network(other) !== undefined);
      expect(peers()).to.have.length(2);
    });

    it("asks once for what happens in the same moment, and once more for what happens during the answer", async () => {
      const before = docker.countOf(path);
      for (let n = 0; n < 50; n++) docker.tell({ Type: "network", Action: "connect", Actor: { ID: id } });
      docker.holds = (asked) => asked === path;
      await until("it asks", deadlineMs, () => docker.held.length === 1);
      expect(docker.countOf(path)).to.equal(before + 1);
      docker.tell({ Type: "network", Action: "connect", Actor: { ID: id } });
      await sleep(30);
      docker.release();
      await until("it asks again", deadlineMs, () => docker.countOf(path) === before + 2);
    });
  });

  describe("where a network has not changed for a while", () => {
    /** A question each 50 ms, as there are two to ask for, for 400 ms, and each second then. */
    beforeEach(async () => {
      await view.stop();
      open({ everyMs: 10, calmMs: 1000, livelyMs: 400 });
      await docker.listen();
      view.start();
      view.follow([id]);
      await shows("10.0.0.1", "10.0.0.2");
      await until("it follows events", deadlineMs, () => docker.isFollowed);
      await calm();
    });
    /** No question for as long as there would have been many. */
    const calm = async (): Promise<void> => {
      let [count, sinceMs] = [docker.countOf(path), performance.now()];
      await until("it is calm", deadlineMs, () => {
        if (docker.countOf(path) !== count) [count, sinceMs] = [docker.countOf(path), performance.now()];
        return performance.now() - sinceMs > 250;
      });
    };
    /** How often it asks from now until 300 ms after this. */
    const questionsAfter = async (act: () => unknown): Promise<number> => {
      const before = docker.countOf(path);
      await act();
      await sleep(300);
      return docker.countOf(path) - before;
    };

    it("asks seldom, and sees what has changed all the same, and asks more often then", async () => {
      expect(await questionsAfter(() => {})).to.be.at.most(1);
      docker.networks.set(id, networkAnswer(["10.0.0.1"]));
      await shows("10.0.0.1");
      expect(await questionsAfter(() => {})).to.be.greaterThan(3);
      await calm();
    });

    it("asks more often after an event of the network's, for a while, and not after another's", async () => {
      const tell = (ID: string) => docker.tell({ Type: "network", Action: "connect", Actor: { ID } });
      expect(await questionsAfter(() => tell("another"))).to.be.at.most(1);
      expect(await questionsAfter(() => tell(id))).to.be.greaterThan(3);
      await calm();
    });

    it("asks once when a task is healthy or is to stop, and not for other containers", async () => {
      await view.stop();
      open({ everyMs: 10, calmMs: 60_000, livelyMs: 1 });
      view.start();
      view.follow([id]);
      await shows("10.0.0.1", "10.0.0.2");
      await until("it follows events", deadlineMs, () => docker.isFollowed);
      await calm();
      const event = { Type: "container", Action: "die" };
      const others = [{ ID: "c1", Attributes: { image: "x" } }, { ID: "c1", Attributes: null }, { ID: "c1" }];
      expect(await questionsAfter(() => others.map((Actor) => docker.tell({ ...event, Actor })))).to.equal(0);
      const Attributes = { "com.docker.swarm.task.id": "t1" };
      expect(await questionsAfter(() => docker.tell({ ...event, Actor: { ID: "c2", Attributes } }))).to.equal(1);
    });

    it("asks at once and more often when somebody knows better, for a while", async () => {
      expect(await questionsAfter(() => view.hurry(id))).to.be.greaterThan(3);
      await calm();
    });
  });

  it("asks once in 250 ms, however often somebody knows better", async () => {
    await view.stop();
    open({ everyMs: 60_000 });
    await docker.listen();
    view.start();
    view.follow([id]);
    await shows("10.0.0.1", "10.0.0.2");
    await until("it follows events", deadlineMs, () => docker.isFollowed);
    await sleep(300);
    const before = docker.countOf(path);
    const untilMs = performance.now() + 900;
    while (performance.now() < untilMs) {
      view.hurry(id);
      await sleep(5);
    }
    expect(docker.countOf(path) - before).to.be.within(3, 4);
  });

  it("asks the more seldom, the more networks there are: 40 times a second at most", async () => {
    await view.stop();
    open({ everyMs: 500 });
    const ids = Array.from({ length: 50 }, (_, n) => `${n}`.padStart(25, "n"));
    for (const one of ids) docker.networks.set(one, networkAnswer(["10.0.0.1"]));
    await docker.listen();
    view.start();
    view.follow(ids);
    await until("all are known", deadlineMs, () => ids.every((one) => view.network(one) !== undefined));
    const before = docker.asked.length;
    await sleep(2000);
    expect(docker.asked.length - before).to.be.within(50, 90);
  });
});
