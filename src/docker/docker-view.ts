import { setTimeout as wait } from "node:timers/promises";
import type { DockerNetwork } from "../plan/docker-network.ts";
import type { SwarmRole } from "../plan/docker-swarm.ts";
import { ask, follow, get } from "./api.ts";
import { parseContainers, parseNetworks, parsePresence } from "./networks.ts";
import { askSwarm, askSwarmAddresses } from "./swarm.ts";

/** What happens to networks. Containers that come and go change no subnet. */
const filters = { type: ["network"], event: ["create", "destroy", "remove", "update"] };

/** A try to reach Docker again after so long, then after twice as long, and so on. */
const firstPauseMs = 1000;
const longestPauseMs = 5000;

/** pino's loggers fit. */
interface Log {
  info(fields: object, message: string): void;
}

export interface DockerViewOptions {
  /** "/run/docker.sock". */
  readonly socketPath: string;
  readonly log: Log;
  /** Is called each time when Docker can be asked, and could not be before: it has been started, perhaps. */
  readonly onReturn?: () => void;
  /** Only tests are in a hurry. */
  readonly pauseMs?: number;
}

/**
 * A picture of Docker's networks, kept up to date by Docker's events. Docker calls tsnet and may hold locks meanwhile, so that nothing
 * that answers it may wait for this: who is in a hurry takes the last picture. Without Docker's socket there is none, and all else works.
 */
export class DockerView {
  readonly #options: DockerViewOptions;
  readonly #end = new AbortController();
  #networks: readonly DockerNetwork[] | null = null;
  #running: Promise<void> | undefined;
  #listing: Promise<void> | undefined;
  #isStale = false;
  #isConnected = false;
  #lastError: string | undefined;

  constructor(options: DockerViewOptions) {
    this.#options = options;
  }

  /** Begins to look, and never stops by itself. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends what waits for an answer, too. */
  async stop(): Promise<void> {
    this.#end.abort();
    await this.#running;
  }

  /** The last picture; null while Docker cannot be asked. */
  networks(): readonly DockerNetwork[] | null {
    return this.#networks;
  }

  /** The networks there are now; null if Docker cannot be asked. Not for what answers Docker. */
  async refresh(): Promise<readonly DockerNetwork[] | null> {
    if (this.#isConnected) {
      await this.#list();
      return this.#networks;
    }
    return await this.#ask("/networks", parseNetworks);
  }

  /**
   * The addresses in a network, "172.18.0.2", and the containers that have them, by name; null if Docker cannot be asked, or does not
   * know the network. Not for what answers Docker.
   */
  async containersIn(networkId: string): Promise<ReadonlyMap<string, string> | null> {
    return await this.#ask(`/networks/${encodeURIComponent(networkId)}`, parseContainers);
  }

  /**
   * Whether Docker has a network on this host, which is not so with all that a swarm's manager knows; null if it cannot be asked. Not
   * for what answers Docker.
   */
  async has(networkId: string): Promise<boolean | null> {
    try {
      const path = `/networks/${encodeURIComponent(networkId)}`;
      const { status, text } = await ask(this.#options.socketPath, path, this.#end.signal);
      if (status === 404) return false;
      return status === 200 ? parsePresence(JSON.parse(text)) : null;
    } catch {
      return null;
    }
  }

  /** What this host is in a swarm, as far as Docker knows it for sure; null otherwise. Not for what answers Docker. */
  async swarmRole(): Promise<SwarmRole | null> {
    try {
      const swarm = await askSwarm(this.#options.socketPath, this.#end.signal);
      if (swarm === null) return "none";
      if (swarm.state !== "active") return null;
      if (!swarm.isManager) return "worker";
      return swarm.nodes === null ? null : "manager";
    } catch {
      return null;
    }
  }

  /**
   * The addresses that the swarm has given out, "10.5.0.2"; null unless this host is a manager of one that has a leader. Not for what
   * answers Docker.
   */
  async swarmAddresses(): Promise<ReadonlySet<string> | null> {
    return await askSwarmAddresses(this.#options.socketPath, this.#end.signal).catch(() => null);
  }

  async #ask<T>(path: string, parse: (answer: unknown) => T): Promise<T | null> {
    try {
      return parse(await get(this.#options.socketPath, path, this.#end.signal));
    } catch {
      return null;
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#end;
    const firstMs = this.#options.pauseMs ?? firstPauseMs;
    let pauseMs = firstMs;
    while (!signal.aborted) {
      try {
        await this.#watch(() => {
          pauseMs = firstMs;
        });
        this.#disconnected("Docker has ended the stream of its events");
      } catch (error) {
        this.#disconnected(error instanceof Error ? error.message : String(error));
      }
      await wait(pauseMs, undefined, { signal, ref: false }).catch(() => {});
      pauseMs = Math.min(2 * pauseMs, longestPauseMs);
    }
  }

  /** Until Docker ends it. The events since just before it began come first, so that none is lost between them and the list. */
  async #watch(onOpen: () => void): Promise<void> {
    const since = (Date.now() / 1000).toFixed(3);
    const path = `/events?since=${since}&filters=${encodeURIComponent(JSON.stringify(filters))}`;
    await follow(this.#options.socketPath, path, {
      signal: this.#end.signal,
      onOpen: () => {
        this.#isConnected = true;
        onOpen();
        void this.#list();
        this.#options.onReturn?.();
      },
      onLine: () => void this.#list(),
    });
  }

  /** Asks for the list, once for all that ask meanwhile, with all that happened before they did. */
  async #list(): Promise<void> {
    this.#isStale = true;
    this.#listing ??= this.#listUntilFresh().finally(() => {
      this.#listing = undefined;
    });
    await this.#listing;
  }

  async #listUntilFresh(): Promise<void> {
    while (this.#isStale && this.#isConnected) {
      this.#isStale = false;
      try {
        const networks = parseNetworks(await get(this.#options.socketPath, "/networks", this.#end.signal));
        if (this.#isConnected) this.#show(networks);
      } catch (error) {
        this.#hide(error instanceof Error ? error.message : String(error));
      }
    }
  }

  #disconnected(error: string): void {
    this.#isConnected = false;
    if (!this.#end.signal.aborted) this.#hide(error);
  }

  #show(networks: readonly DockerNetwork[]): void {
    const { log, socketPath } = this.#options;
    if (this.#networks === null)
      log.info({ socket: socketPath, networks: networks.length }, "Docker tells of its networks");
    this.#networks = networks;
    this.#lastError = undefined;
  }

  /** Says the same thing once, however often it is tried. */
  #hide(error: string): void {
    const { log, socketPath } = this.#options;
    this.#networks = null;
    if (error === this.#lastError) return;
    this.#lastError = error;
    const message = "Docker cannot be asked for its networks: tsnet goes by what it knows itself";
    log.info({ socket: socketPath, error }, message);
  }
}
