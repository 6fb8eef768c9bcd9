import type { OverlayNetwork } from "../../plan/network.ts";
import type { ControlPlane, RemoteChange } from "./control-plane.ts";
import type { Direct } from "./direct.ts";
import type { RemotePlaces } from "./remote-places.ts";

export interface FollowingNeeds {
  readonly plane: ControlPlane;
  readonly remotes: RemotePlaces;
  readonly direct?: Pick<Direct, "schedule">;
  /** Is told when other hosts have come or gone. */
  readonly onChange?: () => void;
  /** The networks that are all there. */
  readonly active: () => readonly OverlayNetwork[];
  /** Does something in a network's turn, if it is all there then. Never rejects. */
  readonly inTurn: (network: OverlayNetwork, work: () => Promise<void>) => Promise<void>;
}

/** Brings what the control plane tells to the kernel. */
export class Following {
  readonly #needs: FollowingNeeds;
  /** What was told and is not in the kernel yet. */
  readonly #pending = new Set<Promise<void>>();
  #isStopped = false;

  constructor(needs: FollowingNeeds) {
    this.#needs = needs;
  }

  start(): void {
    this.#needs.plane.start({
      onChange: (change) => this.#onChange(change),
      onHosts: (vni) => this.#onHosts(vni),
    });
  }

  /** Follows no more, and waits for what is under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#needs.plane.close();
    await this.idle();
  }

  /** Waits for what is under way. */
  async idle(): Promise<void> {
    await Promise.all(this.#pending);
  }

  async #onChange(change: RemoteChange): Promise<void> {
    const { remotes, direct } = this.#needs;
    const macs = [...change.removed, ...change.put.map(({ mac }) => mac)];
    const done = this.#activeWith(change.vni).map((network) =>
      this.#later(network, async () => {
        await remotes.change(network, change);
        direct?.schedule(network.id, macs);
      }),
    );
    await Promise.all(done);
  }

  #onHosts(vni: number | null): void {
    const { plane, remotes, direct } = this.#needs;
    this.#needs.onChange?.();
    for (const network of this.#activeWith(vni)) {
      void this.#later(network, async () => {
        await remotes.flood(network);
        // of a host that has come or gone, the endpoints are told as well
        direct?.schedule(network.id, vni === null ? undefined : []);
        // what an earlier process has left is known to be wrong only now
        if (vni === null && plane.isComplete(network.vni)) await remotes.repair(network);
      });
    }
  }

  #activeWith(vni: number | null): OverlayNetwork[] {
    return this.#needs.active().filter((network) => vni === null || network.vni === vni);
  }

  async #later(network: OverlayNetwork, work: () => Promise<void>): Promise<void> {
    if (this.#isStopped) return;
    const done = this.#needs.inTurn(network, work);
    this.#pending.add(done);
    await done;
    this.#pending.delete(done);
  }
}
