/** Who has an address of a pool, and since when. */

/**
 * What an address is for. Docker asks for a network's own addresses, and for those that nobody shall get, like for any other.
 * "host": this host's own in the network (tsnet.host_address), which tsnet asks for itself.
 */
export const leaseRoles = ["endpoint", "gateway", "auxiliary", "host"] as const;
export type LeaseRole = (typeof leaseRoles)[number];

/** An address that is given out, or was and rests. */
export interface Lease {
  /** Unique to each time that an address is given out, so that nobody gives back what is somebody else's by now. */
  readonly grant: string;
  readonly role: LeaseRole;
  /** Whom the address is kept for when it comes back: "name:web" or "mac:02:42:0a:00:00:02"; null where that is not known. */
  readonly identity: string | null;
  /** When it was given out: milliseconds since 1970; 0 where that is not known. */
  readonly sinceMs: number;
  /** The hosts that hold it, in a pool that hosts share: one, but for a gateway or an auxiliary address. Empty in others. */
  readonly hosts: readonly string[];
  /** Until when a released address is kept from others, milliseconds since 1970; null while it is held. */
  readonly restsUntilMs: number | null;
}
