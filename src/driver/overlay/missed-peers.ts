/** So long the containers of a node are taken to run on that Docker has lost sight of: it calls one gone that is silent for some seconds. */
const graceMs = 60_000;

export interface MissedPeersNeeds {
  /** Whether Docker calls a node gone, by its address. */
  readonly isGone: (address: string) => boolean;
  /** By performance.now(). */
  readonly now: () => number;
  /** Is told when some are missed no more. */
  readonly onOver: () => void;
}

/** Nodes that had a network until Docker lost sight of them: what is for all goes on to them for a while. */
export class MissedPeers {
  readonly #needs: MissedPeersNeeds;
  /** By network ID and address: since when a node is missing; null for one that is there. */
  readonly #peers = new Map<string, ReadonlyMap<string, number | null>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(needs: MissedPeersNeeds) {
    this.#needs = needs;
  }

  /**
   * @param id of a network
   * @param present the nodes that have it, as Docker says now
   * @returns those, and those that are missed
   */
  with(id: string, present: readonly string[]): string[] {
    const now = this.#needs.now();
    const peers = new Map<string, number | null>(present.map((address) => [address, null]));
    for (const [address, sinceMs] of this.#peers.get(id) ?? []) {
      if (!peers.has(address) && now - (sinceMs ?? now) < graceMs) peers.set(address, sinceMs ?? now);
    }
    this.#peers.set(id, peers);
    if (peers.size > new Set(present).size) this.#wait();
    return [...peers].flatMap(([address, sinceMs]) => (sinceMs === null || this.#needs.isGone(address) ? address : []));
  }

  /** A network of which Docker says nothing any more. */
  forget(id: string): void {
    this.#peers.delete(id);
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #wait(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#needs.onOver();
    }, graceMs).unref();
  }
}
