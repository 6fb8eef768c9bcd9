/** What a bridge network and its endpoints need in the kernel, besides the firewall. */
import { containerVethName, hostVethName, linkAlias } from "../net/names.ts";
import type { BridgeNetwork, Endpoint, GatewayNetwork } from "./network.ts";
import type { Op } from "./op.ts";

/** The bridge, its addresses and its sysctls. The firewall's chain `raw` has to be there first: it makes route_localnet safe. */
export function planBridge(network: BridgeNetwork): Op[] {
  const { bridge } = network;
  return [
    {
      op: "ensure-bridge",
      name: bridge,
      alias: network.adopted ? null : linkAlias("bridge", network.id),
      mac: network.mac,
      mtuBytes: network.adopted ? null : network.mtuBytes,
      nfCall: !network.icc,
    },
    ...(network.adopted ? [] : ipv6Sysctls(network)),
    { op: "set-sysctl", key: ["net", "ipv4", "conf", bridge, "route_localnet"], value: "1", optional: false },
    ...bridgeAddresses(network).map((address): Op => ({ op: "ensure-address", link: bridge, address })),
  ];
}

/**
 * Of a bridge that tsnet made. A kernel without IPv6 has none of them. Nobody else chooses the bridge's addresses, so that it need
 * not ask for duplicates, which takes 2 s in which it answers nothing. An isolated bridge has no link-local address either.
 */
function ipv6Sysctls({ bridge, subnets }: BridgeNetwork): Op[] {
  const isIsolated = subnets.some(({ family, gatewayMode }) => family === 6 && gatewayMode === "isolated");
  const defaults = [["accept_ra", "0"] as const, ["accept_dad", "0"] as const];
  const values = [...defaults, ...(isIsolated ? [["disable_ipv6", "1"] as const] : [])];
  return values.map(([name, value]) => ({
    op: "set-sysctl",
    key: ["net", "ipv6", "conf", bridge, name],
    value,
    optional: true,
  }));
}

/** The addresses that the bridge itself has. */
export const bridgeAddresses = (network: BridgeNetwork): string[] =>
  network.subnets.flatMap(({ gateway }) => (gateway === null ? [] : [gateway]));

/**
 * Takes away what `planBridge` made; of a bridge of the user's, what it did not have before. The firewall must still know the
 * bridge: only its chain `raw` makes route_localnet safe.
 */
export function planBridgeRemoval(network: BridgeNetwork): Op[] {
  const { bridge, id, kept } = network;
  if (!network.adopted) return [{ op: "remove-links", links: [{ name: bridge, alias: linkAlias("bridge", id) }] }];
  return [
    { op: "set-sysctl", key: ["net", "ipv4", "conf", bridge, "route_localnet"], value: "0", optional: true },
    ...bridgeAddresses(network)
      .filter((address) => !kept.includes(address))
      .map((address): Op => ({ op: "remove-address", link: bridge, address })),
  ];
}

/** The veth pair of an endpoint; its host end is a port of the network's bridge. */
export function planVeth(network: BridgeNetwork, endpoint: Pick<Endpoint, "id">): Op[] {
  return [
    {
      op: "ensure-veth",
      name: hostVethName(endpoint.id),
      peer: containerVethName(endpoint.id),
      alias: linkAlias("veth", endpoint.id),
      peerAlias: linkAlias("peer", endpoint.id),
      master: network.bridge,
      mtuBytes: network.mtuBytes,
      hairpin: true,
    },
  ];
}

/** Removing one end of a pair removes both. */
export function planVethRemoval(endpoint: Pick<Endpoint, "id">): Op[] {
  return [{ op: "remove-links", links: [{ name: hostVethName(endpoint.id), alias: linkAlias("veth", endpoint.id) }] }];
}

/** Lets the host pass packets on between its links, in the families that networks use. */
export function planForwarding(networks: readonly GatewayNetwork[]): Op[] {
  const families = new Set(networks.flatMap(({ subnets }) => subnets.map(({ family }) => family)));
  const keys = [
    ...(families.has(4) ? [["net", "ipv4", "ip_forward"]] : []),
    ...(families.has(6) ? ["default", "all"].map((scope) => ["net", "ipv6", "conf", scope, "forwarding"]) : []),
  ];
  return keys.map((key): Op => ({ op: "set-sysctl", key, value: "1", optional: false }));
}
