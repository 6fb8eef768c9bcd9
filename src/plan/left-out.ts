/** Which endpoints of other hosts are left out on this one: with what the control plane says of them, it would lose its way to others. */
import { isSameFamily, parseHostAddress } from "../net/cidr.ts";
import { hasGateway, type OverlayNetwork } from "./network.ts";
import { gatewayAddresses } from "./overlay.ts";
import type { RemoteEndpoint } from "./overlay-places.ts";

/**
 * @param local this host's tunnel address
 * @returns says why an endpoint of another host is left out: "" for one that is not
 */
export function leftOutBy(network: OverlayNetwork, local: string): (remote: RemoteEndpoint) => string {
  const gateways = new Set(gatewayAddresses(network).map((address) => parseHostAddress(address).ip.text));
  return ({ mac, ips, vtep }) => {
    if (vtep !== null && !isSameFamily(vtep, local)) {
      const what = `the tunnel address ${vtep} of its host is of another family than ${local}, this host's`;
      return `${what}: set TSNET_ADVERTISE_ADDRESS on one of them`;
    }
    const isGateway = hasGateway(network) && mac === network.mac;
    const taken = isGateway ? `MAC address ${mac}` : ips.find((ip) => gateways.has(ip));
    if (taken === undefined) return "";
    return `${taken} is the gateway's of network ${network.id}, on each host: give its container another`;
  };
}
