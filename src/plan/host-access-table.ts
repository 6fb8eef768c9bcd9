/**
 * The nft table of host access (recipes F1). The host answers ARP requests about any of its addresses on any link (arp_ignore=0):
 * on a shim as well as on its parent, which both hear whoever asks on the segment. So a shim answers only the containers of its
 * network, which do not reach the parent's own answer; for everybody else there is one answer, with one MAC address.
 *
 * An address that the host has for the network alone (tsnet.host_address) is the shim's: it answers everybody about it, so that
 * others who look for duplicates see it, also where arp_ignore keeps the parent from that; and no other link does. What the host
 * sends from that address to others of the LAN goes out by the parent all the same. Asking for them there it does not say from
 * which address (as a probe of RFC 5227), so that they do not learn the parent's MAC address for it; on ipvlan, the answer would
 * go to the shim, which has not asked.
 */
import { shimName } from "../net/names.ts";
import { bySet, type Element } from "./elements.ts";
import { isIpv4, withoutPrefix } from "./host-access.ts";
import { type Endpoint, isLan, type LanNetwork } from "./network.ts";
import type { NftTable } from "./nft-script.ts";
import type { Elements } from "./observed.ts";
import type { Wanted } from "./reconcile.ts";

/** "shims": host's links; "reach": shim and container; "hosts": tsnet.host_address; "at": shim and its tsnet.host_address. */
export const hostAccessTable: NftTable = {
  name: "arp tsnet",
  definition: `
  set shims { typeof iifname; }
  set reach { type ifname . ipv4_addr; }
  set hosts { typeof arp saddr ip; }
  set at    { type ifname . ipv4_addr; }
  chain input {
    type filter hook input priority 0; policy accept;
    iifname . arp daddr ip @at accept
    arp operation request arp daddr ip @hosts drop
    iifname @shims iifname . arp saddr ip != @reach drop
  }
  chain output {
    type filter hook output priority 0; policy accept;
    arp operation request arp saddr ip @hosts oifname . arp saddr ip != @at arp saddr ip set 0.0.0.0
  }`,
  linkParts: { shims: [0], reach: [0], at: [0] },
};

/** What the table knows of a network; nothing of one without host access. */
export function shimElements({ id, hostAccess }: Pick<LanNetwork, "id" | "hostAccess">): Element[] {
  if (hostAccess === null) return [];
  const shim = shimName(id);
  const ips = hostAccess.addresses.filter(isIpv4);
  return [
    ["shims", shim, ""],
    ...ips.flatMap((ip): Element[] => [
      ["hosts", ip, ""],
      ["at", `${shim} . ${ip}`, ""],
    ]),
  ];
}

/** What the table knows of an endpoint of a network that has host access. */
export const reachElements = ({ network, addresses }: Pick<Endpoint, "network" | "addresses">): Element[] =>
  addresses.filter(isIpv4).map((address) => ["reach", `${shimName(network)} . ${withoutPrefix(address)}`, ""]);

/** Everything that should be in the table; null if it should not be there: no network has host access. */
export function wantedHostAccess({ networks, endpoints }: Wanted): Elements | null {
  const isMeant = (id: string): boolean => {
    const network = networks.get(id);
    return network !== undefined && isLan(network) && network.hostAccess !== null;
  };
  const elements = [...networks.values()].flatMap((network) => (isLan(network) ? shimElements(network) : []));
  if (elements.length === 0) return null;
  const reached = [...endpoints.values()].filter(({ network }) => isMeant(network));
  return bySet([...elements, ...reached.flatMap(reachElements)]);
}
