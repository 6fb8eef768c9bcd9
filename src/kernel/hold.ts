/**
 * The table that outlives `nft flush ruleset`.
 *
 * A flush by another process also unhooks translation and connection tracking, once their last user is gone; the next
 * packet of every published connection then meets the host's own stack and is answered with RST, although its conntrack
 * entry is still there. Other processes cannot flush a table with an owner (NFT_TABLE_F_OWNER of
 * include/uapi/linux/netfilter/nf_tables.h). So this one keeps the hooks: four nat chains, and one `ct` expression, since
 * nat chains alone do not keep tracking. The owner is a netlink socket: the table goes with this process, however it ends.
 *
 * Its input chain drops what reaches the sockets that merely reserve published ports: before the connection is confirmed,
 * so that the client's next try is translated, if the main table is back by then.
 */
import { TsnetError } from "../errors.ts";
import { Nft } from "./nft.ts";

/** The holder of inet tsnet-hold: it exists as long as this does. */
export class Hold {
  readonly #nft: Nft;

  /**
   * @param mark the mark of the sockets that reserve ports, as in 0x01000000
   * @throws TsnetError "conflict" with errno EPERM if another process owns the table; "kernel" otherwise
   */
  constructor(mark: number) {
    this.#nft = new Nft();
    try {
      this.#nft.run(holdScript(mark));
    } catch (cause) {
      this.#nft.close();
      if (!(cause instanceof TsnetError && cause.errno === "EPERM")) throw cause;
      const message =
        "the nft table inet tsnet-hold may not be changed: stop the other tsnet on this host, or give CAP_NET_ADMIN";
      throw new TsnetError("conflict", message, { cause });
    }
  }

  /** Removes the table. */
  close(): void {
    this.#nft.close();
  }
}

/** The first two lines take away a table of that name without an owner, as a restored ruleset may have left. */
function holdScript(mark: number): string {
  return `
add table inet tsnet-hold
delete table inet tsnet-hold
table inet tsnet-hold {
  flags owner
  chain pre { type nat hook prerouting priority 300; ct state invalid; }
  chain post { type nat hook postrouting priority 300; }
  chain in { type nat hook input priority 300; }
  chain out { type nat hook output priority 300; }
  chain reserved { type filter hook input priority -5; socket mark ${mark} drop; }
}`;
}
