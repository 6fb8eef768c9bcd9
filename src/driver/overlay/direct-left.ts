import { mayBeDirect } from "../../plan/direct.ts";
import { leftElements, planLeftRoutes } from "../../plan/direct-left.ts";
import type { Element } from "../../plan/elements.ts";
import { table } from "../../plan/firewall-rules.ts";
import type { OverlayNetwork } from "../../plan/network.ts";
import type { Kernel } from "../kernel.ts";
import type { State } from "../state.ts";
import type { ControlPlane } from "./control-plane.ts";
import { ownOverlays } from "./own-overlays.ts";

export interface DirectLeftNeeds {
  readonly state: State;
  readonly plane: Pick<ControlPlane, "knowsPlaces" | "missingFor">;
  readonly kernel: Pick<Kernel, "apply" | "observeFirewall">;
}

/**
 * The networks with endpoints here that may go the short way, whether they are in the kernel or not yet: also those that stay as they
 * are, as nobody knows of other hosts.
 */
export function directOverlays({ state, plane }: Pick<DirectLeftNeeds, "state" | "plane">): OverlayNetwork[] {
  const isFollowed = (network: OverlayNetwork): boolean =>
    plane.knowsPlaces || plane.missingFor?.(network) !== undefined;
  return [...ownOverlays(state)].flatMap(({ network, endpoints }) =>
    endpoints.length > 0 && isFollowed(network) && mayBeDirect(network) ? [network] : [],
  );
}

/**
 * What an earlier process has left of the short way, once, at the start: before the firewall's table is put in place anew. What is of no
 * network is removed, or is not in the answer.
 * @returns what is to pass the firewall until it is said anew, by network ID
 * @throws TsnetError "kernel"
 */
export async function takeOverDirect(needs: DirectLeftNeeds): Promise<ReadonlyMap<string, readonly Element[]>> {
  const networks = directOverlays(needs);
  await needs.kernel.apply([planLeftRoutes(networks)]);
  if (networks.length === 0) return new Map();
  const observed = await needs.kernel.observeFirewall(table);
  return new Map(networks.map((network) => [network.id, leftElements(network, observed?.elements ?? {})]));
}
