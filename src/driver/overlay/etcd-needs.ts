import type { Log } from "../log.ts";
import type { Records, SharedRecords } from "../records.ts";
import type { PoolHolders } from "./host-list.ts";
import type { OwnOverlay } from "./own-overlays.ts";

export interface EtcdPlaneNeeds {
  readonly records: SharedRecords;
  /** This host's own. */
  readonly disk: Pick<Records, "list" | "commit">;
  /** URLs of etcd's members. */
  readonly etcd: readonly string[];
  readonly hostId: string;
  readonly hostName: string;
  /** This host's tunnel address. @throws TsnetError "conflict" that says what to set */
  readonly local: () => Promise<string>;
  /** An address of IPv6 of the link that has an address of IPv4; null if there is none. */
  readonly local6?: (local: string) => Promise<string | null>;
  /** What hosts have besides of the pools that they share. */
  readonly pools: PoolHolders;
  /** What this host has, as it is recorded. */
  readonly own: () => Iterable<OwnOverlay>;
  /** Whether another host says that it is this one. It is told by others' doing what to do about it. */
  readonly hasTwin: () => boolean;
  /** Whether no VXLAN link of this host, wherever it is, has a VNI. */
  readonly isFree: (vni: number) => Promise<boolean>;
  readonly hostTtlMs: number;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Other times than the usual ones; for tests. */
  readonly timing?: Partial<EtcdPlaneTiming>;
}

export interface EtcdFeedNeeds {
  readonly records: SharedRecords;
  /** This host's own. */
  readonly disk: Pick<Records, "list" | "commit">;
  readonly hostId: string;
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** How long what a host had is kept when etcd has lost it, and the host has said that it is there: it puts it back. */
  readonly graceMs: number;
  /**
   * Something of this host's is another now, or everything may be.
   * @param hasLost whether etcd has lost something: others wait for this host to say that it is there
   */
  readonly onOwn: (hasLost?: boolean) => void;
}

export interface EtcdPlaneTiming {
  /** How long a request waits for etcd. */
  readonly deadlineMs: number;
  readonly pauseMs: number;
  /** How long Docker waits for etcd to hear of what it removes. */
  readonly patienceMs: number;
  /** What etcd has of this host is compared so long after something has changed: together with what others of its records do. */
  readonly settleMs: number;
  /** Nothing is removed before, so that a host by the same ID has been heard of. */
  readonly twinMs: number;
  /** What a host had is kept so long when etcd has lost it and the host has said that it is there. */
  readonly graceMs: number;
  /** How often what etcd has is compared, whatever is told: this host may have another address. */
  readonly compareMs: number;
  /** How often a host says that it is there. */
  readonly beatMs: number;
}

/** A host says that it is there many times in its TTL; more often than every five minutes would only fill etcd's history. */
const beatsPerTtl = 12;
export const longestBeatMs = 300_000;

/** How often a host says that it is there. */
export const beatMsOf = (ttlMs: number): number => Math.min(ttlMs / beatsPerTtl, longestBeatMs);

export const timingOf = ({ hostTtlMs, timing }: Pick<EtcdPlaneNeeds, "hostTtlMs" | "timing">): EtcdPlaneTiming => ({
  deadlineMs: 4_500,
  pauseMs: 100,
  patienceMs: 500,
  settleMs: 1_000,
  twinMs: 3_000,
  graceMs: 30_000,
  compareMs: 30_000,
  beatMs: beatMsOf(hostTtlMs),
  ...timing,
});
