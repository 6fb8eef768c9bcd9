/** Links, addresses and routes of a world. */
import { TsnetError } from "../../src/errors.ts";
import { parseHostAddress } from "../../src/net/cidr.ts";
import type {
  Observed,
  ObservedAddress,
  ObservedLink,
  ObservedNeighbor,
  ObservedRoute,
  ObservedRoutes,
  ObservedVxlan,
} from "../../src/plan/observed.ts";

import type { RestoreLanLink } from "../../src/plan/op-links.ts";
import type { PortFlags } from "../../src/plan/op-overlay.ts";

/** A link as the world keeps it. */
export interface WorldLink {
  readonly index: number;
  name: string;
  readonly kind: string;
  alias: string;
  mac: string;
  mtuBytes: number;
  up: boolean;
  master: number;
  group: number;
  hairpin: boolean;
  nfCall: boolean;
  /** Of a bridge in a namespace of ours: whether it shows bridged packets of IPv4 to tables. */
  filtersIpv4?: boolean;
  /** "" is the host's. */
  namespace: string;
  /** Index of the other end of a pair; 0 for none. */
  peer: number;
  /** Index of the link that it is on; 0 for none. */
  lower: number;
  vlanId?: number;
  vxlan?: ObservedVxlan;
  /** Of a port of a bridge in a namespace of ours. */
  flags?: PortFlags;
  /** Mode of a macvlan or ipvlan link. */
  lanMode?: string;
  /** What it has in a sandbox, if it was restored there. */
  restored?: Pick<RestoreLanLink, "addresses" | "gateways" | "onLink">;
}

/** The kernel's refusal. */
export const kernelError = (errno: string, message: string): TsnetError =>
  new TsnetError("kernel", `${message}: ${errno}`, { errno });

export class WorldLinks {
  all: WorldLink[] = [];
  addresses: ObservedAddress[] = [];
  routes: ObservedRoute[] = [];
  neighbors: ObservedNeighbor[] = [];
  #nextIndex = 1;

  constructor() {
    this.add("lo", "", { up: true });
    this.addAddress(this.require("lo"), "127.0.0.1/8");
  }

  add(name: string, kind: string, values: Partial<WorldLink> = {}): WorldLink {
    if (this.find(name, values.namespace) !== undefined) throw kernelError("EEXIST", name);
    const index = this.#nextIndex++;
    const defaults = {
      alias: "",
      mac: `02:00:00:00:00:${index.toString(16).padStart(2, "0")}`,
      mtuBytes: 1500,
      up: false,
    };
    const ports = {
      master: 0,
      group: 0,
      lower: 0,
      hairpin: false,
      nfCall: false,
      namespace: "",
      peer: 0,
    };
    const link = { index, name, kind, ...defaults, ...ports, ...values };
    this.all.push(link);
    return link;
  }

  /** A link of the host's namespace, or of another. */
  find(name: string, namespace = ""): WorldLink | undefined {
    return this.all.find((link) => link.name === name && link.namespace === namespace);
  }

  require(name: string): WorldLink {
    const link = this.find(name);
    if (link === undefined) throw kernelError("ENODEV", name);
    return link;
  }

  nameOf(index: number): string {
    return this.all.find((link) => link.index === index)?.name ?? `#${index}`;
  }

  /** A link, the other end of a pair, and all that is on them, in any namespace. */
  withAllOn(link: WorldLink): WorldLink[] {
    const pair = this.all.filter(({ index }) => index === link.index || index === link.peer);
    const on = this.all.filter(({ lower }) => pair.some(({ index }) => index === lower));
    return [...pair, ...on.flatMap((one) => this.withAllOn(one))];
  }

  /** Removes a link with all that hangs on it, and the other end of a pair. */
  remove(link: WorldLink): void {
    const gone = this.withAllOn(link).map(({ index }) => index);
    this.neighbors = this.neighbors.filter((one) => !gone.includes(one.link));
    this.all = this.all.filter(({ index }) => !gone.includes(index));
    for (const other of this.all) if (gone.includes(other.master)) other.master = 0;
    this.addresses = this.addresses.filter((address) => !gone.includes(address.link));
    this.routes = this.routes.filter((route) => !gone.includes(route.link));
  }

  /** The kernel adds the route of an address itself (RTPROT_KERNEL), if the link is up. */
  addAddress(link: WorldLink, address: string): void {
    if (this.addresses.some((held) => held.link === link.index && held.address === address)) return;
    this.addresses.push({ link: link.index, address });
    if (link.up) this.addConnectedRoute(link, address);
  }

  addConnectedRoute(link: WorldLink, address: string): void {
    this.addRoute(link, parseHostAddress(address).subnet.text);
  }

  addRoute(link: WorldLink, destination: string, source = ""): void {
    if (!link.up) throw kernelError("ENETDOWN", `route ${destination} dev ${link.name}`);
    this.routes = this.routes.filter((route) => route.link !== link.index || route.destination !== destination);
    this.routes.push({ destination, link: link.index, table: 254, protocol: 2, source });
  }

  removeAddress(link: WorldLink, address: string): void {
    this.addresses = this.addresses.filter((held) => held.link !== link.index || held.address !== address);
    const { subnet } = parseHostAddress(address);
    this.routes = this.routes.filter((route) => route.link !== link.index || route.destination !== subnet.text);
  }

  /** A link that goes down loses its routes, and keeps its IPv4 addresses. */
  dropRoutes(link: WorldLink): void {
    this.routes = this.routes.filter((route) => route.link !== link.index);
  }

  observe(link: WorldLink): ObservedLink {
    const { index, name, kind, alias, mac, mtuBytes, up, master, group, lower, vlanId } = link;
    const ofKind = kind === "bridge" ? { nfCall: link.nfCall } : {};
    const ofVlan = vlanId === undefined ? {} : { vlanId };
    const ofVxlan = link.vxlan === undefined ? {} : { vxlan: link.vxlan };
    const ofPort = master === 0 ? {} : { hairpin: link.hairpin };
    return {
      index,
      name,
      kind,
      alias,
      mac,
      mtuBytes,
      up,
      master,
      group,
      carrier: this.#hasCarrier(link),
      lower,
      ...ofVlan,
      ...ofVxlan,
      ...ofKind,
      ...ofPort,
    };
  }

  /** A link on another has its carrier. */
  #hasCarrier({ up, lower }: WorldLink): boolean {
    const base = this.all.find(({ index }) => index === lower);
    return up && (base === undefined || this.#hasCarrier(base));
  }

  routed(): string {
    const routes = this.routes.map(
      ({ destination, table, link }) => `${destination} unicast ${table} ${this.nameOf(link)}`,
    );
    const addresses = this.addresses.map(({ address, link }) => `${address} address 0 ${this.nameOf(link)}`);
    return [...routes, ...addresses].join("\n");
  }

  snapshot(routes: ObservedRoutes = "of bridges and shims"): Observed {
    const links = this.all.filter(({ namespace }) => namespace === "").map((link) => this.observe(link));
    const isMeant = (index: number): boolean =>
      links.some(
        (link) => link.index === index && (link.kind === "bridge" || /^tsnet:(shim|gateway):/.test(link.alias)),
      );
    const wanted = this.routes.filter(({ link }) => routes === "all" || isMeant(link));
    return { links, addresses: [...this.addresses], routes: wanted, neighbors: [...this.neighbors] };
  }
}
