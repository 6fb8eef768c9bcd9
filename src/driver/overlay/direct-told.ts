import type { DirectEndpoint } from "../../plan/direct.ts";
import type { DirectState } from "../../plan/direct-change.ts";
import type { Element } from "../../plan/elements.ts";
import { type Family, familyOf } from "./way-proofs.ts";

/** The addresses of a host's endpoints to which there are routes, of one family. */
export interface RoutedHost {
  /** Its tunnel address. */
  readonly host: string;
  readonly family: Family;
  readonly ips: ReadonlySet<string>;
}

interface Routed extends RoutedHost {
  readonly ips: Set<string>;
}

/** What the kernel has been told of a network's short way. Whatever is asked or told takes as long as the endpoints it is about. */
export class DirectTold {
  /** Whether all was looked at that there is: what the kernel has besides is an earlier process's. */
  isWhole = false;
  #local: readonly Element[] = [];
  /** By MAC address. */
  readonly #endpoints = new Map<string, DirectEndpoint>();
  /** Whose the route to an address is, as there is one: who came last has taken it from the one before. */
  readonly #owners = new Map<string, { readonly mac: string; readonly routed: Routed }>();
  /** By host and family. */
  readonly #routed = new Map<string, Routed>();

  get isEmpty(): boolean {
    return this.#endpoints.size === 0;
  }

  get macs(): string[] {
    return [...this.#endpoints.keys()];
  }

  /** Everything to which there is a route. */
  get destinations(): string[] {
    return [...this.#owners.keys()];
  }

  isRouted(destination: string): boolean {
    return this.#owners.has(destination);
  }

  get routed(): RoutedHost[] {
    return [...this.#routed.values()];
  }

  /** The hosts, by tunnel address, that there are routes to endpoints of. */
  get hosts(): Set<string> {
    return new Set(this.routed.map(({ host }) => host));
  }

  /** Of some endpoints. */
  of(macs: Iterable<string>): DirectState {
    const endpoints = new Map<string, DirectEndpoint>();
    for (const mac of macs) {
      const one = this.#endpoints.get(mac);
      if (one !== undefined) endpoints.set(mac, one);
    }
    return { local: this.#local, endpoints };
  }

  /** @param macs all that the state is about: those that are not in it are no more */
  put(macs: Iterable<string>, { local, endpoints }: DirectState): void {
    this.#local = local;
    for (const mac of macs) {
      this.#drop(mac);
      const one = endpoints.get(mac);
      if (one === undefined) continue;
      for (const { destination } of one.routes) this.#take(destination, mac, one.host);
      this.#endpoints.set(mac, one);
    }
  }

  /** Nobody knows any more what the kernel has of it. */
  doubt(): void {
    this.#local = [];
    for (const [mac, one] of this.#endpoints) this.#endpoints.set(mac, { ...one, isUnsure: true });
  }

  #drop(mac: string): void {
    for (const { destination } of this.#endpoints.get(mac)?.routes ?? []) this.#release(destination);
    this.#endpoints.delete(mac);
  }

  #take(destination: string, mac: string, host: string): void {
    const before = this.#owners.get(destination)?.mac;
    const loser = before === undefined || before === mac ? undefined : this.#endpoints.get(before);
    if (before !== undefined && loser !== undefined) {
      const routes = loser.routes.filter((route) => route.destination !== destination);
      this.#endpoints.set(before, { ...loser, routes });
    }
    this.#release(destination);
    const family = familyOf(destination);
    const key = `${host} ${family}`;
    const routed = this.#routed.get(key) ?? { host, family, ips: new Set() };
    this.#routed.set(key, routed);
    routed.ips.add(destination);
    this.#owners.set(destination, { mac, routed });
  }

  #release(destination: string): void {
    const routed = this.#owners.get(destination)?.routed;
    if (routed === undefined) return;
    this.#owners.delete(destination);
    routed.ips.delete(destination);
    if (routed.ips.size === 0) this.#routed.delete(`${routed.host} ${routed.family}`);
  }
}
