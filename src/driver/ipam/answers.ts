/**
 * What the admin API answers about pools and addresses: plain values that survive JSON, for programs. The command `tsnet` prints
 * them. Numbers of addresses are decimal texts: an IPv6 subnet has more than a JSON number holds. Times are ISO 8601.
 */
import type { LeaseRole } from "./lease.ts";
import type { PoolView } from "./views.ts";

/** A pool, and how full it is. */
export interface PoolAnswer {
  /** "tsnet-local/172.18.0.0/16" */
  readonly id: string;
  readonly addressSpace: PoolView["addressSpace"];
  readonly family: PoolView["family"];
  /** "172.18.0.0/16" */
  readonly subnet: string;
  /** The range of addresses that are given out unasked, "172.18.5.0/24"; null for all. */
  readonly subPool: string | null;
  /** Full ID of the network that has its addresses from here; null where tsnet does not know it. */
  readonly network: string | null;
  /** The hosts that use it, if hosts share it: "web-1 (4f2a90c1d2e3)", name and ID. */
  readonly hosts: readonly string[];
  /** Addresses of the range. */
  readonly size: string;
  /** Of the range: those that nobody gets. */
  readonly reserved: string;
  readonly used: string;
  /** Released, and kept from others for a while. */
  readonly resting: string;
  readonly free: string;
  /** What this pool, or another one of the subnet, holds, of size less reserved: from 0 to 100. */
  readonly usePercent: number;
}

/** GET /v1/ipam */
export interface IpamAnswer {
  readonly pools: readonly PoolAnswer[];
}

/** An address that is held, or rests. */
export interface LeaseAnswer {
  /** "172.18.0.2" */
  readonly address: string;
  readonly role: LeaseRole;
  /** Whom the address is kept for when it comes back: "name:web" or "mac:02:42:0a:00:00:02"; null where that is not known. */
  readonly identity: string | null;
  /** Full ID of the endpoint on this host that has it; null for another host's, another network driver's, or none. */
  readonly endpoint: string | null;
  /** When it was given out; null where that is not known. */
  readonly since: string | null;
  /** The hosts that hold it, in a pool that hosts share: as above. */
  readonly hosts: readonly string[];
  /** Until when a released address is kept from others; null while it is held. */
  readonly restsUntil: string | null;
}

/** GET /v1/ipam/leases?pool=ID */
export interface LeasesAnswer {
  /** In the order of the addresses. */
  readonly leases: readonly LeaseAnswer[];
}

/** Something that does not agree. */
export interface FindingAnswer {
  /** What sort of thing is wrong: a word for programs. */
  readonly kind: string;
  /** The pool's ID. */
  readonly pool: string;
  /** null where it is about the whole pool. */
  readonly address: string | null;
  readonly text: string;
  /** Since when it is so, as far as that is known. */
  readonly since: string | null;
  /** Whether a repair would give it back now. */
  readonly repairable: boolean;
}

/** GET /v1/ipam/check */
export interface CheckAnswer {
  readonly findings: readonly FindingAnswer[];
}

/** POST /v1/ipam/check */
export interface RepairAnswer {
  /** What was wrong, and was given back. */
  readonly released: readonly FindingAnswer[];
  /** What is left. */
  readonly findings: readonly FindingAnswer[];
}
