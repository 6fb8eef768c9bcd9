/** Programs of classic BPF (Documentation/networking/filter.rst), so that a busy segment does not wake this thread up. */
import { bpf, bpfPacketType, lastOwnPacketType } from "./constants.ts";

/** struct sock_filter: what to do, how many instructions to skip if it is so and if not, and with what. */
export type Instruction = readonly [code: number, skipIfTrue: number, skipIfFalse: number, value: number];

/** More addresses are not told apart: a socket's options may have 20 KB (net.core.optmem_max), its filter among them. */
const maxAddresses = 64;

const drop: Instruction = [bpf.return, 0, 0, 0];

/** The whole frame. */
const accept: Instruction = [bpf.return, 0, 0, 0xffffffff];

/** What was not sent here is dropped first. A frame too short to be looked at is dropped by the kernel. */
const isForUs: readonly Instruction[] = [
  [bpf.loadWord, 0, 0, bpfPacketType],
  [bpf.jumpGreater, 0, 1, lastOwnPacketType],
  drop,
];

/** Where four bytes of an address are in a frame. */
interface AddressOffsets {
  readonly sender: number;
  readonly target: number;
}

/**
 * A program, as struct sock_filter after struct sock_filter.
 * @param before what drops frames of other kinds
 * @param keys four bytes of each address: frames whose sender or target has others are dropped
 */
export function filterBy(before: readonly Instruction[], keys: readonly number[], offsets: AddressOffsets): Uint8Array {
  const isOne = keys.flatMap((key): Instruction[] => [[bpf.jumpEqual, 0, 1, key], accept]);
  const about = [offsets.sender, offsets.target].flatMap((at): Instruction[] => [[bpf.loadWord, 0, 0, at], ...isOne]);
  return encode([...isForUs, ...before, ...(keys.length > maxAddresses ? [accept] : [...about, drop])]);
}

/** Drops a frame whose byte at an offset is none of these. */
export const requireByte = (at: number, values: readonly number[]): Instruction[] => [
  [bpf.loadByte, 0, 0, at],
  ...values.map((value, n): Instruction => [bpf.jumpEqual, values.length - n, 0, value]),
  drop,
];

/** A program, as struct sock_filter after struct sock_filter. */
export function encode(instructions: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(instructions.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [n, [code, skipIfTrue, skipIfFalse, value]] of instructions.entries()) {
    view.setUint16(n * 8, code, true);
    view.setUint8(n * 8 + 2, skipIfTrue);
    view.setUint8(n * 8 + 3, skipIfFalse);
    view.setUint32(n * 8 + 4, value, true);
  }
  return bytes;
}
