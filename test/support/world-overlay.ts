/** Network namespaces of ours in a world, with the links and forwarding entries in them. */
import type { Kernel } from "../../src/driver/kernel.ts";
import { TsnetError } from "../../src/errors.ts";
import type { ObservedNamespace } from "../../src/plan/observed.ts";
import type { InnerOp, Op } from "../../src/plan/op.ts";
import type { EnsureBridge, RemoveLinks } from "../../src/plan/op-links.ts";
import type { EnsureInnerVeth, EnsureVxlan } from "../../src/plan/op-overlay.ts";
import type { Place } from "../../src/plan/places.ts";
import { removedGroup } from "../../src/plan/reconcile.ts";
import type { World } from "./world.ts";
import { kernelError, type WorldLink } from "./world-links.ts";
import { forgetVirtualFlows, vipExecutors, WorldVips } from "./world-vips.ts";

/** Where what is behind a MAC address is: an entry lives as long as the link that it is on. */
interface WorldPlace {
  readonly place: Place;
  /** Index of the port. */
  readonly on: number;
}

/** What the kernel has in a namespace besides links. */
export class WorldNamespace {
  isPinned = true;
  readonly places = new Map<string, WorldPlace>();
  /** The flood list of the VXLAN link, with its index. */
  readonly vteps = new Map<string, number>();
  readonly vips = new WorldVips();
}

/** What a process has asked for in a namespace; it forgets that when it ends. */
export class WorldEntries {
  bridge = "";
  vxlan = "";
  readonly places = new Map<string, Place>();
  vteps: readonly string[] = [];
}

export const namespaceOf = (world: World, name: string): WorldNamespace => {
  const found = world.namespaces.get(name);
  if (found !== undefined) return found;
  throw new TsnetError("not-found", `${name} is no network namespace: ENOENT`, { errno: "ENOENT" });
};

const linksIn = ({ links }: World, name: string): WorldLink[] =>
  links.all.filter(({ namespace }) => namespace === name);

function linkIn(world: World, namespace: string, name: string): WorldLink {
  const link = linksIn(world, namespace).find((one) => one.name === name);
  if (link !== undefined) return link;
  throw kernelError("ENODEV", `${name} in ${namespace}`);
}

/** What is there, by the links that are. */
export function dumpNamespaces(world: World): object[] {
  return [...world.namespaces]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name]) => {
      dropStale(world, name);
      const { isPinned, places, vteps } = namespaceOf(world, name);
      const links = linksIn(world, name).filter(({ group }) => group !== removedGroup);
      return {
        ...{ name, isPinned },
        links: links.map((link) => `${link.name} ${link.alias}`).toSorted(),
        ports: links.filter(({ master, up }) => up && master !== 0).length,
        places: [...places.values()].map(({ place }) => textOf(place)).toSorted(),
        vteps: [...vteps.keys()].toSorted(),
      };
    });
}

export const textOf = ({ mac, ips, port, vtep }: Place): string => `${mac} ${ips.join(",")} at ${port} ${vtep ?? ""}`;

/** Entries go with the link that they are on; neighbors are the bridge's. */
function dropStale(world: World, name: string): void {
  const { places, vteps } = namespaceOf(world, name);
  const there = new Set(
    linksIn(world, name)
      .filter(({ group }) => group !== removedGroup)
      .map(({ index }) => index),
  );
  const hasBridge = linksIn(world, name).some(({ kind, group }) => kind === "bridge" && group !== removedGroup);
  for (const [mac, { on }] of places) if (!there.has(on) || !hasBridge) places.delete(mac);
  for (const [vtep, on] of vteps) if (!there.has(on)) vteps.delete(vtep);
}

export const observeNamespace = (world: World, name: string): ObservedNamespace | null => {
  const found = world.namespaces.get(name);
  if (found === undefined) return null;
  const links = linksIn(world, name).map((link) => ({
    ...{ ...world.links.observe(link), flags: link.flags ?? null },
    ...(link.kind === "bridge" ? { filtersIpv4: link.filtersIpv4 ?? false } : {}),
  }));
  const isIn = ({ link }: { readonly link: number }): boolean => links.some(({ index }) => index === link);
  const { addresses, routes } = world.links;
  return { links, addresses: addresses.filter(isIn), routes: routes.filter(isIn), isPinned: found.isPinned };
};

/** Compares what was asked for with what is there. */
export function repairEntries(
  world: World,
  name: string,
  isComplete: boolean,
): Awaited<ReturnType<Kernel["repairEntries"]>> {
  const asked = world.asked.get(name);
  if (asked === undefined || !world.namespaces.has(name)) return [];
  dropStale(world, name);
  const { places, vteps } = namespaceOf(world, name);
  const reasons: string[] = [];
  for (const place of asked.places.values()) {
    const found = places.get(place.mac);
    if (found !== undefined && textOf(found.place) === textOf(place)) continue;
    reasons.push(`place ${textOf(place)} is gone`);
    putPlace(world, name, place);
  }
  for (const vtep of asked.vteps) {
    if (vteps.has(vtep)) continue;
    reasons.push(`host ${vtep} is gone`);
    vteps.set(vtep, linkIn(world, name, asked.vxlan).index);
  }
  if (!isComplete) return reasons;
  for (const [mac, { place }] of places) {
    if (asked.places.has(mac)) continue;
    reasons.push(`place ${textOf(place)} is nobody's`);
    places.delete(mac);
  }
  for (const vtep of vteps.keys()) {
    if (asked.vteps.includes(vtep)) continue;
    reasons.push(`host ${vtep} is nobody's`);
    vteps.delete(vtep);
  }
  return reasons;
}

function putPlace(world: World, name: string, place: Place): void {
  namespaceOf(world, name).places.set(place.mac, { place, on: linkIn(world, name, place.port).index });
}

/** The namespace goes, with what is in it, and the other ends of pairs. */
export function destroyNamespace(world: World, name: string): void {
  for (const link of linksIn(world, name)) world.links.remove(link);
  world.namespaces.delete(name);
  world.asked.delete(name);
  world.askedTables.delete(name);
}

type InnerExecutors = {
  readonly [K in InnerOp["op"]]: (world: World, op: Extract<InnerOp, { op: K }>, name: string) => void;
};

const inner: InnerExecutors = {
  "ensure-bridge": ensureBridge,
  "ensure-address": (world, { link, address }, name) => world.links.addAddress(linkIn(world, name, link), address),
  ...vipExecutors,
  "change-direct": () => {},
  "set-tx-checksum": () => {},
  "remove-links": removeLinks,
  "ensure-places": (world, { bridge, vxlan, places }, name) => {
    const asked = askedOf(world, name, bridge, vxlan);
    for (const place of places) {
      asked.places.set(place.mac, place);
      putPlace(world, name, place);
    }
  },
  "remove-places": (world, { macs }, name) => {
    for (const mac of macs) {
      if (world.asked.get(name)?.places.delete(mac)) namespaceOf(world, name).places.delete(mac);
    }
  },
  "set-flood-list": (world, { bridge, vxlan, vteps }, name) => {
    const asked = askedOf(world, name, bridge, vxlan);
    const there = namespaceOf(world, name).vteps;
    for (const vtep of asked.vteps) if (!vteps.includes(vtep)) there.delete(vtep);
    for (const vtep of vteps) there.set(vtep, linkIn(world, name, vxlan).index);
    asked.vteps = vteps;
  },
};

function askedOf(world: World, name: string, bridge: string, vxlan: string): WorldEntries {
  const asked = world.asked.get(name) ?? new WorldEntries();
  world.asked.set(name, asked);
  return Object.assign(asked, { bridge, vxlan });
}

function ensureBridge(world: World, { name, alias, mac, mtuBytes }: EnsureBridge, namespace: string): void {
  const found = linksIn(world, namespace).find((link) => link.name === name);
  const link = found ?? world.links.add(name, "bridge", { namespace, alias: alias ?? "" });
  Object.assign(link, { mac, up: true, mtuBytes: mtuBytes ?? link.mtuBytes });
}

function removeLinks(world: World, op: RemoveLinks, namespace: string): void {
  for (const { name, alias } of op.links) {
    const link = linksIn(world, namespace).find((one) => one.name === name && one.alias === alias);
    if (link) Object.assign(link, { name: `tsd-${link.index}`, group: removedGroup, up: false, master: 0 });
  }
}

function ensureVxlan(world: World, op: EnsureVxlan): void {
  namespaceOf(world, op.namespace);
  const { vni, port, local, mtuBytes } = op;
  const vxlan = { vni, port, local, learning: op.flags.learning };
  let link = linksIn(world, op.namespace).find(({ name }) => name === op.name);
  if (link !== undefined && JSON.stringify(link.vxlan) !== JSON.stringify(vxlan)) {
    world.links.remove(link);
    link = undefined;
  }
  const isTaken = world.links.all.some(
    (other) => other !== link && other.vxlan?.vni === vni && other.vxlan.port === port,
  );
  if (isTaken) throw new TsnetError("conflict", `VNI ${vni} is in use on this host: EEXIST`, { errno: "EEXIST" });
  const values = { namespace: op.namespace, alias: op.alias, mtuBytes, vxlan };
  const master = linkIn(world, op.namespace, op.master).index;
  Object.assign(link ?? world.links.add(op.name, "vxlan", values), { up: true, master, flags: op.flags });
}

function ensureInnerVeth(world: World, op: EnsureInnerVeth): void {
  const { links } = world;
  const { namespace, mtuBytes } = op;
  const master = linkIn(world, namespace, op.master).index;
  const found = linksIn(world, namespace).find(({ name }) => name === op.name);
  const left = links.find(op.peer);
  if (found === undefined && left !== undefined) {
    if (left.alias !== op.peerAlias) throw kernelError("EEXIST", `ensure-inner-veth ${op.peer}`);
    links.remove(left);
  }
  const end = found ?? links.add(op.name, "veth", { namespace, alias: op.alias, mtuBytes });
  if (found === undefined) {
    end.peer = links.add(op.peer, "veth", { alias: op.peerAlias, mtuBytes, peer: end.index }).index;
  }
  Object.assign(end, { master, up: true, flags: op.flags, alias: op.alias });
  const peer = links.find(op.peer);
  if (peer === undefined || op.peerMac === null) return;
  const atLeast = Math.max(peer.mtuBytes, mtuBytes);
  Object.assign(peer, { mac: op.peerMac, up: true, alias: op.peerAlias, mtuBytes: atLeast });
  // the kernel gives a link that comes up the routes of its addresses back
  const held = links.addresses.filter(({ link }) => link === peer.index);
  for (const { address } of held) links.addConnectedRoute(peer, address);
}

type OverlayOp =
  | ("ensure-namespace" | "remove-namespace" | "in-namespace" | "ensure-vxlan" | "ensure-inner-veth")
  | "forget-virtual-flows";

export const overlayExecutors: {
  readonly [K in OverlayOp]: (world: World, op: Extract<Op, { op: K }>) => void;
} = {
  "ensure-namespace": (world, { name }) => {
    const found = world.namespaces.get(name) ?? new WorldNamespace();
    found.isPinned = true;
    world.namespaces.set(name, found);
  },
  "remove-namespace": (world, { name }) => destroyNamespace(world, name),
  "in-namespace": (world, { namespace, ops }) => {
    namespaceOf(world, namespace);
    const executors = inner as Record<InnerOp["op"], (world: World, op: InnerOp, name: string) => void>;
    for (const op of ops) executors[op.op](world, op, namespace);
  },
  "forget-virtual-flows": forgetVirtualFlows,
  "ensure-vxlan": ensureVxlan,
  "ensure-inner-veth": ensureInnerVeth,
};
