/**
 * What an earlier process has left of the short way (direct.ts). Other hosts go on sending by it, so it stays until the control plane has
 * said which hosts there are; what is of no network any more goes.
 */

import type { Element } from "./elements.ts";
import { withoutWholePrefix } from "./firewall.ts";
import type { GatewayNetwork } from "./network.ts";
import type { Elements } from "./observed.ts";
import type { Op } from "./op.ts";

/** Removes the rules and routes of all networks but these. */
export const planLeftRoutes = (networks: readonly GatewayNetwork[]): Op => ({
  op: "keep-direct-routes",
  links: networks.map(({ bridge }) => bridge),
  subnets: networks.flatMap(({ subnets }) => subnets.map(({ pool }) => pool)),
});

/**
 * What the host's firewall lets pass of a network: directElements, by whichever links.
 * @param observed the elements of our table
 */
export function leftElements({ subnets }: GatewayNetwork, observed: Elements): Element[] {
  const pools = new Set(subnets.map(({ pool }) => withoutWholePrefix(pool)));
  return ["direct4", "direct6"].flatMap((set) =>
    Object.keys(observed[set] ?? {})
      .filter((key) => {
        const [, from = "", to = ""] = key.split(" . ");
        return pools.has(from) && pools.has(to);
      })
      .map((key): Element => [set, key, ""]),
  );
}
