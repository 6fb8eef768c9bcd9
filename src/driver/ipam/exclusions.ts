import { type Cidr, cidrOf, overlaps, parseCidr, parseHostAddress, parseIp } from "../../net/cidr.ts";
import type { Network } from "../../plan/network.ts";
import type { Observed } from "../../plan/observed.ts";

/** Prefixes that every host has and that say nothing about who uses what. */
const everywhere = ["127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "::1/128", "fe80::/10", "ff00::/8"].map(parseCidr);

/**
 * Subnets that a pool must not touch: what the host routes, in any table; its own addresses; its name servers; the subnets of
 * tsnet's networks, whichever IPAM gave them.
 * @param resolvConf content of /etc/resolv.conf
 */
export function excludedSubnets(observed: Observed, networks: Iterable<Network>, resolvConf: string): Cidr[] {
  const all = [
    ...observed.routes.map(({ destination }) => parseCidr(destination)).filter(({ prefix }) => prefix > 0),
    ...observed.addresses.map(({ address }) => parseHostAddress(address).subnet),
    ...nameServers(resolvConf),
    ...[...networks].flatMap(({ subnets }) => subnets.map(({ pool }) => parseCidr(pool))),
  ];
  return all.filter((subnet) => !everywhere.some((known) => overlaps(known, subnet)));
}

function nameServers(resolvConf: string): Cidr[] {
  return [...resolvConf.matchAll(/^\s*nameserver\s+([0-9a-fA-F.:]+)/gm)].flatMap(([, text]) => {
    try {
      const { family, value } = parseIp(text ?? "");
      return [cidrOf(family, value, family === 4 ? 32 : 128)];
    } catch {
      return [];
    }
  });
}
