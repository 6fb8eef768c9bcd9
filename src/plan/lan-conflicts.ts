/** What stands in the way of a network on a parent. */
import { isLan, type LanNetwork, type Network } from "./network.ts";

/**
 * What stands in the network's way among those that exist, in the words of Docker's own drivers (moby, drivers/macvlan and
 * drivers/ipvlan); "" for nothing. The kernel passes what a parent receives to one taker only, and ipvlan has one mode a parent:
 * drivers/net/macvlan.c, drivers/net/ipvlan/ipvlan_main.c.
 */
export function parentConflict(network: LanNetwork, others: Iterable<Network>): string {
  for (const other of others) {
    if (!isLan(other) || other.id === network.id || other.parent.name !== network.parent.name) continue;
    const conflict = conflictWith(network, other);
    if (conflict !== "") return `parent=${other.parent.name}: ${conflict}; give another parent, or a VLAN of its own`;
  }
  return "";
}

function conflictWith(network: LanNetwork, other: LanNetwork): string {
  const { id, parent } = other;
  if (other.mode !== network.mode)
    return `${other.mode} network ${id} is already using parent interface ${parent.name}`;
  if (network.mode === "ipvlan") return `network ${id} is already using parent interface ${parent.name}`;
  const taken = `macvlan network ${id} is already using parent interface ${parent.name}`;
  if (network.macvlanMode === "passthru") return `cannot use mode passthru, ${taken}`;
  return other.mode === "macvlan" && other.macvlanMode === "passthru" ? `${taken} in mode passthru` : "";
}
