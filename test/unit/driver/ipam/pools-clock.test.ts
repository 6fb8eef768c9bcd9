import { expect } from "chai";
import { PoolsLab } from "../../../support/pools-lab.ts";
import { errorOf } from "../../../support/store-contract.ts";

const hourMs = 3_600_000;

describe("Pools whose released addresses rest, when the clock was set far ahead and is set back,", () => {
  let lab: PoolsLab;
  let { idOf, take, takeAll, release } = new PoolsLab();

  beforeEach(async () => {
    lab = await PoolsLab.open();
    ({ idOf, take, takeAll, release } = lab);
  });

  const yearMs = 365 * 24 * hourMs;

  const releaseAhead = async (id: string) => {
    await takeAll(id, ["a"]);
    lab.nowMs += yearMs;
    await release(id, "10.0.0.1");
    lab.nowMs -= yearMs - 1000;
  };

  it("keeps nothing for longer than it is told, a restart later either", async () => {
    for (const restart of [async () => {}, () => lab.restart()]) {
      const id = await idOf("10.0.0.0/30", { options: { "tsnet.quarantine": "10m" } });
      await releaseAhead(id);
      await restart();
      expect(await takeAll(id, ["b"])).to.deep.equal(["10.0.0.2/30"]);
      const full = await errorOf(take(id));
      expect(full.message).to.include(`the first until ${new Date(lab.nowMs + 600_000).toISOString()}`);
      lab.nowMs += 600_000 - 1;
      await errorOf(take(id));
      lab.nowMs += 1;
      expect(await take(id)).to.equal("10.0.0.1/30");
      await lab.pools.releasePool(id);
    }
  });

  it("keeps a container's address for it meanwhile, and what is released later for as long as ever", async () => {
    const id = await idOf("10.0.0.0/24", { options: { "tsnet.sticky": "true" } });
    await releaseAhead(id);
    expect(await takeAll(id, ["b", "a"])).to.deep.equal(["10.0.0.2/24", "10.0.0.1/24"]);
    await release(id, "10.0.0.2");
    lab.nowMs += 24 * hourMs - 1;
    expect(await takeAll(id, ["c", "b"])).to.deep.equal(["10.0.0.3/24", "10.0.0.2/24"]);
  });
});
