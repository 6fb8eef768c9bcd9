/** Tests of addresses while leaders of a swarm come and go, for each kind of IPAM. */
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import type { RepairAnswer } from "../../src/driver/ipam/answers.ts";
import { patience } from "./patience.ts";
import { until } from "./poll.ts";
import { away, swarmDeadlineMs } from "./swarm-lab.ts";
import { demote, promote } from "./swarm-lab-managers.ts";
import { addressOf } from "./swarm-lab-service.ts";
import { changeLeaders } from "./swarm-lab-succession.ts";
import { useSwarm } from "./swarm-lab-suite.ts";

const program = fileURLToPath(new URL("../../src/cli/tsnet", import.meta.url));

/** From the time that there is a leader. */
const placedMs = 10_000 * patience;
/** What is nobody's has to be so twice, a second apart. */
const givenBackMs = 20_000;
const count = 50;

/** @param ipam "default": Docker's own */
export function describeLeaders(ipam: string): void {
  describe(`a swarm of three managers, --ipam-driver ${ipam}`, () => {
    const lab = useSwarm({ managers: 3, later: /tsnet-global\//, settings: { TSNET_ORPHAN_GRACE: "1s" } });

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
      expect(new Set([...addresses, vip]).size, `${addresses}`).to.equal(count + 4);
    }).timeout(600_000 * patience);

    it("gives out again what was free, after leaders changed", async () => {
      // 10.5.0.0/28 has 13 addresses besides the gateway's: one for the virtual IP, 12 for tasks
      await network("small", "--subnet", "10.6.0.0/28");
      const service = await lab().service("web", "--network", "small", "--replicas", "12", "--", "idle");
      await service.running(12);
      const first = lab().host(1);
      const second = await demote(lab(), first);
      await service.scale(2);
      await service.running(2);
      await promote(lab(), first);
      const third = await demote(lab(), second);
      if (third !== first) await demote(lab(), third);
      expect(lab().manager).to.equal(first);
      if (ipam !== "default") await expectGivenBack();
      await service.scale(12);
      // not of the containers: one whose network was removed while it started is started twice, and Docker 28 takes it as ended (moby#46212)
      const addresses = (await service.running(12)).map(({ task }) => addressOf(task, "small"));
      expect(new Set(addresses).size, `${addresses}`).to.equal(12);
    }).timeout(300_000 * patience);

    /** A leader that led before finds what ended meanwhile, by itself each minute, and when it is told to. */
    async function expectGivenBack(): Promise<void> {
      const { manager } = lab();
      const repair = async (): Promise<RepairAnswer> =>
        JSON.parse(await manager.sh(`${program} ipam check --repair --json || true`));
      await until("it is given back", givenBackMs, async () => {
        await repair();
        const given = manager.plugin.logged(40).filter(({ kind }) => kind === "stale-lease");
        return given.length === 10;
      });
    }
  });
}
