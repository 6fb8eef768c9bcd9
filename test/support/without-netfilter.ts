/**
 * `node without-netfilter.ts COMMAND…`: runs a program as on a kernel without nf_tables. It and its children get no netlink socket of
 * netfilter: socket(2) says EPROTONOSUPPORT, as where nothing has registered the protocol (net/netlink/af_netlink.c).
 */
import { constants } from "node:os";
import koffi from "koffi";

/** PR_SET_SECCOMP, SECCOMP_MODE_FILTER, SECCOMP_RET_… of include/uapi/linux/{prctl,seccomp}.h. */
const setSeccomp = 22;
const filterMode = 2;
const allow = 0x7fff0000;
const fail = 0x00050000 | constants.errno.EPROTONOSUPPORT;

/** AF_NETLINK and NETLINK_NETFILTER; the number of socket(2). */
const netlink = 16;
const netfilter = 12;
const socketCall = process.arch === "arm64" ? 198 : 41;

/** struct seccomp_data: the number of the call, the low halves of its first and its third argument. */
const at = { call: 0, family: 16, protocol: 32 } as const;

/** struct sock_filter: BPF_LD | BPF_W | BPF_ABS; BPF_JMP | BPF_JEQ | BPF_K, else skip so many; BPF_RET | BPF_K. */
const load = (offset: number): number[] => [0x20, 0, 0, offset];
const unlessEqual = (value: number, skip: number): number[] => [0x15, 0, skip, value];
const answer = (value: number): number[] => [0x06, 0, 0, value];

const steps = [
  ...[load(at.call), unlessEqual(socketCall, 5)],
  ...[load(at.family), unlessEqual(netlink, 3)],
  ...[load(at.protocol), unlessEqual(netfilter, 1)],
  ...[answer(fail), answer(allow)],
];
const filter = Buffer.alloc(steps.length * 8);
for (const [index, [code = 0, yes = 0, no = 0, value = 0]] of steps.entries()) {
  filter.writeUInt16LE(code, index * 8);
  filter.writeUInt8(yes, index * 8 + 2);
  filter.writeUInt8(no, index * 8 + 3);
  filter.writeUInt32LE(value, index * 8 + 4);
}

const program = koffi.struct({ length: "uint16_t", filter: "void *" });
const prctl = koffi.load(null).func("prctl", "int", ["int", "unsigned long", koffi.pointer(program)]);
if (prctl(setSeccomp, filterMode, { length: steps.length, filter }) !== 0) throw new Error("prctl: no seccomp filter");
const [file = "", ...words] = process.argv.slice(2);
process.execve?.(file, [file, ...words], process.env);
