import { isSameFamily } from "../../net/cidr.ts";
import type { Underlay } from "../../plan/overlay.ts";
import {
  planProbeChecksums,
  planProbePeers,
  planProbePeersRemoval,
  planProbes,
  planProbesRemoval,
  probeNamespace,
} from "../../plan/probe.ts";
import type { Kernel } from "../kernel.ts";

/** The network of the hosts themselves, as it is on this one: see plan/probe.ts. */
export class ProbeNetwork {
  readonly #kernel: Pick<Kernel, "apply" | "repairEntries">;
  #peers = new Set<string>();
  /** What is left of an earlier start is removed as well. */
  #mayBeThere = true;

  constructor(kernel: Pick<Kernel, "apply" | "repairEntries">) {
    this.#kernel = kernel;
  }

  /**
   * Makes it, or makes it right again.
   * @param peers the tunnel addresses of the others
   * @throws TsnetError "conflict" if the UDP port is taken
   */
  async ensure(underlay: Underlay, peers: readonly string[]): Promise<void> {
    this.#mayBeThere = true;
    await this.#kernel.apply([...planProbes(underlay), planProbeChecksums(!underlay.withoutTxChecksum)]);
    const wanted = new Set(peers.filter((peer) => isSameFamily(peer, underlay.local)));
    const gone = [...this.#peers].filter((peer) => !wanted.has(peer));
    const added = [...wanted].filter((peer) => !this.#peers.has(peer));
    if (gone.length > 0) await this.#kernel.apply([planProbePeersRemoval(gone)]);
    if (added.length > 0) await this.#kernel.apply([planProbePeers(added)]);
    this.#peers = wanted;
    await this.#kernel.repairEntries(probeNamespace, true);
  }

  /** @returns whether there may have been one */
  async remove(): Promise<boolean> {
    if (!this.#mayBeThere) return false;
    await this.#kernel.apply([planProbesRemoval]);
    this.#peers = new Set();
    this.#mayBeThere = false;
    return true;
  }
}
