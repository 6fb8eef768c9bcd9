/** Where the packets of a container on a network with a parent go: what Join tells dockerd of it. */
import { containsIp, type Family, parseCidr, parseHostAddress } from "../net/cidr.ts";
import { type Endpoint, isLayer2, type LanNetwork } from "./network.ts";
import type { Routes } from "./routes.ts";

/**
 * Each address has the gateway of its own subnet. In the ipvlan modes l3 and l3s there is none, and everything goes out by the
 * link. On an internal network there is no way out, and the other subnets of it are on the link.
 */
export function planLanRoutes({ addresses }: Pick<Endpoint, "addresses">, network: LanNetwork): Routes {
  const ips = addresses.map((address) => parseHostAddress(address).ip);
  const own = ips.flatMap((ip) => network.subnets.find(({ pool }) => containsIp(parseCidr(pool), ip)) ?? []);
  const families = new Set(own.map(({ family }) => family));
  const none = { gateway4: "", gateway6: "" };
  if (network.internal) {
    const others = network.subnets.filter((subnet) => !own.includes(subnet) && families.has(subnet.family));
    return { ...none, onLink: others.map(({ pool }) => pool) };
  }
  if (!isLayer2(network)) return { ...none, onLink: [...families].map((family) => everything[family]) };
  const gateway = (wanted: Family): string => own.find(({ family }) => family === wanted)?.defaultGateway ?? "";
  return { gateway4: gateway(4), gateway6: gateway(6), onLink: [] };
}

const everything: Readonly<Record<Family, string>> = { 4: "0.0.0.0/0", 6: "::/0" };
