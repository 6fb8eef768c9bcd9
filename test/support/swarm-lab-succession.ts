/** Leaders of a swarm of three managers that follow each other, and the tasks of a service meanwhile. */
import type { Host } from "./host.ts";
import { until } from "./poll.ts";
import { type SwarmLab, swarmDeadlineMs } from "./swarm-lab.ts";
import { demote, leaderOtherThan, promote } from "./swarm-lab-managers.ts";
import { addressOf, type Service } from "./swarm-lab-service.ts";

/** A service without tasks on host 1, and the network that they have addresses on. */
export interface Watched {
  readonly service: Service;
  readonly network: string;
}

/** What came of a change of the leader. */
export interface Succession {
  /** Milliseconds from the order for one more task, given when there is a leader, until it has a node. */
  readonly placedMs: number;
  /** The same, until it runs. */
  readonly runningMs: number;
  /** Addresses that more than one task has, or a task and the virtual IP. */
  readonly duplicates: readonly string[];
  /** IDs of tasks that ran before the change, and do not run any more. */
  readonly ended: readonly string[];
}

/** Looks at the tasks of a service after each change. */
class Witness {
  readonly #watched: Watched;
  /** Those that ran when it looked last. */
  #known: ReadonlySet<string>;

  private constructor(watched: Watched, known: ReadonlySet<string>) {
    this.#watched = watched;
    this.#known = known;
  }

  static async begin(watched: Watched): Promise<Witness> {
    const running = await watched.service.runningNow();
    return new Witness(watched, new Set(running.map(({ ID }) => ID)));
  }

  /** Waits until one more task runs. */
  async next(): Promise<Succession> {
    const { service, network } = this.#watched;
    const before = this.#known;
    const begin = performance.now();
    await service.scale(before.size + 1);
    await until("the next task is placed", swarmDeadlineMs, async () => {
      return (await service.tasks()).some(({ ID, NodeID }) => !before.has(ID) && NodeID);
    });
    const placedMs = Math.round(performance.now() - begin);
    const tasks = (await service.running(before.size + 1)).map(({ task }) => task);
    const runningMs = Math.round(performance.now() - begin);
    this.#known = new Set(tasks.map(({ ID }) => ID));
    const addresses = [...tasks.map((task) => addressOf(task, network)), await service.vip(network)];
    const duplicates = addresses.filter((one, index) => addresses.indexOf(one) !== index);
    return { placedMs, runningMs, duplicates, ended: [...before].filter((id) => !this.#known.has(id)) };
  }
}

/** Host 1 leads, is killed, and comes back; then the next leaders are demoted until it leads again. @returns of each change */
export async function changeLeaders(lab: SwarmLab, watched: Watched): Promise<Succession[]> {
  const witness = await Witness.begin(watched);
  const first = lab.host(1);
  await first.reboot();
  lab.manager = await leaderOtherThan(lab, first);
  const successions = [await witness.next()];
  await first.dockerd.start();
  await lab.ready();
  // with the others as workers it has to be the first again
  const second = lab.manager;
  const third = await demote(lab, second);
  successions.push(await witness.next());
  if (third !== first) await demote(lab, third);
  if (lab.manager !== first) throw new Error(`host ${lab.manager.number} leads, and not host 1`);
  successions.push(await witness.next());
  await promote(lab, second);
  await promote(lab, lab.hosts.find((host) => host !== first && host !== second) as Host);
  return successions;
}
