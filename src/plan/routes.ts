/** Where a container's packets go: what Join tells dockerd of it. */
import { containsIp, type Family, type Ip, parseCidr, parseHostAddress } from "../net/cidr.ts";
import type { Endpoint, GatewayNetwork, Subnet } from "./network.ts";

export interface Routes {
  /** Default routes, "172.18.0.1"; "" for none. */
  readonly gateway4: string;
  readonly gateway6: string;
  /** The network's other subnets, which the container reaches without a gateway: "172.19.0.0/16". */
  readonly onLink: readonly string[];
}

/**
 * The gateway is that of the subnet that the endpoint's address lies in. All subnets of a network are on its bridge, so that
 * containers of one reach those of another directly, as they reach each other, on an internal network too, which has no gateway.
 * Only in the families of the endpoint's addresses: dockerd turns IPv6 off where there is none.
 */
export function planRoutes(
  { addresses }: Pick<Endpoint, "addresses">,
  { subnets, publish }: Pick<GatewayNetwork, "subnets" | "publish">,
): Routes {
  const own = addresses.map((address) => parseHostAddress(address).ip).flatMap((ip) => subnetAt(ip, subnets) ?? []);
  const gateway = (wanted: Family): string =>
    publish === "native" ? (own.find(({ family }) => family === wanted)?.defaultGateway ?? "") : "";
  const isOther = (subnet: Subnet): boolean =>
    !own.includes(subnet) && own.some(({ family }) => family === subnet.family);
  return { gateway4: gateway(4), gateway6: gateway(6), onLink: subnets.filter(isOther).map(({ pool }) => pool) };
}

const subnetAt = (ip: Ip, subnets: readonly Subnet[]): Subnet | undefined =>
  subnets.find(({ pool }) => containsIp(parseCidr(pool), ip));
