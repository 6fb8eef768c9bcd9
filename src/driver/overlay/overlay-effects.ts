import { hasErrno } from "../../errors.ts";
import { hostVethName, namespaceName } from "../../net/names.ts";
import type { Endpoint, OverlayNetwork } from "../../plan/network.ts";
import type { ObservedNamespace } from "../../plan/observed.ts";
import type { Op } from "../../plan/op.ts";
import { planOverlay, type Underlay } from "../../plan/overlay.ts";
import { ensurePlaces, localPlace } from "../../plan/overlay-places.ts";
import { planOverlayRepairs } from "../../plan/reconcile-overlay.ts";
import type { Kernel } from "../kernel.ts";
import type { State } from "../state.ts";
import { endpointsHere } from "./own-overlays.ts";

interface Needs {
  readonly kernel: Pick<Kernel, "apply" | "observeNamespace">;
  readonly state: State;
}

/** A network, and what this host has to know for it. */
interface Wanted {
  readonly network: OverlayNetwork;
  readonly underlay: Underlay;
}

/** Makes what is not there of a network, and completes its endpoints' links, as far as they are there. */
export async function makeNetwork(needs: Needs, { network, underlay }: Wanted): Promise<void> {
  const { kernel, state } = needs;
  await kernel.apply(planOverlay(network, underlay));
  const observed = await kernel.observeNamespace(namespaceName(network.id));
  if (observed === null) return;
  await mendLinks(needs, { network, underlay }, observed);
  const names = new Set(observed.links.map(({ name }) => name));
  const own = endpointsHere(state, network).filter(({ id }) => names.has(hostVethName(id)));
  if (own.length > 0) await kernel.apply([ensurePlaces(network, own.map(localPlace))]);
}

/**
 * Mends the links in a network's namespace, as they were observed.
 * @returns what was wrong, in words
 */
export async function mendLinks(
  { kernel, state }: Needs,
  wanted: Wanted,
  observed: ObservedNamespace,
): Promise<string[]> {
  const endpoints: Endpoint[] = endpointsHere(state, wanted.network);
  const isKnown = (id: string): boolean => state.endpoint(id) !== undefined;
  const repairs = planOverlayRepairs({ ...wanted, endpoints, isKnown }, observed);
  for (const { ops } of repairs) await kernel.apply(ops);
  return repairs.map(({ reason }) => reason);
}

/** Applies what is to be done in a namespace; in one that is gone there is nothing. */
export async function applyInside(
  { kernel }: { readonly kernel: Pick<Kernel, "apply"> },
  ops: readonly Op[],
): Promise<void> {
  try {
    await kernel.apply(ops);
  } catch (error) {
    if (!hasErrno(error, "ENOENT")) throw error;
  }
}
