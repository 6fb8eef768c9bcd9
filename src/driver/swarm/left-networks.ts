import { explain } from "../../errors.ts";
import { isSwarmNetwork } from "../../plan/gossip.ts";
import type { Locks } from "../locks.ts";
import type { Log } from "../log.ts";
import type { Networks } from "../networks.ts";
import type { State } from "../state.ts";

/** How often Docker is asked while there is something to ask for, and how long it must have had a network no more. */
const everyMs = 5000;
export const absentMs = 15_000;

export interface LeftNetworksNeeds {
  readonly state: Pick<State, "networks" | "endpointsOf" | "removing">;
  readonly networks: Pick<Networks, "lastRequest" | "deleteIf">;
  readonly locks: Pick<Locks, "isBusy">;
  /** Whether Docker has a network on this host; null if it cannot be asked. Never while Docker waits. */
  readonly has: (network: string) => Promise<boolean | null>;
  readonly log: Log;
  /** Milliseconds of a clock that does not go back. */
  readonly now: () => number;
}

/** Since when Docker has had a network no more, and which request to make it was the last then. */
interface Absence {
  readonly sinceMs: number;
  readonly request: number;
}

/**
 * Removes the networks of a swarm that Docker has forgotten: it does not write them down, so that after a power cut it asks for those
 * again that it has tasks of, and never for the removal of the others (engine-contract.md, fact 3). If one comes back, it is made anew.
 */
export class LeftNetworks {
  readonly #needs: LeftNetworksNeeds;
  #absent: ReadonlyMap<string, Absence> = new Map();
  #interval: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #isStopped = false;

  constructor(needs: LeftNetworksNeeds) {
    this.#needs = needs;
  }

  start(): void {
    this.#interval ??= setInterval(() => void this.look(), everyMs).unref();
  }

  /** Waits for what runs. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#interval);
    await this.#looking;
  }

  /** Asks for each network without endpoints, and removes what Docker has not had for long enough. An error is logged. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    const absent = new Map<string, Absence>();
    for (const id of this.#suspects()) {
      const found = await this.#ask(id);
      if (found === null || this.#isStopped) continue;
      if (this.#needs.now() - found.sinceMs < absentMs || !(await this.#remove(id, found))) absent.set(id, found);
    }
    this.#absent = absent;
  }

  #suspects(): string[] {
    const { state } = this.#needs;
    return [...state.networks()].flatMap((network) =>
      isSwarmNetwork(network) && !state.removing.has(network.id) && this.#isIdle(network.id) ? network.id : [],
    );
  }

  #isIdle(id: string): boolean {
    const { state, locks } = this.#needs;
    return state.endpointsOf(id).length === 0 && !locks.isBusy(id);
  }

  /** null for one that Docker has, or may have. */
  async #ask(id: string): Promise<Absence | null> {
    const { networks, has, now } = this.#needs;
    const request = networks.lastRequest(id);
    if ((await has(id)) !== false) return null;
    const before = this.#absent.get(id);
    return before?.request === request ? before : { sinceMs: now(), request };
  }

  /** @returns whether nothing is left to be done about it */
  async #remove(id: string, { request }: Absence): Promise<boolean> {
    const { state, networks, log } = this.#needs;
    const isMeant = (): boolean => state.endpointsOf(id).length === 0 && networks.lastRequest(id) === request;
    try {
      const isRemoved = await networks.deleteIf(id, isMeant);
      if (isRemoved) log.info({ network: id }, "removed a network of the swarm that Docker has forgotten");
      return true;
    } catch (error) {
      log.error({ network: id, error: explain(error) }, "a network that Docker has forgotten could not be removed yet");
      return false;
    }
  }
}
