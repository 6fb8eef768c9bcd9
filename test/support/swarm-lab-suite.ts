/** What the swarm's files of the lab ring have in common. */
import { patience } from "./patience.ts";
import { SwarmLab, type SwarmOptions } from "./swarm-lab.ts";

/** The hosts start at the same time. */
const startDeadlineMs = 180_000 * patience;

/**
 * One swarm for all tests of a `describe`. After each test its services, containers and networks are removed, and then nothing of tsnet
 * may be left on a host.
 * @returns the lab, once the tests run
 */
export function useSwarm(options: SwarmOptions = {}): () => SwarmLab {
  let lab: SwarmLab;
  before("hosts that are a swarm", async function () {
    this.timeout(startDeadlineMs);
    lab = await SwarmLab.create(options);
  });
  afterEach("nothing is left of the test", async function () {
    if (this.currentTest?.isFailed()) lab.showLogs();
    await lab.clear();
  });
  after(() => lab?.[Symbol.asyncDispose]());
  return () => lab;
}
