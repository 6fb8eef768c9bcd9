/**
 * The table that outlives `nft flush ruleset`.
 *
 * A flush by another process also unhooks translation and connection tracking, once their last user is gone; the next
 * packet of every published connection then meets the host's own stack and is answered with RST, although its conntrack
 * entry is still there. Other processes cannot flush a table with an owner (NFT_TABLE_F_OWNER of
 * include/uapi/linux/netfilter/nf_tables.h). So this one keeps the hooks: four nat chains, and one `ct` expression, since
 * nat chains alone do not keep tracking. The owner is a netlink socket: the table goes with this process, however it ends.
 *
 * It is also what keeps a second tsnet out of a network namespace, and says in its comment who the first is.
 *
 * Its input chain drops what reaches the sockets that merely reserve published ports: before the connection is confirmed,
 * so that the client's next try is translated, if the main table is back by then.
 */
import { TsnetError } from "../errors.ts";
import { anotherTsnet, currentHolder } from "./holder.ts";
import { Nft } from "./nft.ts";

/** What nft takes as a comment (NFTNL_UDATA_COMMENT_MAXLEN of libnftnl/udata.h), in bytes. */
const longestComment = 127;

/** The holder of inet tsnet-hold: it exists as long as this does. */
export class Hold {
  readonly #nft: Nft;

  /**
   * @param mark the mark of the sockets that reserve ports, as in 0x01000000
   * @param holder who holds it, in words for another tsnet: "socket /run/docker/plugins/tsnet.sock, …"
   * @throws TsnetError "conflict" with errno EPERM if another process owns the table, and names it; "kernel" otherwise
   */
  constructor(mark: number, holder = "") {
    this.#nft = new Nft();
    try {
      this.#nft.run(holdScript(mark, commentOf(holder)));
    } catch (cause) {
      const isOthers = cause instanceof TsnetError && cause.errno === "EPERM";
      const error = isOthers ? anotherTsnet(currentHolder() ?? "", { cause }) : cause;
      this.#nft.close();
      throw error;
    }
  }

  /** Removes the table. */
  close(): void {
    this.#nft.close();
  }
}

/** A text as nft takes it between quotes, where nothing can be escaped. */
function commentOf(text: string): string {
  let comment = text.replaceAll(/["\p{Cc}]/gu, "_");
  while (Buffer.byteLength(comment) > longestComment) comment = comment.slice(0, -1);
  return comment;
}

/** The first two lines take away a table of that name without an owner, as a restored ruleset may have left. */
function holdScript(mark: number, comment: string): string {
  return `
add table inet tsnet-hold
delete table inet tsnet-hold
table inet tsnet-hold {
  ${comment === "" ? "" : `comment "${comment}"`}
  flags owner
  chain pre { type nat hook prerouting priority 300; ct state invalid; }
  chain post { type nat hook postrouting priority 300; }
  chain in { type nat hook input priority 300; }
  chain out { type nat hook output priority 300; }
  chain reserved { type filter hook input priority -5; socket mark ${mark} drop; }
}`;
}
