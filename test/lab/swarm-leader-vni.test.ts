/** Leaders of a swarm that come and go: the VNIs of networks. */
import { expect } from "chai";
import { Container } from "../support/container.ts";
import { vniOf } from "../support/lab-places.ts";
import { patience } from "../support/patience.ts";
import { until } from "../support/poll.ts";
import { demote, promote } from "../support/swarm-lab-managers.ts";
import { askOften, failures } from "../support/swarm-lab-requests.ts";
import { useSwarm } from "../support/swarm-lab-suite.ts";

const settleMs = 20_000;

describe("a swarm of three managers", () => {
  const lab = useSwarm({ managers: 3 });

  it("keeps the VNI of a network, and gives another network another", async () => {
    await lab().network("mesh");
    const one = await Container.run(lab().host(1), { network: "mesh", serve: true });
    const vni = await vniOf(lab().host(1), "mesh");
    const leader = await demote(lab(), lab().host(1));
    await lab().ready();
    await lab().network("other");
    const two = await Container.run(lab().host(2), { network: "mesh", serve: true });
    expect(await vniOf(lab().host(2), "mesh")).to.equal(vni);
    await Container.run(lab().host(2), { network: "other" });
    expect(await vniOf(lab().host(2), "other")).not.to.equal(vni);
    const from = await Container.run(lab().host(3), { network: "mesh" });
    for (const to of [one, two]) {
      const address = await to.ipv4("mesh");
      await until(
        `${address} answers`,
        settleMs,
        async () => failures(await askOften(from, address, 7, 1)).length === 0,
      );
    }
    await promote(lab(), lab().host(1));
    await demote(lab(), leader);
    await promote(lab(), leader);
    await lab().ready();
    await lab().network("third");
    await Container.run(lab().host(3), { network: "third" });
    const vnis = [vni, await vniOf(lab().host(2), "other"), await vniOf(lab().host(3), "third")];
    expect(new Set(vnis).size).to.equal(3);
  }).timeout(300_000 * patience);
});
