import { containsIp, parseHostAddress, parseIp } from "../../net/cidr.ts";
import { isEthernet, type Way, wayTo } from "../../plan/direct.ts";
import type { ObservedLink } from "../../plan/observed.ts";
import type { Kernel } from "../kernel.ts";

/** The ways to other hosts, as the routing was when it was last looked at. */
export class Ways {
  readonly #kernel: Pick<Kernel, "observe" | "observePath" | "followPaths">;
  readonly #ipv6Of: (host: string) => string | null;
  /** By tunnel address. */
  #ways: ReadonlyMap<string, Way> = new Map();
  /** By tunnel address. */
  #links: ReadonlyMap<string, readonly string[]> = new Map();
  /** The addresses of IPv6 that they were made with, by tunnel address. */
  #ipv6: ReadonlyMap<string, string | null> = new Map();

  /** @param ipv6Of ControlPlane.ipv6Of */
  constructor(
    kernel: Pick<Kernel, "observe" | "observePath" | "followPaths">,
    ipv6Of: (host: string) => string | null,
  ) {
    this.#kernel = kernel;
    this.#ipv6Of = ipv6Of;
  }

  /** undefined for a host that was not looked for. */
  to(host: string): Way | undefined {
    return this.#ways.get(host);
  }

  /** Whether a host was looked for, and is still where it was. */
  isKnown(host: string): boolean {
    return this.#ways.has(host) && this.#ipv6.get(host) === this.#ipv6Of(host);
  }

  /**
   * The names of the links that packets of these hosts may come in by without a tunnel: those that lead to them by a short way, and that
   * of this host's address where they are in its subnet. These take this host for a neighbor, wherever it sends itself.
   */
  linksTo(hosts: Iterable<string>): string[] {
    return [...new Set([...hosts].flatMap((host) => this.#links.get(host) ?? []))].sort();
  }

  /**
   * Looks at the routing, and is told from now on when it changes.
   * @param hosts the tunnel addresses of all that are of concern
   * @param local this host's
   * @returns the hosts to which the way is another than before
   */
  async look(hosts: ReadonlySet<string>, local: ReadonlySet<string>): Promise<string[]> {
    const ipv6 = new Map([...hosts].map((host) => [host, this.#ipv6Of(host)]));
    const { links, addresses } = await this.#kernel.observe();
    // of a link without one, the kernel takes no next hop of IPv6: net.ipv6.conf.*.disable_ipv6
    const with6 = new Set(addresses.flatMap(({ link, address }) => (address.includes(":") ? [link] : [])));
    const own = addresses
      .map(({ link, address }) => ({ index: link, ...parseHostAddress(address) }))
      .filter(({ ip }) => local.has(ip.text))
      .map((one) => ({ ...one, link: links.find(({ index }) => index === one.index) }));
    const followed = new Set(own.flatMap(({ link }) => link?.name ?? []));
    const byName = new Map<string, ObservedLink>(links.map((link) => [link.name, link]));
    const ways = new Map<string, Way>();
    const short = new Map<string, string[]>();
    for (const host of hosts) {
      const path = await this.#kernel.observePath(host);
      const link = byName.get(path?.link ?? "");
      const way = wayTo(host, path, link, link && with6.has(link.index) ? ipv6.get(host) : null);
      const ip = parseIp(host);
      const near = own.flatMap((one) =>
        containsIp(one.subnet, ip) && one.link && isEthernet(one.link) ? [one.link.name] : [],
      );
      ways.set(host, way);
      short.set(host, way.isDirect ? [...near, way.link] : near);
      if (path !== undefined) followed.add(path.link);
    }
    followed.delete("lo");
    const changed = [...new Set([...hosts, ...this.#ways.keys()])].filter(
      (host) => JSON.stringify(ways.get(host)) !== JSON.stringify(this.#ways.get(host)),
    );
    this.#ways = ways;
    this.#links = short;
    this.#ipv6 = ipv6;
    await this.#kernel.followPaths([...hosts], [...followed]);
    return changed;
  }
}
