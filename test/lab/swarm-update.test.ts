/** What the clients of a service notice when it is updated, scaled, and moved away from a node. */
import { expect } from "chai";
import { Container } from "../support/container.ts";
import { patience } from "../support/patience.ts";
import { until } from "../support/poll.ts";
import { addressesOf } from "../support/swarm-lab-names.ts";
import { Asker, askOften, failures, Identities, identityPort, shares } from "../support/swarm-lab-requests.ts";
import { healthCheck, type Service } from "../support/swarm-lab-service.ts";
import { useSwarm } from "../support/swarm-lab-suite.ts";
import { answersDuringUpdate, replacedInTurn, updateMs } from "../support/swarm-lab-update.ts";

const scaleMs = 120_000;
const settleMs = 10_000;
const perSecond = 200;

describe("the clients of a service", () => {
  const lab = useSwarm();

  /** A service whose virtual IP answers a container on host 1. */
  async function start(...args: string[]): Promise<{ service: Service; vip: string; from: Container }> {
    await lab().network("mesh");
    const service = await lab().service("web", "--network", "mesh", ...args);
    const vip = await service.vip("mesh");
    const from = await Container.run(lab().host(1), { network: "mesh" });
    return { service, vip, from };
  }

  it("lose no request while all of its tasks are replaced", async () => {
    const { service, vip, from } = await start("--replicas", "5", ...replacedInTurn);
    const answers = await answersDuringUpdate(service, 5, { from, vip, perSecond });
    expect(failures(answers)).to.deep.equal([]);
    expect(answers.length).to.be.greaterThan(5 * perSecond);
  }).timeout(2 * updateMs * patience);

  it("reach 50 tasks when there are so many, and the one that stays", async () => {
    const { service, vip, from } = await start("--replicas", "1", "--stop-grace-period", "2s", "--", "idle");
    await service.running(1);
    await service.scale(50);
    const tasks = await service.running(50, scaleMs);
    const addresses = await addressesOf(tasks, "mesh");
    expect(new Set(addresses).size).to.equal(50);
    {
      await using _ = await Identities.start(tasks);
      await until("all are asked", settleMs, async () => {
        const answers = await askOften(from, vip, identityPort, 600);
        return shares(answers).size === 50 && failures(answers).length === 0;
      });
      expect([...shares(await askOften(from, vip, identityPort, 600)).keys()].sort()).to.deep.equal(
        addresses.toSorted(),
      );
    }
    await service.scale(1);
    const [last] = await service.running(1, scaleMs);
    if (last === undefined) throw new Error("no task is left");
    await using _ = await Identities.start([last]);
    const address = await last.ipv4("mesh");
    await until("only the last is asked", settleMs, async () => {
      const answers = await askOften(from, vip, identityPort, 20);
      return failures(answers).length === 0 && [...shares(answers).keys()].join() === address;
    });
  }).timeout(3 * scaleMs * patience);

  it("lose no request while a node is drained, to which tasks come again afterwards", async () => {
    const { service, vip, from } = await start("--replicas", "6", ...healthCheck("1s"));
    await service.serving(6);
    await using asker = await Asker.steady(from, vip, perSecond);
    await until("it answers", settleMs, () => asker.answers.some(({ said }) => said !== undefined));
    const begin = asker.answers.length;
    await lab().change("node", "update", "--availability", "drain", "host3");
    const onThird = async (): Promise<number> => {
      const { ID } = await lab().node(lab().host(3));
      return (await service.runningNow()).filter(({ NodeID }) => NodeID === ID).length;
    };
    await until("nothing is on the node", updateMs, async () => (await onThird()) === 0);
    await service.serving(6);
    await until("the network is gone from the node", settleMs, async () => !("3" in (await lab().namespaces())));
    const answers = (await asker.stop()).slice(begin);
    expect(failures(answers)).to.deep.equal([]);
    await lab().change("node", "update", "--availability", "active", "host3");
    await service.scale(9);
    await service.serving(9);
    expect(await onThird()).to.be.greaterThan(0);
    const third = await Container.run(lab().host(3), { network: "mesh" });
    await until("the node is served", settleMs, async () => failures(await askOften(third, vip, 7, 30)).length === 0);
  }).timeout(updateMs * patience);
});
