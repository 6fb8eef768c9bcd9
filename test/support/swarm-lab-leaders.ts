/** Tests of addresses while leaders of a swarm come and go, for each kind of IPAM. */
import { expect } from "chai";
import { away, swarmDeadlineMs } from "./swarm-lab.ts";
import { demote, promote } from "./swarm-lab-managers.ts";
import { addressesOf } from "./swarm-lab-names.ts";
import { addressOf } from "./swarm-lab-service.ts";
import { changeLeaders } from "./swarm-lab-succession.ts";
import { useSwarm } from "./swarm-lab-suite.ts";

/** From the time that there is a leader. */
const placedMs = 10_000;
const count = 50;

/** @param ipam "default": Docker's own */
export function describeLeaders(ipam: string): void {
  describe(`a swarm of three managers, --ipam-driver ${ipam}`, () => {
    const lab = useSwarm({ managers: 3, later: /tsnet-global\// });

    const network = (name: string, ...args: string[]): Promise<string> =>
      lab().network(name, "--ipam-driver", ipam, ...args);

    it("gives no address twice while the leader is killed, and leadership comes back", async () => {
      await network("mesh", "--subnet", "10.5.0.0/24");
      const service = await lab().service(
        ...["web", "--network", "mesh", ...away],
        ...["--replicas", `${count}`, "--", "idle"],
      );
      await service.running(count, 2 * swarmDeadlineMs);
      const vip = await service.vip("mesh");
      for (const one of await changeLeaders(lab(), { service, network: "mesh" })) {
        console.log(`      the next task is placed after ${one.placedMs} ms, runs after ${one.runningMs} ms`);
        expect(one.placedMs).to.be.at.most(placedMs);
        expect({ duplicates: one.duplicates, ended: one.ended }).to.deep.equal({ duplicates: [], ended: [] });
      }
      expect(await service.vip("mesh")).to.equal(vip);
      const addresses = (await service.running(count + 3)).map(({ task }) => addressOf(task, "mesh"));
      expect(new Set([...addresses, vip]).size).to.equal(count + 4);
    }).timeout(600_000);

    // a former leader keeps what was given back meanwhile, until it is compared with the swarm: docs/swarm.md
    if (ipam !== "default") return;
    it("gives out again what was free, after leaders changed", async () => {
      // 10.5.0.0/28 has 13 addresses besides the gateway's: one for the virtual IP, 12 for tasks
      await network("small", "--subnet", "10.6.0.0/28");
      const service = await lab().service("web", "--network", "small", "--replicas", "12", "--", "idle");
      await service.running(12);
      const second = await demote(lab(), lab().host(1));
      await service.scale(2);
      await service.running(2);
      await promote(lab(), lab().host(1));
      await demote(lab(), second);
      await promote(lab(), second);
      await service.scale(12);
      const tasks = await service.running(12);
      expect(new Set(await addressesOf(tasks, "small")).size).to.equal(12);
    }).timeout(300_000);
  });
}
