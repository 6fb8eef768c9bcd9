/** What is to change in the kernel, so that other endpoints than before go the short way. */
import { namespaceName } from "../net/names.ts";
import { type DirectEndpoint, directTable } from "./direct.ts";
import { bySet, type Element } from "./elements.ts";
import type { OverlayNetwork } from "./network.ts";
import type { Op } from "./op.ts";
import type { DirectRoute } from "./op-overlay.ts";

/** What the kernel has, or is to have, of a network. */
export interface DirectState {
  /** Who may be a sender: localElements. */
  readonly local: readonly Element[];
  /** Of other hosts, by MAC address. */
  readonly endpoints: ReadonlyMap<string, DirectEndpoint>;
}

/** What is to change. */
export interface DirectChange {
  /** Of the endpoints that differ. */
  readonly macs: readonly string[];
  readonly removed: readonly DirectEndpoint[];
  readonly added: readonly DirectEndpoint[];
  readonly local: { readonly removed: readonly Element[]; readonly added: readonly Element[] };
}

/** Both of the same endpoints: of all, or of some. */
export function compareDirect(before: DirectState, after: DirectState): DirectChange {
  const all = new Set([...before.endpoints.keys(), ...after.endpoints.keys()]);
  const macs = [...all].filter((mac) => !isSame(before.endpoints.get(mac), after.endpoints.get(mac)));
  return {
    macs,
    removed: macs.flatMap((mac) => before.endpoints.get(mac) ?? []),
    added: macs.flatMap((mac) => after.endpoints.get(mac) ?? []),
    local: { removed: missing(after.local, before.local), added: missing(before.local, after.local) },
  };
}

/** Of two states, either of which the kernel may have: whatever is compared with it, all is put anew, and what is not meant is removed. */
export function unsure(one: DirectState, other: DirectState): DirectState {
  const macs = new Set([...one.endpoints.keys(), ...other.endpoints.keys()]);
  const both = [...macs].map((mac): [string, DirectEndpoint] => {
    const [a, b] = [one.endpoints.get(mac), other.endpoints.get(mac)];
    return [
      mac,
      {
        host: b?.host ?? a?.host ?? "",
        routes: [...(a?.routes ?? []), ...(b?.routes ?? [])],
        elements: [...(a?.elements ?? []), ...(b?.elements ?? [])],
        isUnsure: true,
      },
    ];
  });
  return { local: [], endpoints: new Map(both) };
}

const isSame = (one: DirectEndpoint | undefined, other: DirectEndpoint | undefined): boolean =>
  JSON.stringify(one) === JSON.stringify(other);

/** Those that are not here. */
function missing(here: readonly Element[], there: readonly Element[]): Element[] {
  const keys = new Set(here.map(([, key]) => key));
  return there.filter(([, key]) => !keys.has(key));
}

/** So many endpoints go to the kernel at a time, in which its thread does nothing else. */
const atOnce = 200;

/** Nothing is turned over to a route that is not there: routes come first, and go last. */
export function planDirectChange(network: OverlayNetwork, { removed, added, local }: DirectChange): Op[] {
  const ops: Op[] = [];
  const change = (remove: readonly Element[], add: readonly Element[]): void => {
    if (remove.length + add.length > 0) ops.push(changeTable(network, remove, add));
  };
  change(local.removed, local.added);
  const kept = new Set(added.flatMap(({ routes }) => routes.map(({ destination }) => destination)));
  for (const some of chunks(removed)) {
    change(elementsOf(some), []);
    const destinations = routesOf(some)
      .map(({ destination }) => destination)
      .filter((destination) => !kept.has(destination));
    ops.push(...planRouteRemoval(destinations));
  }
  for (const some of chunks(added)) {
    const routes = routesOf(some);
    if (routes.length > 0) ops.push({ op: "put-direct-routes", from: network.bridge, routes });
    change([], elementsOf(some));
  }
  return ops;
}

/** Removes the routes to addresses, of which there may be ten thousand. */
export const planRouteRemoval = (destinations: readonly string[]): Op[] =>
  chunks(destinations).map((some) => ({ op: "remove-direct-routes", destinations: some }));

const changeTable = (network: OverlayNetwork, remove: readonly Element[], add: readonly Element[]): Op => ({
  op: "in-namespace",
  namespace: namespaceName(network.id),
  ops: [{ op: "change-direct", table: directTable(network), remove: bySet(remove), add: bySet(add) }],
});

const elementsOf = (endpoints: readonly DirectEndpoint[]): Element[] => endpoints.flatMap(({ elements }) => elements);
const routesOf = (endpoints: readonly DirectEndpoint[]): DirectRoute[] => endpoints.flatMap(({ routes }) => routes);

const chunks = <T>(all: readonly T[]): T[][] =>
  Array.from({ length: Math.ceil(all.length / atOnce) }, (_, n) => all.slice(n * atOnce, (n + 1) * atOnce));
