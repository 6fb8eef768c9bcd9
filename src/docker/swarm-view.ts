import { setTimeout as wait } from "node:timers/promises";
import type { GossipNetwork } from "../plan/gossip.ts";
import { type Answer, ask, follow, statusError } from "./api.ts";
import { parseGossip, parseNode, type SwarmNode } from "./gossip.ts";
import { type Pace, Polls } from "./polls.ts";
import { eventOf, hintsAtSwarm, isOfTask, swarmEvents } from "./swarm-events.ts";

/** A try to reach Docker's events again after so long, then after twice as long, and so on. */
const firstPauseMs = 1000;
const longestPauseMs = 5000;

/** Docker says which node this is at the cost of programs that it starts, and it changes rarely: of a host without a swarm, not by itself. */
const nodeEveryMs = 60_000;

/** Under this name, which no network has, this host itself is asked for. */
const node = "";

/** pino's loggers fit. */
interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface SwarmViewOptions extends Pace {
  /** "/run/docker.sock". */
  readonly socketPath: string;
  readonly log: Log;
  /** Only tests are in a hurry. */
  readonly pauseMs?: number;
  readonly waitMs?: number;
  readonly nodeEveryMs?: number;
}

/** What is known of a network. */
interface Known {
  /** The answer that it is from. */
  text: string;
  gossip: GossipNetwork;
  /** `gossip` as a text. */
  key: string;
}

/**
 * What this node's Docker has heard of the networks that are followed: which nodes have them, and which tasks there are. Docker is
 * asked regularly, more often while a network changes, and soon after what happens here; not while it waits for an answer of tsnet's.
 * What was known stays while it does not answer, or has forgotten a network.
 */
export class SwarmView {
  readonly #options: SwarmViewOptions;
  readonly #end = new AbortController();
  readonly #polls: Polls;
  readonly #known = new Map<string, Known>();
  readonly #listeners = new Set<(id: string) => void>();
  /** By what was asked for in vain: since when the last answer is old, in ms since 1970. */
  readonly #failing = new Map<string, number>();
  #followed: ReadonlySet<string> = new Set();
  #node: SwarmNode | undefined;
  /** Whether something hints that this host is another node than Docker has said, or it has not. */
  #isNodeDoubtful = true;
  #events: Promise<void> | undefined;

  constructor(options: SwarmViewOptions) {
    this.#options = options;
    this.#polls = new Polls((name) => (name === node ? this.#askNode() : this.#askNetwork(name)), options);
  }

  /** Begins to look, and never stops by itself. */
  start(): void {
    if (this.#events !== undefined) return;
    this.#polls.start();
    this.#polls.add(node, this.#options.nodeEveryMs ?? nodeEveryMs);
    this.#events = this.#watch();
  }

  /** Ends what waits for an answer, too. */
  async stop(): Promise<void> {
    this.#end.abort();
    await Promise.all([this.#polls.stop(), this.#events]);
  }

  /** The networks to look at, by ID, instead of those before; those that are new are asked for at once. */
  follow(ids: Iterable<string>): void {
    const before = this.#followed;
    this.#followed = new Set(ids);
    for (const id of before) if (!this.#followed.has(id)) this.#forget(id);
    const added = [...this.#followed].filter((id) => !before.has(id));
    if (added.length === 0) return;
    if (this.#node?.isSwarm) for (const id of added) this.#polls.add(id);
    else this.#doubtNode(0);
  }

  /** Something else is known of a network than what Docker has told: it is asked now, or within 250 ms of the question before. */
  hurry(id: string): void {
    if (this.#followed.has(id)) this.#polls.hurry(id);
  }

  /** The last that was heard; undefined if nothing was since it is followed. */
  network(id: string): GossipNetwork | undefined {
    return this.#known.get(id)?.gossip;
  }

  /** Under which the other nodes know this one; null where it is not known. */
  nodeAddress(): string | null {
    return this.#node?.address ?? null;
  }

  /** Whether this host is in a swarm, as far as Docker has said. */
  isSwarm(): boolean {
    return this.#node?.isSwarm ?? false;
  }

  /** Whether Docker has said once whether this host is in a swarm. */
  hasAnswered(): boolean {
    return this.#node !== undefined;
  }

  /** Since when something that is known is old, as Docker does not answer, in ms since 1970; null while all is fresh. */
  staleSinceMs(): number | null {
    return this.#failing.size === 0 ? null : Math.min(...this.#failing.values());
  }

  /** Calls back when what is known of a network has changed, with its ID; and for this node, with "". */
  onChange(listener: (id: string) => void): void {
    this.#listeners.add(listener);
  }

  async #watch(): Promise<void> {
    const { signal } = this.#end;
    const { socketPath, pauseMs: firstMs = firstPauseMs } = this.#options;
    let pauseMs = firstMs;
    const onOpen = (): void => {
      pauseMs = firstMs;
      this.#doubtNode(0);
      this.#polls.soonAll();
    };
    while (!signal.aborted) {
      // whether Docker can be asked is for those who ask to say
      await follow(socketPath, swarmEvents, { signal, onOpen, onLine: (line) => this.#hear(line) }).catch(() => {});
      await wait(pauseMs, undefined, { signal, ref: false }).catch(() => {});
      pauseMs = Math.min(2 * pauseMs, longestPauseMs);
    }
  }

  #hear(line: string): void {
    const event = eventOf(line);
    if (event === undefined || isOfTask(event)) this.#polls.soonAll();
    if (event?.Type !== "network") return;
    const { ID: id } = event.Actor;
    if (this.#followed.has(id)) {
      this.#polls.quicken(id);
      this.#polls.soon(id);
    } else if (hintsAtSwarm(event)) this.#doubtNode();
  }

  /** It is asked for within this time. */
  #doubtNode(ms?: number): void {
    this.#isNodeDoubtful = true;
    this.#polls.soon(node, ms);
  }

  async #askNode(): Promise<void> {
    const before = this.#node;
    if (!this.#isNodeDoubtful && !before?.isSwarm && this.#followed.size === 0) return;
    this.#isNodeDoubtful = false;
    await this.#attempt(node, "/info", ({ text }) => {
      this.#node = parseNode(text);
    });
    const now = this.#node;
    // one that is joining has none yet
    if (now?.isSwarm && now.address === null) this.#doubtNode(firstPauseMs);
    if (now === undefined || (before?.isSwarm === now.isSwarm && before.address === now.address)) return;
    for (const id of this.#followed) {
      if (now.isSwarm) this.#polls.add(id);
      else this.#polls.remove(id);
    }
    this.#tell(node);
  }

  async #askNetwork(id: string): Promise<void> {
    await this.#attempt(id, `/networks/${encodeURIComponent(id)}?verbose=true`, ({ status, text }) => {
      const before = this.#known.get(id);
      if (status === 404 || text === before?.text) return;
      const gossip = parseGossip(text);
      if (gossip === null) return;
      const key = JSON.stringify(gossip);
      this.#known.set(id, { text, gossip: before?.key === key ? before.gossip : gossip, key });
      if (before?.key === key) return;
      this.#polls.quicken(id);
      this.#tell(id);
    });
  }

  /** What cannot be asked for, or is not understood, changes nothing. */
  async #attempt(name: string, path: string, use: (answer: Answer) => void): Promise<void> {
    const { socketPath, waitMs } = this.#options;
    const startedMs = Date.now();
    try {
      const answer = await ask(socketPath, path, this.#end.signal, waitMs);
      if (name !== node && !this.#followed.has(name)) return;
      if (answer.status !== 200 && answer.status !== 404) throw statusError(path, answer.status);
      use(answer);
      this.#fresh(name);
    } catch (error) {
      if (name === node) this.#isNodeDoubtful = true;
      if (name === node && this.#node === undefined) this.#polls.soon(node, firstPauseMs);
      const isMissed = name === node ? this.#followed.size > 0 : this.#followed.has(name);
      if (isMissed && !this.#end.signal.aborted) this.#failed(name, startedMs, error);
    }
  }

  #failed(name: string, startedMs: number, error: unknown): void {
    const isFirst = this.#failing.size === 0;
    if (!this.#failing.has(name)) this.#failing.set(name, startedMs);
    if (!isFirst) return;
    const fields = { socket: this.#options.socketPath, error: error instanceof Error ? error.message : String(error) };
    this.#options.log.warn(fields, "Docker does not tell what the swarm's nodes have: what was known stays");
  }

  #fresh(name: string): void {
    const sinceMs = this.staleSinceMs();
    if (!this.#failing.delete(name) || this.#failing.size > 0 || sinceMs === null) return;
    const fields = { socket: this.#options.socketPath, seconds: Math.round((Date.now() - sinceMs) / 1000) };
    this.#options.log.info(fields, "Docker tells again what the swarm's nodes have");
  }

  #forget(id: string): void {
    this.#polls.remove(id);
    const wasKnown = this.#known.delete(id);
    this.#fresh(id);
    if (wasKnown) this.#tell(id);
  }

  #tell(id: string): void {
    for (const listener of this.#listeners) listener(id);
  }
}
