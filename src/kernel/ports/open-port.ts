import { hasErrno } from "../../errors.ts";
import type { HostPort } from "../host-port.ts";
import { addressFamily, bindBytes, close, inetNtop, inetPton, listen, socket } from "../libc.ts";
import { encodeSocketAddress, protocolNumber, setOption, socketOption, socketType } from "../libc-sockets.ts";
import type { Destination } from "./proxied-port.ts";
import { Sources } from "./sources.ts";

/** As many as the kernel allows (net.core.somaxconn, which is 4096 since Linux 5.4). */
const backlog = 4096;

/** A client that has vanished without a word is given up after 60 + 9 × 15 seconds. */
const keepAlive = { idleSeconds: 60, intervalSeconds: 15 } as const;

/** A block of ports, read once for all of them. */
export interface Block {
  readonly protocol: HostPort["protocol"];
  /** Canonical. */
  readonly address: string;
  /** 4 or 16 of them. */
  readonly addressBytes: Uint8Array;
  readonly first: number;
  readonly count: number;
  /** undefined if nothing is passed on. */
  readonly target: { readonly address: Uint8Array; readonly first: number; readonly sources: Sources } | undefined;
}

/** @throws TsnetError "invalid" */
export function parseBlock({ protocol, address, port, count, target, sources }: HostPort): Block {
  const addressBytes = inetPton(address);
  return {
    ...{ protocol, address: inetNtop(addressBytes), addressBytes, first: port, count },
    target:
      target === null || protocol === "sctp"
        ? undefined
        : { address: inetPton(target.address), first: target.port, sources: new Sources(sources) },
  };
}

/** Whether its address is of IPv6. */
export const isIpv6 = ({ addressBytes }: Block): boolean => addressBytes.length === 16;

/** Where the port of this offset in the block is passed on to. */
export const destinationOf = (
  { address, first, sources }: NonNullable<Block["target"]>,
  offset: number,
): Destination => ({
  target: encodeSocketAddress(address, first + offset),
  sources,
});

/**
 * A socket of the address's family, bound, and listening where the protocol has that, against everybody else: a bound socket is
 * not enough for TCP (SO_REUSEADDR gets past it, and it answers RST). If nothing is passed on it has the mark, by which the table
 * inet tsnet-hold drops what arrives before the translation is there.
 * @returns undefined where the kernel has no sockets for the protocol
 * @throws TsnetError "kernel" with the errno of the kernel
 */
export function openPort(block: Block, offset: number, mark: number): number | undefined {
  const address = encodeSocketAddress(block.addressBytes, block.first + offset);
  const fd = openSocket(block);
  if (fd === undefined) return undefined;
  try {
    setOptions(fd, block, mark);
    bindBytes(fd, address);
    if (block.protocol !== "udp") listen(fd, block.target ? backlog : 1);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

function openSocket(block: Block): number | undefined {
  const { protocol, target } = block;
  const kind = protocol === "udp" ? socketType.dgram : socketType.stream;
  const flags = socketType.cloexec | (target ? socketType.nonblock : 0);
  try {
    return socket(isIpv6(block) ? addressFamily.inet6 : addressFamily.inet, kind | flags, protocolNumber[protocol]);
  } catch (error) {
    const isMissing = hasErrno(error, "EPROTONOSUPPORT") || hasErrno(error, "ESOCKTNOSUPPORT");
    if (protocol === "sctp" && isMissing) return undefined;
    throw error;
  }
}

function setOptions(fd: number, block: Block, mark: number): void {
  const { protocol, target } = block;
  // what a former listener left behind (TIME_WAIT) must not refuse us; for UDP it would let others in
  if (protocol !== "udp") setOption(fd, socketOption.reuseAddress, 1);
  if (isIpv6(block)) setOption(fd, socketOption.ipv6Only, 1);
  if (!target) setOption(fd, socketOption.mark, mark);
  else if (protocol === "udp")
    setOption(fd, isIpv6(block) ? socketOption.receivePacketInfo6 : socketOption.packetInfo, 1);
  else setConnectionOptions(fd);
}

/** Connections have these from their listener. */
function setConnectionOptions(fd: number): void {
  setOption(fd, socketOption.noDelay, 1);
  setOption(fd, socketOption.keepAlive, 1);
  setOption(fd, socketOption.keepAliveIdleSeconds, keepAlive.idleSeconds);
  setOption(fd, socketOption.keepAliveIntervalSeconds, keepAlive.intervalSeconds);
}
