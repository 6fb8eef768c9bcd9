/** What virtual IPs need of a world: in its namespaces, the table, what the bridge has and shows, and flows. */
import type { Elements } from "../../src/plan/observed.ts";
import type { ForgetVirtualFlows, SetSysctl } from "../../src/plan/op.ts";
import type { EnsureRoute, RemoveAddress, RemoveRoute } from "../../src/plan/op-links.ts";
import type { SetBridgeFilter, SetHairpin, SetTable } from "../../src/plan/op-overlay.ts";
import type { World } from "./world.ts";
import { kernelError, type WorldLink } from "./world-links.ts";

/** A UDP flow to a virtual IP under way in a namespace. */
export interface WorldVirtualFlow {
  readonly vip: string;
  readonly target: string;
}

/** What the kernel has in a namespace for virtual IPs; the rest is in its links. */
export class WorldVips {
  /** null for no table. */
  table: Elements | null = null;
  readonly sysctls = new Map<string, string>();
  flows: WorldVirtualFlow[] = [];
}

const vipsOf = (world: World, namespace: string): WorldVips => {
  const vips = world.namespaces.get(namespace)?.vips;
  if (vips !== undefined) return vips;
  throw kernelError("ENOENT", namespace);
};

const linkOf = ({ links }: World, namespace: string, name: string): WorldLink => {
  const found = links.find(name, namespace);
  if (found !== undefined) return found;
  throw kernelError("ENODEV", name);
};

export const vipExecutors = {
  "ensure-route": (world: World, { link, destination, source }: EnsureRoute, namespace: string) =>
    world.links.addRoute(linkOf(world, namespace, link), destination, source ?? ""),
  "remove-route": ({ links }: World, { link, destination }: RemoveRoute, namespace: string) => {
    const index = links.find(link, namespace)?.index;
    links.routes = links.routes.filter((route) => route.link !== index || route.destination !== destination);
  },
  "remove-address": ({ links }: World, { link, address }: RemoveAddress, namespace: string) => {
    const found = links.find(link, namespace);
    if (found !== undefined) links.removeAddress(found, address);
  },
  "set-sysctl": (world: World, { key, value }: SetSysctl, namespace: string) => {
    vipsOf(world, namespace).sysctls.set(key.join("/"), value);
  },
  "set-hairpin": ({ links }: World, { name, on }: SetHairpin, namespace: string) => {
    const found = links.find(name, namespace);
    if (found !== undefined && found.master !== 0) found.hairpin = on;
  },
  "set-bridge-filter": (world: World, { name, on }: SetBridgeFilter, namespace: string) => {
    linkOf(world, namespace, name).filtersIpv4 = on;
  },
  "set-table": (world: World, { elements }: SetTable, namespace: string) => {
    const table = Object.keys(elements).length === 0 ? null : elements;
    vipsOf(world, namespace).table = table;
    world.askedTables.set(namespace, table);
  },
};

/** Flows of which nothing is known go on. */
export function forgetVirtualFlows(world: World, { namespace, virtual }: ForgetVirtualFlows): void {
  const vips = world.namespaces.get(namespace)?.vips;
  if (vips === undefined) return;
  vips.flows = vips.flows.filter(({ vip, target }) => {
    const known = virtual.find((one) => one.vip === vip);
    return known === undefined || known.targets.includes(target);
  });
}

/** Compares what was asked for with what is there. */
export function repairTable(world: World, namespace: string): string[] {
  const asked = world.askedTables.get(namespace);
  const vips = world.namespaces.get(namespace)?.vips;
  if (!asked || vips === undefined || JSON.stringify(vips.table) === JSON.stringify(asked)) return [];
  const reason = `table ip tsnet-vip ${vips.table === null ? "is gone" : "was changed"}`;
  vips.table = asked;
  return [reason];
}
