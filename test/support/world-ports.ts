/** Ports of a world's host: those that tsnet holds, in blocks, and those that other programs listen on. */
import type { HostPort } from "../../src/driver/kernel.ts";
import { TsnetError } from "../../src/errors.ts";
import type { ProxiedPort } from "../../src/plan/observed.ts";

interface Held {
  readonly block: HostPort;
  /** By port. */
  readonly passed: Map<number, { readonly connections: number; readonly bytes: number }>;
}

const nothing = { connections: 0, bytes: 0 };

/** Whether two host addresses have an address in common: "0.0.0.0" has all of IPv4, "::" all of IPv6. */
function meet(one: string, other: string): boolean {
  const covers = (any: string, address: string): boolean => any === (address.includes(":") ? "::" : "0.0.0.0");
  return one === other || covers(one, other) || covers(other, one);
}

const blockText = ({ protocol, address, port, count }: HostPort): string =>
  `${protocol} ${address} ${count === 1 ? port : `${port}-${port + count - 1}`}`;

export class WorldPorts {
  /** False once the host has no IPv6. */
  hasIpv6 = true;
  readonly #foreign: ReadonlySet<string>;
  #held = new Map<string, Held>();
  /** Addresses by protocol and port. */
  readonly #byPort = new Map<string, Set<string>>();

  /** @param foreign "tcp 0.0.0.0 80" */
  constructor(foreign: ReadonlySet<string>) {
    this.#foreign = foreign;
  }

  /** All or none. A block in the call is in the way of those after it. */
  reserve(blocks: readonly HostPort[]): void {
    const done: HostPort[] = [];
    try {
      for (const [index, block] of blocks.entries()) {
        this.#refuse(index, block);
        this.#hold(block);
        done.push(block);
      }
    } catch (error) {
      this.release(done);
      throw error;
    }
  }

  /** Blocks that are not held exactly so are ignored. */
  release(blocks: readonly HostPort[]): void {
    for (const block of blocks) {
      if (!this.#held.delete(blockText(block))) continue;
      for (const port of portsOf(block)) this.#byPort.get(`${block.protocol} ${port}`)?.delete(block.address);
    }
  }

  clear(): void {
    this.#held = new Map();
    this.#byPort.clear();
  }

  /** Something was passed on by the socket of a port. */
  pass(protocol: string, address: string, port: number, bytes: number): void {
    const held = [...this.#held.values()].find(
      ({ block }) => block.protocol === protocol && block.address === address && portsOf(block).includes(port),
    );
    if (held?.block.target == null) throw new Error(`${protocol} port ${port} of ${address} is not proxied`);
    const before = held.passed.get(port) ?? nothing;
    held.passed.set(port, { connections: before.connections + 1, bytes: before.bytes + bytes });
  }

  proxied(): ProxiedPort[] {
    return [...this.#held.values()]
      .filter(({ block }) => block.target !== null)
      .flatMap(({ block, passed }) =>
        portsOf(block).map((port) => ({
          ...{ protocol: block.protocol, address: block.address, port },
          ...(passed.get(port) ?? nothing),
        })),
      );
  }

  /** The blocks with what becomes of packets: "tcp :: 8000-8001 to fd00::2 80", "udp 0.0.0.0 53". */
  list(): string[] {
    return [...this.#held.values()]
      .map(({ block }) => {
        const { target, sources } = block;
        const from = sources.length === 0 ? "" : ` from ${sources.join()}`;
        return `${blockText(block)}${target === null ? "" : ` to ${target.address} ${target.port}`}${from}`;
      })
      .toSorted();
  }

  singles(): string[] {
    return [...this.#held.values()]
      .flatMap(({ block }) => portsOf(block).map((port) => `${block.protocol} ${block.address} ${port}`))
      .toSorted();
  }

  #refuse(index: number, block: HostPort): void {
    const { protocol, address, count } = block;
    if (address === "::" && !this.hasIpv6) throw new TsnetError("conflict", `${index}`, { errno: "EADDRNOTAVAIL" });
    for (const port of portsOf(block)) {
      const errno = this.#isHeld(protocol, address, port)
        ? "EALREADY"
        : this.#isForeign(protocol, address, port)
          ? "EADDRINUSE"
          : undefined;
      if (errno === undefined) continue;
      throw new TsnetError("conflict", count === 1 ? `${index}` : `${index} ${port}`, { errno });
    }
  }

  #hold(block: HostPort): void {
    this.#held.set(blockText(block), { block: structuredClone(block), passed: new Map() });
    for (const port of portsOf(block)) {
      const key = `${block.protocol} ${port}`;
      this.#byPort.set(key, (this.#byPort.get(key) ?? new Set()).add(block.address));
    }
  }

  #isHeld(protocol: string, address: string, port: number): boolean {
    return [...(this.#byPort.get(`${protocol} ${port}`) ?? [])].some((held) => meet(held, address));
  }

  #isForeign(protocol: string, address: string, port: number): boolean {
    return [...this.#foreign].some((text) => {
      const [foreignProtocol, foreignAddress = "", foreignPort] = text.split(" ");
      return foreignProtocol === protocol && foreignPort === `${port}` && meet(foreignAddress, address);
    });
  }
}

const portsOf = ({ port, count }: HostPort): number[] => Array.from({ length: count }, (_, step) => port + step);
