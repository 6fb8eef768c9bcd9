import { arp } from "./arp.ts";
import { nd } from "./nd.ts";

/** What a frame says about an address. */
export interface Statement {
  /** The bytes of the address, in hexadecimal digits. */
  readonly address: string;
  /** "02:42:ac:12:00:02" */
  readonly mac: string;
  /** The sender does not have the address yet, but asks whether it may take it. */
  readonly isProbe: boolean;
}

/** How the neighbors on a segment tell each other which MAC address has an address: ARP, or neighbor discovery of IPv6. */
export interface SegmentProtocol {
  /** ETH_P_… of its frames. */
  readonly etherType: number;
  /** The frame that asks who has the address, without saying that somebody wants to know, so that no cache changes. */
  encodeProbe(mac: string, address: Uint8Array): Buffer;
  /** The frame that tells everybody who has the address. */
  encodeAnnouncement(mac: string, address: Uint8Array): Buffer;
  /** What a frame, with its Ethernet header, says; nothing if it is not as its RFC wants it. */
  decode(frame: Buffer): readonly Statement[];
  /** MAC addresses of the multicast groups where the address is talked about. */
  groupsOf(address: Uint8Array): readonly Uint8Array[];
  /** A program of classic BPF that lets through what may say something about these addresses, and little else. */
  filterFor(addresses: readonly Uint8Array[]): Uint8Array;
}

/** The protocol of an address of 4 or 16 bytes. */
export const protocolOf = (address: Uint8Array): SegmentProtocol => (address.length === 4 ? arp : nd);
