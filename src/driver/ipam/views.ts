/** What there is to see of pools and leases: plain values. */
import type { Family } from "../../net/cidr.ts";
import type { Lease } from "./lease.ts";

/** A pool, and how full it is. */
export interface PoolView {
  /** "tsnet-local/172.18.0.0/16" */
  readonly id: string;
  readonly addressSpace: "tsnet-local" | "tsnet-global" | "tsnet-shared";
  readonly family: Family;
  /** "172.18.0.0/16" */
  readonly subnet: string;
  /** The range of addresses that are given out unasked, "172.18.5.0/24"; null for all. */
  readonly subPool: string | null;
  /** ID of the tsnet network that has its addresses from here; null for another driver's, or while there is none. */
  readonly network: string | null;
  /** IDs of the hosts that use it, if hosts share it. */
  readonly hosts: readonly string[];
  /** Addresses of the range; those that are never given out, as a broadcast address, among them. */
  readonly size: bigint;
  /** Addresses of the range that nobody gets: network, broadcast, anycast. */
  readonly reserved: bigint;
  /** Held addresses, of the range. */
  readonly used: bigint;
  /** Released addresses that are kept from others for a while, of the range. */
  readonly resting: bigint;
  /** Of the range: size - reserved - used - resting, less what other pools of the subnet hold of it. */
  readonly free: bigint;
  /**
   * Another number after each request for the pool or its addresses, 0 where there was none since the start; null for a pool that is not
   * on this host's disk alone.
   */
  readonly lastRequest: number | null;
}

/** A lease, and where. */
export interface LeaseView extends Lease {
  /** The pool's ID. */
  readonly pool: string;
  /** "172.18.0.2" */
  readonly address: string;
}

/** What the report and the check need of those that give addresses out. */
export interface IpamView {
  pools(): Iterable<PoolView>;
  /** In the order of the addresses, those that rest among them; none for a pool that is unknown. */
  leasesOf(poolId: string): Iterable<LeaseView>;
  /**
   * Gives an address back if it is still held by this grant; says whether it did.
   * @throws TsnetError "store"
   */
  releaseGrant(poolId: string, address: string, grant: string): Promise<boolean>;
  /** @throws TsnetError "store" */
  releasePool(poolId: string): Promise<void>;
}
