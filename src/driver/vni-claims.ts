/** Which VNIs the networks of a swarm have, as far as one of its managers can say. */
import { TsnetError } from "../errors.ts";
import type { DockerNetwork } from "../plan/docker-network.ts";
import { isSwarmNetwork } from "../plan/gossip.ts";
import { vniKey } from "../plan/overlay-options.ts";
import type { AllocationBook } from "./allocation-book.ts";

/** Docker tells of a change in its networks within this time. */
export const pictureLagMs = 10_000;

/** Docker's own drivers, which take tsnet's option without a meaning. Ours is listed as the user has named it, tag or not. */
const ofDocker: ReadonlySet<string> = new Set(["bridge", "host", "ipvlan", "macvlan", "null", "overlay"]);

export interface VniClaimsNeeds {
  readonly book: AllocationBook;
  /** Docker's networks, of all of the swarm on a manager; null while it cannot be asked. */
  readonly networks: () => readonly DockerNetwork[] | null;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * What this manager has said may be out of date: while another one was the leader, networks have come and gone. Docker's list is newer,
 * where there is one; where not, what the swarm asks for in this leadership counts, since each begins with all networks that there are.
 */
export class VniClaims {
  readonly #needs: VniClaimsNeeds;
  /** When the swarm has asked for a network last, in this leadership. */
  #asked = new Map<string, number>();
  /** Those that were removed, which Docker's list may still have. */
  readonly #freed = new Set<string>();

  constructor(needs: VniClaimsNeeds) {
    this.#needs = needs;
  }

  /** Another leadership may begin. */
  newEpoch(): void {
    this.#asked = new Map();
  }

  noteAsked(id: string): void {
    this.#asked.set(id, this.#needs.now());
    this.#freed.delete(id);
  }

  noteFreed(id: string): void {
    const listed = this.#needs.networks();
    for (const freed of this.#freed) if (listed && !listed.some((one) => one.id === freed)) this.#freed.delete(freed);
    this.#asked.delete(id);
    this.#freed.add(id);
  }

  /** Whether the swarm may have this network. */
  isCurrent(id: string): boolean {
    const listed = this.#needs.networks();
    const askedMs = this.#asked.get(id);
    if (listed === null) return askedMs !== undefined;
    return listed.some((one) => one.id === id) || (askedMs !== undefined && this.#needs.now() - askedMs < pictureLagMs);
  }

  /** The VNIs of all networks but one, also of those that may be gone. */
  taken(id: string): Set<number> {
    const recorded = [...this.#needs.book.all()].flatMap(([other, { vni }]) => (other === id ? [] : (vni ?? [])));
    return new Set([...recorded, ...this.#listed(id).map(({ vni }) => Number(vni))]);
  }

  /**
   * What stands in the way of a VNI that is given.
   * @returns the networks that have it no more, or never had
   * @throws TsnetError "conflict" that names the network of the swarm that has it
   */
  rivals(id: string, vni: number): string[] {
    const recorded = [...this.#needs.book.all()].flatMap(([other, known]) =>
      other !== id && known.vni === vni ? other : [],
    );
    if (this.#isAgreed(id, vni)) return recorded;
    const rival =
      this.#listed(id).find((one) => Number(one.vni) === vni)?.id ?? recorded.find((one) => this.isCurrent(one));
    if (rival === undefined) return recorded;
    const what = `${vniKey}=${vni}: network ${this.call(rival)} of this swarm has that VNI`;
    throw new TsnetError("conflict", `${what}; give another one, or leave it out`);
  }

  /** "web (4f2a…)", as far as Docker says its name. */
  call(id: string): string {
    const name = this.#needs.networks()?.find((one) => one.id === id)?.name;
    return name === undefined ? id : `${name} (${id})`;
  }

  /** Whether all nodes have been told so. */
  #isAgreed(id: string, vni: number): boolean {
    const listed = this.#needs.networks()?.find((one) => one.id === id);
    return this.#needs.book.get(id)?.vni === vni || Number(listed?.vni) === vni;
  }

  #listed(except: string): DockerNetwork[] {
    const listed = (this.#needs.networks() ?? []).filter((one) => isSwarmNetwork(one) && !ofDocker.has(one.driver));
    return listed.filter(({ id, vni }) => vni !== undefined && id !== except && !this.#freed.has(id));
  }
}
