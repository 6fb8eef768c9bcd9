import { parseLinkAlias } from "../net/names.ts";
import type { ObservedLink } from "../plan/observed.ts";
import type { Locks } from "./locks.ts";
import type { State } from "./state.ts";

/** What changes of links are compared with. */
export interface AmissNeeds {
  readonly state: State;
  readonly locks: Locks;
}

/**
 * Whether a link that has changed is not as the records want it. Most reports are the echo of our own work, or of a container's
 * end. ParentWatch judges links that networks share with others.
 */
export function isAmiss(link: ObservedLink, removed: boolean, { state, locks }: AmissNeeds): boolean {
  const { role, id } = parseLinkAlias(link.alias) ?? { role: "none", id: "" };
  const network = state.network(id);
  switch (role) {
    case "none":
      return (
        link.kind === "bridge" && [...state.networks()].some((one) => one.mode === "bridge" && one.bridge === link.name)
      );
    case "bridge":
      return network?.mode === "bridge" && (removed || !link.up || link.mac !== network.mac);
    case "gateway":
      // without an endpoint here there is none
      return (
        network?.mode === "overlay" &&
        state.endpointsOf(id).length > 0 &&
        (removed || !link.up || link.mac !== network.mac)
      );
    case "shim":
    case "dummy":
      return network !== undefined && (removed || !link.up);
    case "veth":
      // A pair goes with its container, which Docker is about to report; the regular comparison finds those that it forgets.
      return !removed && state.endpoint(id) !== undefined && !locks.isBusy(id) && (link.master === 0 || !link.up);
    default:
      return false;
  }
}
