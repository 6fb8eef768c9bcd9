import { TsnetError } from "../../errors.ts";
import { inetPton } from "../libc.ts";

/** A subnet: its first address, of 4 or 16 bytes, and its prefix length. */
interface Subnet {
  readonly base: Uint8Array;
  readonly prefix: number;
}

/** Who is let in: this host itself, and these subnets; everybody if there are none. */
export class Sources {
  readonly #subnets: readonly Subnet[];

  /** @throws TsnetError "invalid" */
  constructor(cidrs: readonly string[]) {
    this.#subnets = cidrs.map(parseSubnet);
  }

  /**
   * Addresses are of 4 or 16 bytes. This host is who comes from a loopback address, or from the very address that was asked for.
   * @param local the address that was asked for
   */
  admit(peer: Uint8Array, local: () => Uint8Array): boolean {
    if (this.#subnets.length === 0 || isLoopback(peer)) return true;
    return this.#subnets.some((subnet) => contains(subnet, peer)) || isEqual(peer, local());
  }
}

/** The library that net/cidr.ts needs would take a megabyte of this thread's own. */
function parseSubnet(text: string): Subnet {
  const [address = "", prefixText = ""] = text.split("/");
  const base = inetPton(address);
  const prefix = Number(prefixText);
  if (/^\d{1,3}$/.test(prefixText) && prefix <= 8 * base.length) return { base, prefix };
  throw new TsnetError("invalid", `expected a subnet such as 192.0.2.0/24, got ${JSON.stringify(text)}`);
}

/** 127.0.0.0/8 and ::1. */
const isLoopback = (address: Uint8Array): boolean =>
  address.length === 4
    ? address[0] === 127
    : address[15] === 1 && address.every((byte, index) => byte === 0 || index === 15);

const isEqual = (one: Uint8Array, other: Uint8Array): boolean =>
  one.length === other.length && one.every((byte, index) => byte === other[index]);

function contains({ base, prefix }: Subnet, address: Uint8Array): boolean {
  if (address.length !== base.length) return false;
  return address.every((byte, index) => {
    const bits = Math.min(Math.max(prefix - 8 * index, 0), 8);
    return byte >> (8 - bits) === (base[index] ?? 0) >> (8 - bits);
  });
}
