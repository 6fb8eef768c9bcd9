import type { GossipNetwork, GossipTask } from "../../plan/gossip.ts";
import { tasksOf } from "./gossip-tasks.ts";

/** So long the containers of a node are taken to run on that Docker has lost sight of: it calls one gone that is silent for some seconds. */
const graceMs = 60_000;

/** So long it may take from a network's list without a node until Docker says that the node is gone, if it is. */
const doubtMs = 3_000;

export interface LostNodesNeeds {
  /** Whether Docker calls a node gone, by its address. */
  readonly isGone: (address: string) => boolean;
  /** By performance.now(). */
  readonly now: () => number;
  /** Is told when less may be kept than before: `hear` is to be called for all networks. */
  readonly onOver: () => void;
}

/** What is known of a network. */
interface Heard {
  readonly gossip: GossipNetwork;
  /** Since when they are missing, by address. */
  readonly missing: ReadonlyMap<string, number>;
  /** Tasks that are not listed any more: all since nodes are missing, and from the moment before. */
  readonly gone: readonly GoneTask[];
}

interface GoneTask {
  readonly task: GossipTask;
  readonly sinceMs: number;
}

/**
 * Nodes that had a network until Docker lost sight of them, and the tasks that went with them: what is for all goes on to the nodes for a
 * while, and connections to the tasks go on, as long as Docker calls the nodes gone. Of a node that has the network no more Docker says no
 * such thing.
 */
export class LostNodes {
  readonly #needs: LostNodesNeeds;
  /** By network ID. */
  readonly #heard = new Map<string, Heard>();
  #timer: NodeJS.Timeout | undefined;

  constructor(needs: LostNodesNeeds) {
    this.#needs = needs;
  }

  /** @param gossip what Docker says now of a network; undefined if nothing any more */
  hear(id: string, gossip: GossipNetwork | undefined): void {
    if (gossip === undefined) {
      this.#heard.delete(id);
      return;
    }
    const before = this.#heard.get(id) ?? { gossip, missing: new Map(), gone: [] };
    const missing = this.#missing(gossip, before);
    this.#heard.set(id, { gossip, missing, gone: this.#gone(gossip, before) });
    this.#wait();
  }

  /** The addresses of the nodes of a network that are not listed any more, and to which goes what is for all. */
  peers(id: string): readonly string[] {
    return [...(this.#heard.get(id)?.missing.keys() ?? [])];
  }

  /** Tasks that are not listed any more, and may run on. */
  tasks(id: string): readonly GossipTask[] {
    const { missing, gone = [] } = this.#heard.get(id) ?? {};
    return missing?.size ? gone.map(({ task }) => task) : [];
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #missing({ peers }: GossipNetwork, before: Heard): Map<string, number> {
    const now = this.#needs.now();
    const had = [...before.gossip.peers.map((address) => [address, now] as const), ...before.missing];
    return new Map(had.filter(([address, sinceMs]) => !peers.includes(address) && now < this.#endMs(address, sinceMs)));
  }

  /** Docker reads a network's nodes before its tasks: of a node that is lost just then, the tasks are gone in the answer before. */
  #gone({ services }: GossipNetwork, before: Heard): GoneTask[] {
    const now = this.#needs.now();
    const taken = new Set(services.flatMap(({ vip, tasks }) => [vip, ...tasks.map(({ ip }) => ip)]));
    const isRecent = ({ sinceMs }: GoneTask): boolean => before.missing.size > 0 || now - sinceMs < doubtMs;
    const listed = tasksOf(before.gossip).map((task) => ({ task, sinceMs: now }));
    // an address may be somebody else's by now
    return [...before.gone.filter(isRecent), ...listed].filter(({ task }) => !taken.has(task.ip));
  }

  #endMs = (address: string, sinceMs: number): number => sinceMs + (this.#needs.isGone(address) ? graceMs : doubtMs);

  /** Until the first of them is missed no more. */
  #wait(): void {
    clearTimeout(this.#timer);
    const missing = [...this.#heard.values()].flatMap((heard) => [...heard.missing]);
    if (missing.length === 0) return;
    const atMs = Math.min(...missing.map(([address, sinceMs]) => this.#endMs(address, sinceMs)));
    this.#timer = setTimeout(this.#needs.onOver, Math.max(0, atMs - this.#needs.now())).unref();
  }
}
