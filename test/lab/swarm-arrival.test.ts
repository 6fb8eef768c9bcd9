/** How long a task takes to be reached from another node after it runs, and to be left alone after it is killed. */
import { expect } from "chai";
import { Container } from "../support/container.ts";
import { away } from "../support/swarm-lab.ts";
import { lastFailure, measureArrivals, measureKill } from "../support/swarm-lab-arrival.ts";
import { healthCheck } from "../support/swarm-lab-service.ts";
import { useSwarm } from "../support/swarm-lab-suite.ts";

const isPatient = process.env["TEST_TSNET_PATIENCE"] !== undefined;
/** What it must reach; several times as much where other tests run at the same time. */
const targets = isPatient
  ? { median: 3_000, most: 9_000, killed: 3_000 }
  : { median: 1_000, most: 3_000, killed: 1_000 };

const rounds = 3;
const tasksOfRound = 10;

describe("a service seen from another node", () => {
  const lab = useSwarm();

  it("is reached by its name and its virtual IP when it runs", async () => {
    await lab().network("mesh");
    const from = await Container.run(lab().host(1), { network: "mesh" });
    const byVip: number[] = [];
    const byName: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const times = await measureArrivals(lab(), from, { network: "mesh", tasks: tasksOfRound, hasVip: true });
      byVip.push(...times.byVip);
      byName.push(...times.byName);
    }
    const figures = { vip: quantiles(byVip), name: quantiles(byName) };
    console.log(`      task running to reached, ms: ${JSON.stringify(figures)}`);
    for (const { median, most } of Object.values(figures)) {
      expect(median).to.be.at.most(targets.median);
      expect(most).to.be.at.most(targets.most);
    }
  });

  it("gets no new connection to a task that was killed", async () => {
    await lab().network("mesh");
    const from = await Container.run(lab().host(1), { network: "mesh" });
    const worst: number[] = [];
    const service = await lab().service("web", "--network", "mesh", ...away, ...healthCheck("1s"), "--replicas", "5");
    const vip = await service.vip("mesh");
    for (let round = 0; round < rounds; round++) worst.push(lastFailure(await measureKill(service, from, vip, 5)));
    console.log(`      task killed to the last connection that failed, ms: ${worst.map(Math.round).join(", ")}`);
    expect(Math.max(...worst)).to.be.at.most(targets.killed);
  });
});

interface Quantiles {
  readonly median: number;
  /** As p99 is, of so few. */
  readonly most: number;
}

function quantiles(values: readonly number[]): Quantiles {
  const sorted = values.map(Math.round).toSorted((a, b) => a - b);
  return { median: sorted[Math.floor(sorted.length / 2)] ?? Number.NaN, most: sorted.at(-1) ?? Number.NaN };
}
