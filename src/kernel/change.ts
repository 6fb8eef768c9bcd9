import type { ObservedLink } from "../plan/observed.ts";

/** Something in the kernel changed, and not by us. It only says "look again". */
export type KernelChange =
  | { readonly what: "namespace"; readonly name: string }
  /** A link that is ours, a bridge, or one that is followed appeared, changed or went. */
  | { readonly what: "link"; readonly removed: boolean; readonly link: ObservedLink }
  /** An address or a route of a bridge or a shim went, or a neighbor of a shim changed; or a link that is followed got or lost an address. */
  | { readonly what: "addresses" }
  /** The ways to hosts that are followed may be others. */
  | { readonly what: "paths" }
  /** Somebody else changed an nft table of ours, or it is gone. */
  | { readonly what: "firewall" }
  /** Somebody else changed a chain of iptables that decides whether our packets pass, or names Docker's bridges. */
  | { readonly what: "forward" }
  /** Events were lost: compare everything. `error` says why, if the kernel has not lost them itself. */
  | { readonly what: "everything"; readonly error?: string };
