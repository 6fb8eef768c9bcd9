import type { GossipNetwork, GossipTask } from "../../plan/gossip.ts";
import { tasksOf } from "./gossip-tasks.ts";

/** So long the containers of a node are taken to run on that Docker has lost sight of: it calls one gone that is silent for some seconds. */
const graceMs = 60_000;

/** So much later than a network's list shows it, Docker may say that a node is gone. */
const doubtMs = 3_000;

export interface LostNodesNeeds {
  /** Whether Docker calls a node gone, by its address. */
  readonly isGone: (address: string) => boolean;
  /** By performance.now(). */
  readonly now: () => number;
  /** Is told when less may be kept than before: `hear` is to be called for all of `ids`. */
  readonly onOver: () => void;
}

/** That a network's list lacks a node which it had. */
interface Loss {
  readonly address: string;
  readonly sinceMs: number;
  /** The node and its tasks are kept until then. */
  readonly untilMs: number;
  /** Whether Docker called the node gone when it was looked at last. */
  readonly isGone: boolean;
}

/** A task that is not listed any more. */
interface Ended {
  readonly task: GossipTask;
  readonly sinceMs: number;
}

/** What is known of a network. */
interface Heard {
  readonly gossip: GossipNetwork;
  readonly losses: readonly Loss[];
  /** Those that went with lost nodes, and those of the last seconds, whose node may turn out to be lost. */
  readonly ended: readonly Ended[];
}

const nothing: Heard = { gossip: { peers: [], services: [] }, losses: [], ended: [] };

/**
 * Nodes that Docker has lost sight of, and their tasks, which may all run on: for a while, what is for all of a network goes on to such a
 * node, and its tasks stay known, so that connections to them go on. A node that is heard of again has another while, in which Docker
 * tells of its networks, and then of its tasks. One that is not called gone has the network no more.
 */
export class LostNodes {
  readonly #needs: LostNodesNeeds;
  /** By network ID. */
  readonly #heard = new Map<string, Heard>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(needs: LostNodesNeeds) {
    this.#needs = needs;
  }

  /** @param gossip what Docker says now of a network; undefined if nothing any more */
  hear(id: string, gossip: GossipNetwork | undefined): void {
    if (gossip === undefined) {
      this.#heard.delete(id);
      return;
    }
    const nowMs = this.#needs.now();
    const before = this.#heard.get(id) ?? { ...nothing, gossip };
    const losses = this.#lossesOf(gossip, before, nowMs);
    this.#heard.set(id, { gossip, losses, ended: endedOf(gossip, { ...before, losses }, nowMs) });
    this.#wait();
  }

  /** Of the networks that were heard of. */
  ids = (): Iterable<string> => this.#heard.keys();

  /** The addresses of the nodes that a network's list lacks, and to which goes what is for all. */
  peers(id: string): string[] {
    const { gossip, losses } = this.#heard.get(id) ?? nothing;
    const addresses = new Set(losses.map(({ address }) => address));
    return [...addresses].filter((address) => !gossip.peers.includes(address));
  }

  /** The tasks that a network's list lacks, and that may run on. */
  tasks(id: string): GossipTask[] {
    const { losses, ended } = this.#heard.get(id) ?? nothing;
    return ended.flatMap((one) => (isOfLost(one, losses) ? one.task : []));
  }

  /** Those that `tasks` has, or may have soon. */
  possibleTasks = (id: string): GossipTask[] => (this.#heard.get(id) ?? nothing).ended.map(({ task }) => task);

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  #lossesOf({ peers }: GossipNetwork, before: Heard, nowMs: number): Loss[] {
    const missing = before.gossip.peers.filter((address) => !peers.includes(address));
    const begun = missing.map((address) => ({ address, sinceMs: nowMs, untilMs: nowMs + doubtMs, isGone: false }));
    const all = [...before.losses, ...begun].map((loss) => this.#lookAt(loss, nowMs));
    const wasLost = ({ sinceMs, untilMs }: Loss): boolean => untilMs > sinceMs + doubtMs;
    return all.filter((loss) => nowMs < loss.untilMs && (wasLost(loss) || !peers.includes(loss.address)));
  }

  #lookAt(loss: Loss, nowMs: number): Loss {
    const isGone = this.#needs.isGone(loss.address);
    const isBack = loss.isGone && !isGone;
    const untilMs = isGone ? loss.sinceMs + graceMs : isBack ? nowMs + graceMs : 0;
    return { ...loss, isGone, untilMs: Math.max(loss.untilMs, untilMs) };
  }

  /** Until the first loss is over. */
  #wait(): void {
    clearTimeout(this.#timer);
    const ends = [...this.#heard.values()].flatMap(({ losses }) => losses.map(({ untilMs }) => untilMs));
    if (ends.length === 0 || this.#isClosed) return;
    this.#timer = setTimeout(this.#needs.onOver, Math.max(0, Math.min(...ends) - this.#needs.now())).unref();
  }
}

/** Docker reads a network's nodes before its tasks: those of a node that is lost just then may be gone in the answer before. */
const isOfLost = ({ sinceMs }: Ended, losses: readonly Loss[]): boolean =>
  losses.some((loss) => Math.abs(loss.sinceMs - sinceMs) < doubtMs);

/** Without those whose address is somebody else's by now. */
function endedOf({ services }: GossipNetwork, { gossip, losses, ended }: Heard, nowMs: number): Ended[] {
  const taken = new Set(services.flatMap(({ vip, tasks }) => [vip, ...tasks.map(({ ip }) => ip)]));
  const all = [...ended, ...tasksOf(gossip).map((task) => ({ task, sinceMs: nowMs }))];
  return all.filter((one) => !taken.has(one.task.ip) && (nowMs - one.sinceMs < doubtMs || isOfLost(one, losses)));
}
