/**
 * Published ports are held by sockets, so that nobody else binds them and the kernel never picks them (open-port.ts). Where the
 * kernel cannot translate, or is not to, what arrives is passed on from here.
 */
import { TsnetError } from "../../errors.ts";
import type * as observed from "../../plan/observed.ts";
import type { HostPort } from "../host-port.ts";
import { close } from "../libc.ts";
import { protocolNumber } from "../libc-sockets.ts";
import { openFilesLimit } from "./open-files.ts";
import { type Block, destinationOf, isIpv6, openPort, parseBlock } from "./open-port.ts";
import { Poller } from "./poller.ts";
import type { ProxiedPort } from "./proxied-port.ts";
import { type TcpOptions, TcpProxy } from "./tcp-proxy.ts";
import { type UdpOptions, UdpProxy } from "./udp-proxy.ts";

/** What bind refuses because of the port or address that was asked for. */
const refusals = new Set(["EADDRINUSE", "EADDRNOTAVAIL", "EACCES", "EALREADY"]);

/** How many there may be, and for how long. */
export type PortLimits = Omit<TcpOptions & UdpOptions, "poller">;

/** A held port: a descriptor if nothing is passed on, "recorded" where the kernel has no sockets for the protocol. */
type Held = number | "recorded" | { readonly block: Block; readonly offset: number; readonly passed: ProxiedPort };

/** All addresses of IPv4, and all of IPv6. */
const wildcards: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

/** Holds ports against everybody else on this host, for as long as the process lives. */
export class HeldPorts {
  readonly #mark: number;
  readonly #poller = new Poller();
  readonly #tcp: TcpProxy;
  readonly #udp: UdpProxy;
  /** By protocol, family and port; then by address. */
  readonly #held = new Map<number, Map<string, Held>>();

  /** @param mark what the chain `reserved` of inet tsnet-hold drops */
  constructor(mark: number, limits: PortLimits) {
    this.#mark = mark;
    this.#tcp = new TcpProxy({ ...limits, poller: this.#poller });
    this.#udp = new UdpProxy({ ...limits, poller: this.#poller });
  }

  /**
   * All of these, or none.
   * @throws TsnetError "conflict" whose message is the index of the block, followed by the port in the way if the block has several,
   *   with errno EALREADY if it is held here, or the kernel's EADDRINUSE, EADDRNOTAVAIL or EACCES; "kernel" for any other refusal;
   *   "invalid" for what is no address
   */
  reserve(ports: readonly HostPort[]): void {
    const blocks = ports.map(parseBlock);
    const done: Block[] = [];
    for (const [index, block] of blocks.entries()) {
      for (let offset = 0; offset < block.count; offset++) {
        try {
          this.#reserveOne(block, offset);
        } catch (error) {
          for (const one of [...done, { ...block, count: offset }]) this.#release(one);
          throw refusal(index, block, offset, error);
        }
      }
      done.push(block);
    }
  }

  /** Lets go of these; those that are not held are ignored. What is passed on through them ends at once. */
  release(ports: readonly HostPort[]): void {
    for (const port of ports) this.#release(parseBlock({ ...port, target: null }));
  }

  /** What has been passed on, since each port is held. */
  observe(): observed.ProxiedPort[] {
    const all = [...this.#held.values()].flatMap((held) => [...held.values()]);
    return all
      .filter((held) => typeof held === "object")
      .map(({ block: { protocol, address, first }, offset, passed: { connections, bytes } }) => {
        return { protocol, address, port: first + offset, connections, bytes };
      });
  }

  /** Lets go of all. */
  async close(): Promise<void> {
    for (const held of this.#held.values()) for (const one of held.values()) closeOne(one);
    this.#held.clear();
    this.#tcp.close();
    this.#udp.close();
    await this.#poller.close();
  }

  #reserveOne(block: Block, offset: number): void {
    const key = keyOf(block, offset);
    const held = this.#held.get(key) ?? new Map<string, Held>();
    if (meets(block.address, held)) throw new TsnetError("conflict", "it is held", { errno: "EALREADY" });
    held.set(block.address, this.#open(block, offset));
    this.#held.set(key, held);
  }

  #open(block: Block, offset: number): Held {
    const fd = openPort(block, offset, this.#mark);
    if (fd === undefined) return "recorded";
    if (!block.target) return fd;
    const proxy = block.protocol === "tcp" ? this.#tcp : this.#udp;
    try {
      return { block, offset, passed: proxy.open(fd, destinationOf(block.target, offset)) };
    } catch (error) {
      close(fd);
      throw error;
    }
  }

  #release(block: Block): void {
    for (let offset = 0; offset < block.count; offset++) {
      const held = this.#held.get(keyOf(block, offset));
      const one = held?.get(block.address);
      if (one === undefined) continue;
      held?.delete(block.address);
      if (held?.size === 0) this.#held.delete(keyOf(block, offset));
      closeOne(one);
    }
  }
}

const keyOf = (block: Block, offset: number): number =>
  (protocolNumber[block.protocol] * 2 + (isIpv6(block) ? 1 : 0)) * 0x10000 + block.first + offset;

/** Whether a packet could be for this address and for one of those that are held, all of one family. */
const meets = (address: string, held: ReadonlyMap<string, Held>): boolean =>
  wildcards.has(address) ? held.size > 0 : held.has(address) || [...wildcards].some((wildcard) => held.has(wildcard));

function closeOne(held: Held): void {
  if (typeof held === "number") close(held);
  else if (held !== "recorded") held.passed.close();
}

function refusal(index: number, block: Block, offset: number, cause: unknown): TsnetError {
  const port = block.first + offset;
  const found = cause instanceof TsnetError ? cause.errno : undefined;
  const errno = found === "EAFNOSUPPORT" ? "EADDRNOTAVAIL" : found; // no IPv6 at all
  if (errno !== undefined && refusals.has(errno)) {
    return new TsnetError("conflict", block.count === 1 ? `${index}` : `${index} ${port}`, { errno, cause });
  }
  const advice =
    errno === "EMFILE"
      ? `: each port is an open file, and tsnet may have ${openFilesLimit()}: raise LimitNOFILE of its service, or containerd's for a managed plugin`
      : "";
  return new TsnetError("kernel", `reserve ${block.protocol} port ${port} of ${block.address}${advice}`, { cause });
}
