/** Tests of addresses while leaders of a swarm come and go, for each kind of IPAM. */
import { expect } from "chai";
import type { Host } from "./host.ts";
import { until } from "./poll.ts";
import { swarmDeadlineMs } from "./swarm-lab.ts";
import { demote, leaderOtherThan, promote } from "./swarm-lab-managers.ts";
import { addressesOf } from "./swarm-lab-names.ts";
import type { Service } from "./swarm-lab-service.ts";
import { addressOf } from "./swarm-lab-service.ts";
import { useSwarm } from "./swarm-lab-suite.ts";

/** From the time that there is a leader. */
const placedMs = 10_000;
const count = 50;

/** @param ipam "default": Docker's own */
export function describeLeaders(ipam: string): void {
  describe(`a swarm of three managers, --ipam-driver ${ipam}`, () => {
    const lab = useSwarm({ managers: 3, later: /tsnet-global\// });

    /** One more task is placed within the time, gets an address of its own, and runs; the others go on. */
    async function next(service: Service): Promise<void> {
      const before = await service.runningNow();
      const begin = performance.now();
      await service.scale(before.length + 1);
      const known = new Set(before.map(({ ID }) => ID));
      await until("the next task is placed", placedMs, async () => {
        return (await service.tasks()).some(({ ID, NodeID }) => !known.has(ID) && NodeID);
      });
      const placed = Math.round(performance.now() - begin);
      const tasks = await service.running(before.length + 1);
      console.log(
        `      the next task is placed after ${placed} ms, runs after ${Math.round(performance.now() - begin)} ms`,
      );
      expect(new Set(tasks.map(({ task }) => addressOf(task, "mesh"))).size).to.equal(before.length + 1);
      const kept = new Set(tasks.map(({ task }) => task.ID));
      expect(before.filter(({ ID }) => !kept.has(ID))).to.deep.equal([]);
    }

    const network = (name: string, ...args: string[]): Promise<string> =>
      lab().network(name, "--ipam-driver", ipam, ...args);

    it("gives no address twice while the leader is killed, and leadership comes back", async () => {
      await network("mesh", "--subnet", "10.5.0.0/24");
      const elsewhere = ["--constraint", "node.hostname!=host1", "--replicas", `${count}`];
      const service = await lab().service("web", "--network", "mesh", ...elsewhere, "--", "idle");
      await service.running(count, 2 * swarmDeadlineMs);
      const vip = await service.vip("mesh");
      const first = lab().host(1);
      await first.reboot();
      lab().manager = await leaderOtherThan(lab(), first);
      await next(service);
      await first.dockerd.start();
      await lab().ready();
      // with the others as workers it has to be the first again
      const second = lab().manager;
      const third = await demote(lab(), second);
      await next(service);
      if (third !== first) await demote(lab(), third);
      expect(lab().manager).to.equal(first);
      await next(service);
      await promote(lab(), second);
      await promote(lab(), lab().hosts.find((host) => host !== first && host !== second) as Host);
      expect(await service.vip("mesh")).to.equal(vip);
      const addresses = (await service.running(count + 3)).map(({ task }) => addressOf(task, "mesh"));
      expect(new Set([...addresses, vip]).size).to.equal(count + 4);
    }).timeout(600_000);

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
