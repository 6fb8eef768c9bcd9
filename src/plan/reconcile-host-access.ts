/** Host access as it should be against what there is: see reconcile.ts. */
import { parseHostAddress } from "../net/cidr.ts";
import { linkAlias, shimName } from "../net/names.ts";
import { type ParentState, planShim, planShimAddresses, type Reach, reachesOf, shimAddresses } from "./host-access.ts";
import { type Endpoint, isLan, type LanNetwork, type Network } from "./network.ts";
import type { Observed, ObservedLink } from "./observed.ts";
import type { Op } from "./op.ts";
import type { Repair, Wanted } from "./reconcile.ts";

/** RT_TABLE_MAIN and RTPROT_KERNEL of include/uapi/linux/rtnetlink.h: what `ensure-route` makes. */
const mainTable = 254;
const kernelsOwn = 2;

/**
 * What a network with host access lacks, and what there is too much; nothing while its parent is not there.
 * @param busy as Recorded has it: ways to these endpoints are not missed
 */
export function planHostAccessRepairs(
  wanted: Wanted,
  observed: Observed,
  busy: ReadonlySet<string> = new Set(),
): Repair[] {
  // one that is being made has its addresses only after the LAN was asked for them
  const networks = [...wanted.networks.values()].filter(hasHostAccess).filter(({ ready }) => ready);
  if (networks.length === 0) return [];
  const links = new Map(observed.links.map((link) => [link.name, link]));
  const endpoints = Map.groupBy(wanted.endpoints.values(), ({ network }) => network);
  return networks.flatMap((network) => {
    const parent = links.get(network.parent.name);
    const shim = links.get(shimName(network.id));
    if (parent === undefined) return [];
    if (shim !== undefined && shim.alias !== linkAlias("shim", network.id)) return [];
    return repairNetwork({ network, endpoints: endpoints.get(network.id) ?? [], busy, parent, observed }, shim);
  });
}

const hasHostAccess = (network: Network): network is LanNetwork => isLan(network) && network.hostAccess !== null;

interface Compared {
  readonly network: LanNetwork;
  readonly endpoints: readonly Endpoint[];
  readonly busy: ReadonlySet<string>;
  readonly parent: ObservedLink;
  readonly observed: Observed;
}

function repairNetwork(compared: Compared, shim: ObservedLink | undefined): Repair[] {
  const { network, endpoints, busy, parent, observed } = compared;
  const state: ParentState = { mac: parent.mac, addresses: addressesOf(parent, observed) };
  const needed: Reach[] = [];
  const reaches = endpoints.flatMap((endpoint) => {
    const own = reachesOf(network, endpoint, state);
    if (!busy.has(endpoint.id)) needed.push(...own);
    return own;
  });
  const problem = shim === undefined ? "is gone" : shimProblem(network, shim, parent);
  if (shim !== undefined && problem === "") return repairShim(network, shim, { reaches, needed }, observed);
  const reason = `link ${shimName(network.id)}, by which the host reaches network ${network.id}, ${problem}`;
  const ops = [...planShim(network, state), ...planShimAddresses(network), ...reaches.flat()];
  return [{ kind: "links", reason, ops }];
}

function shimProblem({ mtuBytes }: LanNetwork, shim: ObservedLink, parent: ObservedLink): string {
  if (shim.lower !== parent.index) return `is not on ${parent.name}`;
  if (!shim.up) return "is down";
  return shim.mtuBytes === (mtuBytes ?? parent.mtuBytes) ? "" : `has the MTU ${shim.mtuBytes}`;
}

const addressesOf = ({ index }: ObservedLink, { addresses }: Observed): string[] =>
  addresses.filter(({ link }) => link === index).map(({ address }) => address);

/** A shim that is as it should be, and what is not on it. */
function repairShim(
  network: LanNetwork,
  shim: ObservedLink,
  { reaches, needed }: { readonly reaches: readonly Reach[]; readonly needed: readonly Reach[] },
  observed: Observed,
): Repair[] {
  const held = new Set(addressesOf(shim, observed));
  const lost = shimAddresses(network).find((address) => !held.has(address));
  return [
    ...(lost === undefined ? [] : [lostAddress(network, shim, lost)]),
    ...missingReaches(network, shim, needed, observed),
    ...leftovers(network, shim, reaches, observed),
  ];
}

const lostAddress = (network: LanNetwork, { name }: ObservedLink, address: string): Repair => ({
  kind: "addresses",
  reason: `link ${name} of network ${network.id} lacks its address ${address}`,
  ops: planShimAddresses(network),
});

function missingReaches(
  { id }: LanNetwork,
  shim: ObservedLink,
  reaches: readonly Reach[],
  { routes, neighbors }: Observed,
): Repair[] {
  const there = new Set([
    ...routes.filter(({ table }) => table === mainTable).map((one) => `${one.link} ${one.destination} ${one.source}`),
    ...neighbors.map(({ link, address, mac }) => `${link} ${address} at ${mac}`),
  ]);
  const missing = reaches.flat().filter((op) => {
    const what = op.op === "ensure-route" ? `${op.destination} ${op.source ?? ""}` : `${op.address} at ${op.mac}`;
    return !there.has(`${shim.index} ${what}`);
  });
  const [first] = missing;
  if (first === undefined) return [];
  const what = first.op === "ensure-route" ? `route to ${first.destination}` : `neighbor ${first.address}`;
  const more = missing.length === 1 ? "" : `, and ${missing.length - 1} more`;
  const reason = `link ${shim.name} of network ${id}: ${what}${more} of the host's was gone or not as it should be`;
  return [{ kind: "routes", reason, ops: missing }];
}

/** Ways to containers that are no more: a crash cut their removal off. Routes of an administrator's own are of another protocol. */
function leftovers(network: LanNetwork, shim: ObservedLink, reaches: readonly Reach[], observed: Observed): Repair[] {
  const wanted = new Set([
    ...shimAddresses(network).map((address) => parseHostAddress(address).ip.text),
    ...reaches.map(([, { address }]) => address),
  ]);
  const isOdd = ({ link, address }: { link: number; address: string }): boolean =>
    link === shim.index && !wanted.has(address);
  const routes = observed.routes
    .filter(
      ({ table, protocol, destination }) => table === mainTable && protocol === kernelsOwn && isWhole(destination),
    )
    .map(({ link, destination }) => ({ link, address: destination.split("/")[0] ?? "" }));
  const odd = [...new Set([...routes, ...observed.neighbors].filter(isOdd).map(({ address }) => address))];
  if (odd.length === 0) return [];
  const reason = `link ${shim.name} of network ${network.id} leads to ${odd.join(", ")}, which no endpoint has`;
  const ops = odd.flatMap((address): Op[] => [
    { op: "remove-route", link: shim.name, destination: `${address}/${address.includes(":") ? 128 : 32}` },
    { op: "remove-neighbor", link: shim.name, address },
  ]);
  return [{ kind: "leftovers", reason, ops }];
}

const isWhole = (destination: string): boolean => destination.endsWith(destination.includes(":") ? "/128" : "/32");
