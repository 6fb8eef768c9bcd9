/** Wanted against observed for networks with a parent: see reconcile.ts for how records and observations go together. */
import { lanLinkName, linkAlias } from "../net/names.ts";
import { parseVlanName } from "../net/vlan.ts";
import { lanLink, planParent } from "./lan.ts";
import { planLanRoutes } from "./lan-routes.ts";
import { type Endpoint, isLan, type LanNetwork, type Network } from "./network.ts";
import type { Observed, ObservedLink } from "./observed.ts";
import type { Op } from "./op.ts";
import { type Repair, removedGroup, type Wanted } from "./reconcile.ts";

/** The links of ours in the sandboxes that were looked into, by path; null for one that does not exist. */
export type SandboxLinks = ReadonlyMap<string, readonly ObservedLink[] | null>;

/** The link of an endpoint that went with its parent, and comes back. */
export interface Restoration extends Repair {
  readonly network: string;
  readonly endpoint: Pick<Endpoint, "id" | "addresses"> & { readonly sandbox: string };
}

/** What differs, and mends it. */
export interface LanPlan {
  readonly repairs: readonly Repair[];
  /** After the repairs, and only where the container's link is missed still. */
  readonly restorations: readonly Restoration[];
}

/**
 * @param sandboxes none where nothing has happened to a parent
 * @param names what links of endpoints are called in their containers, as far as that is known
 */
export function planLanReconcile(
  wanted: Wanted,
  observed: Observed,
  sandboxes: SandboxLinks,
  names: ReadonlyMap<string, string>,
): LanPlan {
  const all = [...wanted.networks.values()];
  if (!all.some(isLan)) return { repairs: [], restorations: [] };
  const links = linksByName(observed);
  const networks = all.filter(isReadyLan);
  const parents = networks.flatMap((network) => repairParent(network, links));
  const joined = [...wanted.endpoints.values()].flatMap((endpoint) => {
    const network = wanted.networks.get(endpoint.network);
    const found = endpoint.sandbox === null ? undefined : sandboxes.get(endpoint.sandbox);
    if (network === undefined || !isLan(network) || endpoint.sandbox === null || !found) return [];
    const name = names.get(endpoint.id);
    return [{ network, endpoint: { ...endpoint, sandbox: endpoint.sandbox }, found, name }];
  });
  return {
    repairs: [...onceEach(parents), ...joined.flatMap((one) => repairMtu(one, links))],
    // those without a known name take what is left, in the order in which they were recorded
    restorations: joined
      .toSorted((a, b) => Number(a.name === undefined) - Number(b.name === undefined))
      .flatMap((one) => restore(one, links)),
  };
}

/** Those that wait for their deletion count for nothing. */
export const linksByName = ({ links }: Pick<Observed, "links">): ReadonlyMap<string, ObservedLink> =>
  new Map(links.filter(({ group }) => group !== removedGroup).map((link) => [link.name, link]));

const isReadyLan = (network: Network): network is LanNetwork => isLan(network) && network.ready;

/** Whether a network's parent is there, or is for tsnet to make, and can be made. */
export function hasParent({ parent }: LanNetwork, links: ReadonlyMap<string, ObservedLink>): boolean {
  if (links.has(parent.name) || parent.kind === "dummy") return true;
  return parent.kind === "vlan" && links.has(parseVlanName(parent.name).base);
}

/** A parent of ours that is not there, is down, or has not the MTU that it should have. */
function repairParent(network: LanNetwork, links: ReadonlyMap<string, ObservedLink>): Repair[] {
  const { parent } = network;
  if (parent.kind === "link" || !hasParent(network, links)) return [];
  const text = parentDifference(network, links);
  if (text === "") return [];
  return [
    { kind: "links", reason: `parent ${parent.name} of network ${network.id} ${text}`, ops: planParent(network) },
  ];
}

function parentDifference({ id, parent, mtuBytes }: LanNetwork, links: ReadonlyMap<string, ObservedLink>): string {
  const link = links.get(parent.name);
  if (link === undefined) return "is gone";
  if (parent.kind === "dummy") {
    if (link.alias !== linkAlias("dummy", id)) return "";
    if (mtuBytes !== null && link.mtuBytes !== mtuBytes) return `has the MTU ${link.mtuBytes}`;
    return link.up ? "" : "is down";
  }
  // the kernel takes it up with its base
  const base = links.get(parseVlanName(parent.name).base);
  if (base === undefined || link.alias !== linkAlias("vlan", parent.name)) return "";
  if (link.mtuBytes !== base.mtuBytes) return `has the MTU ${link.mtuBytes}, and ${base.name} has ${base.mtuBytes}`;
  return link.up || !base.up ? "" : "is down";
}

/** Networks that share a VLAN share its repair. */
function onceEach(repairs: readonly Repair[]): Repair[] {
  const byOps = new Map(repairs.map((repair) => [JSON.stringify(repair.ops), repair]));
  return [...byOps.values()];
}

/** An endpoint in a sandbox that was looked into. */
interface Joined {
  readonly network: LanNetwork;
  readonly endpoint: Endpoint & { readonly sandbox: string };
  readonly found: readonly ObservedLink[];
  /** What its link is called there, if that is known. */
  readonly name: string | undefined;
}

/** The kernel lowers a link's MTU with its parent's, in any namespace, and does not raise it again. */
function repairMtu({ network, endpoint, found }: Joined, links: ReadonlyMap<string, ObservedLink>): Repair[] {
  const alias = linkAlias("lan", endpoint.id);
  const link = found.find((one) => one.alias === alias);
  const parent = links.get(network.parent.name);
  if (link === undefined || parent === undefined) return [];
  const mtuBytes = Math.min(network.mtuBytes ?? parent.mtuBytes, parent.mtuBytes);
  if (link.mtuBytes === mtuBytes) return [];
  const op: Op = { op: "set-sandbox-mtu", sandbox: endpoint.sandbox, alias, mtuBytes };
  const reason = `link ${link.name} of endpoint ${endpoint.id} has the MTU ${link.mtuBytes}, not ${mtuBytes}`;
  return [{ kind: "links", reason, ops: [op] }];
}

/** A link that is not in its container, and does not wait for it. */
function restore({ network, endpoint, found, name }: Joined, links: ReadonlyMap<string, ObservedLink>): Restoration[] {
  const alias = linkAlias("lan", endpoint.id);
  if (links.has(lanLinkName(endpoint.id)) || found.some((link) => link.alias === alias)) return [];
  if (!hasParent(network, links)) return [];
  const { gateway4, gateway6, onLink } = planLanRoutes(endpoint, network);
  const { id, sandbox, addresses } = endpoint;
  const op: Op = {
    ...{ op: "restore-lan-link", ...lanLink(network, endpoint) },
    ...{
      sandbox,
      interfacePrefix: network.interfacePrefix,
      ...(name === undefined ? {} : { interfaceName: name }),
      addresses,
    },
    ...{ gateways: [gateway4, gateway6].filter((gateway) => gateway !== ""), onLink },
  };
  const reason = `link of endpoint ${id} went with its parent ${network.parent.name}`;
  return [{ kind: "links", reason, ops: [op], network: network.id, endpoint: { id, sandbox, addresses } }];
}

/** The links that networks depend on: parents, and what VLANs are on. */
export function followedLinks(networks: Iterable<Network>): ReadonlySet<string> {
  const names = new Set<string>();
  for (const network of networks) {
    if (!isLan(network)) continue;
    names.add(network.parent.name);
    if (network.parent.kind === "vlan") names.add(parseVlanName(network.parent.name).base);
  }
  return names;
}
