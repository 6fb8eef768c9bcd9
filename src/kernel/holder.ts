/**
 * Who holds the table inet tsnet-hold, by the table's comment. Asked of the kernel itself: libnftables would read all sets of all
 * programs first, and 1.0.6 does not survive those of 1.1 (EXPR_TYPE in the user data of a set).
 */
import { hasErrno, TsnetError } from "../errors.ts";
import { decodeAttributes, text } from "./netlink/codec.ts";
import { netlinkNetfilter, nfproto, nftMessage } from "./netlink/constants.ts";
import { NetlinkSocket } from "./netlink/socket.ts";

/** struct nfgenmsg of include/uapi/linux/netfilter/nfnetlink.h; NFTA_TABLE_… of …/netfilter/nf_tables.h. */
const nfgenBytes = 4;
const tableName = 1;
const tableUserdata = 6;

/** NFTNL_UDATA_TABLE_COMMENT of libnftnl/udata.h. */
const commentType = 0;

/**
 * What the holder in this network namespace says of itself; "" if it says nothing, undefined if there is none.
 * @throws TsnetError "kernel"
 */
export function currentHolder(): string | undefined {
  const socket = new NetlinkSocket(netlinkNetfilter);
  try {
    const header = Uint8Array.of(nfproto.inet, 0, 0, 0);
    const attributes = [[tableName, text("tsnet-hold")]] as const;
    const { payload } = socket.get({ type: nftMessage.getTable, flags: 0, header, attributes });
    return commentIn(decodeAttributes(Buffer.from(payload), nfgenBytes).get(tableUserdata) ?? Buffer.alloc(0));
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return undefined;
    throw error;
  } finally {
    socket.close();
  }
}

/** That a second tsnet is refused. */
export function anotherTsnet(holder: string, options: { cause?: unknown } = {}): TsnetError {
  const who = holder === "" ? "" : ` (${holder})`;
  const message = `another tsnet runs on this host${who}, and owns the nft table inet tsnet-hold: stop it, or this one`;
  return new TsnetError("conflict", message, options);
}

/** One byte each of type and length, then the value: struct nftnl_udata. A comment ends with a zero byte. */
function commentIn(userdata: Buffer): string {
  for (let at = 0; at + 2 <= userdata.length; ) {
    const [type, length = 0] = userdata.subarray(at, at + 2);
    const value = userdata.subarray(at + 2, at + 2 + length);
    if (type === commentType) return value.toString().replace(/\0$/, "");
    at += 2 + length;
  }
  return "";
}
