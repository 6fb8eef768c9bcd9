/** What the files of the lab ring have in common. */

import { Lab, type LabOptions } from "./lab.ts";
import { patience } from "./patience.ts";

/** Three hosts start at the same time. */
const startDeadlineMs = 180_000 * patience;

/**
 * One lab for all tests of a `describe`. After each test all is healed, its containers and networks are removed, and then nothing of
 * tsnet may be left on a host or in etcd.
 * @returns the lab, once the tests run
 */
export function useLab(options: LabOptions): () => Lab {
  let lab: Lab;
  before("three hosts with dockerd and tsnet", async function () {
    this.timeout(startDeadlineMs);
    lab = await Lab.create(options);
  });
  afterEach("nothing is left of the test", async function () {
    if (this.currentTest?.isFailed()) lab.showLogs();
    await lab.clear();
  });
  after(() => lab?.[Symbol.asyncDispose]());
  return () => lab;
}
