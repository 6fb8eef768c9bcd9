/** Those that give addresses out: pools of this host (pools.ts), and pools that hosts share (shared-pools.ts). */
import type { Cidr } from "../../net/cidr.ts";
import type { AddressSpace } from "./default-pools.ts";
import type { PoolWish } from "./pool-request.ts";
import type { IpamView } from "./views.ts";

/** RequestAddress (engine-contract.md, 2.3). */
export interface AddressRequest {
  readonly poolId: string;
  /** "172.18.0.2"; "" for a free one. */
  readonly address: string;
  readonly options: Readonly<Record<string, string>>;
  /** What it is for, where tsnet asks for it itself. */
  readonly role?: "host";
}

/** A subnet of a network that was created, as CreateNetwork tells it. */
export interface AttachedSubnet {
  /** The address space that Docker asked in: "tsnet-local"; one of another IPAM driver means that the subnet is not ours. */
  readonly addressSpace: string;
  /** "172.18.0.0/16" */
  readonly pool: string;
  /** "172.18.0.1", null for none. */
  readonly gateway: string | null;
  /** "172.18.0.5" */
  readonly auxiliary: readonly string[];
}

export interface PoolBackend extends IpamView {
  /**
   * @param mayExist whether it is success if just this pool exists: a swarm's leader asks again for all that there is
   * @param beganAt when the time began to run that it may take, by performance.now(), where that is limited; now if left out
   * @throws TsnetError "conflict", "exhausted", "invalid" or "store"; then nothing was changed
   */
  requestPool(
    wish: PoolWish,
    mayExist: boolean,
    beganAt?: number,
  ): Promise<{ readonly poolId: string; readonly pool: string }>;
  /**
   * @param mayExist whether it is success if just this address is held
   * @param beganAt as above
   * @returns "172.18.0.2/16"
   * @throws TsnetError "not-found", "invalid", "conflict", "exhausted" or "store"; then nothing was changed
   */
  requestAddress(request: AddressRequest, mayExist: boolean, beganAt?: number): Promise<string>;
  /** One that is unknown, or another pool's, is no error. */
  releaseAddress(release: { readonly poolId: string; readonly address: string }): Promise<void>;
  /** Says which pools a network has its addresses from: its subnets that come from another IPAM driver are passed over. */
  attach(network: string, subnets: readonly AttachedSubnet[]): Promise<void>;
  /** The grants by which addresses ("172.18.0.2/16") are held in this network's pools. */
  leasesAt(network: string, addresses: readonly string[]): string[];
  /** Gives addresses back as far as they are still held by one of these grants. */
  releaseLeases(network: string, addresses: readonly string[], grants: readonly string[]): Promise<void>;
  /** The subnets that are held in an address space. */
  held(addressSpace: AddressSpace): Cidr[];
}
