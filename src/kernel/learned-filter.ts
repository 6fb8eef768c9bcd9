import { addressFamily } from "./libc.ts";
import { nud, rtm } from "./netlink/constants.ts";
import { bpf } from "./segment/constants.ts";
import { encode } from "./segment/filter.ts";

/** Where the low bytes are in a netlink message: nlmsg_type; ndm_family and ndm_state of struct ndmsg, behind the header. */
const at = { type: 4, family: 16, state: 24 } as const;

/** Classic BPF for a netlink socket: drops messages about forwarding entries that were learned. */
export const withoutLearned = encode([
  [bpf.loadByte, 0, 0, at.type],
  [bpf.jumpEqual, 1, 0, rtm.newNeigh],
  [bpf.jumpEqual, 0, 4, rtm.delNeigh],
  [bpf.loadByte, 0, 0, at.family],
  [bpf.jumpEqual, 0, 2, addressFamily.bridge],
  [bpf.loadByte, 0, 0, at.state],
  [bpf.jumpSet, 0, 1, nud.noarp | nud.permanent],
  [bpf.return, 0, 0, 0xffffffff],
  [bpf.return, 0, 0, 0],
]);
