import type { HostFacts } from "../../plan/host-facts.ts";
import type { OverlayNetwork } from "../../plan/network.ts";
import type { Underlay } from "../../plan/overlay.ts";
import type { Kernel } from "../kernel.ts";
import type { Log } from "../log.ts";
import type { ControlPlane } from "./control-plane.ts";

/** An overlay network that this host has in the kernel. */
export interface ActiveNetwork {
  readonly network: OverlayNetwork;
  readonly underlay: Underlay;
}

export interface DoctorNeeds {
  readonly kernel: Pick<
    Kernel,
    "answerFacts" | "apply" | "askFacts" | "observeAddresses" | "observePath" | "probePaths" | "repairEntries"
  >;
  /** What this host tells others of itself. */
  readonly facts: HostFacts;
  readonly plane: Pick<ControlPlane, "hostsOf">;
  readonly active: () => readonly ActiveNetwork[];
  /** TSNET_PEERS */
  readonly peers: readonly string[];
  /** The VNIs of the overlay networks that Docker knows on this host. */
  readonly vnis: () => readonly number[];
  /** @throws TsnetError "conflict" that says what to set */
  readonly find: () => Promise<Underlay>;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}
