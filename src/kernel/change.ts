import type { ObservedLink } from "../plan/observed.ts";

/** Something in the kernel changed, and not by us. It only says "look again". */
export type KernelChange =
  /** A link that is ours, or a bridge, appeared, changed or went. */
  | { readonly what: "link"; readonly removed: boolean; readonly link: ObservedLink }
  /** An address or a route of the kernel's went. */
  | { readonly what: "addresses" }
  /** Somebody else changed our nft table, or it is gone. */
  | { readonly what: "firewall" }
  /** Somebody else changed a chain of iptables that decides whether our packets pass, or names Docker's bridges. */
  | { readonly what: "forward" }
  /** Events were lost: compare everything. */
  | { readonly what: "everything" };
