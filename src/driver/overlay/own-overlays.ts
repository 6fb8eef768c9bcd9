import type { Endpoint, OverlayNetwork } from "../../plan/network.ts";
import type { State } from "../state.ts";

/** An overlay network that is not being removed, with the endpoints that this host has of it. */
export interface OwnOverlay {
  readonly network: OverlayNetwork;
  readonly endpoints: readonly Endpoint[];
}

/** The overlay networks of this host, also those without an endpoint here. */
export function* ownOverlays(state: State): Generator<OwnOverlay> {
  for (const network of state.networks()) {
    if (network.mode === "overlay" && !state.removing.has(network.id)) {
      yield { network, endpoints: endpointsHere(state, network) };
    }
  }
}

/** Those that are not being removed. */
export const endpointsHere = (state: State, { id }: Pick<OverlayNetwork, "id">): Endpoint[] =>
  state.endpointsOf(id).filter((endpoint) => !state.removing.has(endpoint.id));
