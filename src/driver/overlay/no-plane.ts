import { TsnetError } from "../../errors.ts";
import type { ControlPlane } from "./control-plane.ts";

/**
 * Where neither etcd nor peers are set. Networks that were made when they were go on with what the kernel has of them, and can be
 * removed; there are no new ones.
 */
export class NoPlane implements ControlPlane {
  readonly missing =
    "mode=overlay needs to know of the other hosts: set TSNET_ETCD_ENDPOINTS, or TSNET_PEERS to their addresses";
  readonly knowsPlaces = true;

  isTold(): boolean {
    return false;
  }

  /** What the kernel has of other hosts is nobody's to judge. */
  isComplete(): boolean {
    return false;
  }

  somewhere = (): null => null;

  async joinNetwork(): Promise<never> {
    throw new TsnetError("invalid", this.missing);
  }

  async leaveNetwork(): Promise<void> {}

  async claim(): Promise<never> {
    throw new TsnetError("invalid", this.missing);
  }

  async release(): Promise<void> {}

  remotes(): [] {
    return [];
  }

  remote(): undefined {
    return undefined;
  }

  hostsOf(): [] {
    return [];
  }

  start(): void {}

  async close(): Promise<void> {}
}
