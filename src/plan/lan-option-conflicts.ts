/** Options of a network with a parent that contradict each other, its subnets, or what the kernel can do. */
import { TsnetError } from "../errors.ts";
import { addressBits, containsIp, type Ip, lastOf, parseCidr, parseHostAddress, parseIp } from "../net/cidr.ts";
import type { LanOptions } from "./lan-options.ts";
import { type HostAccess, isLayer2, type LanNetwork } from "./network.ts";
import type { NetworkRequest } from "./network-request.ts";

/** @throws TsnetError "invalid" if the check is asked for, or switched off, where there are no neighbors to ask */
export function refuseDuplicateCheck(network: LanNetwork, { duplicateCheck }: LanOptions): void {
  if (duplicateCheck === undefined || isLayer2(network)) return;
  const reason = `there are no neighbors to ask in mode ${network.mode === "ipvlan" ? network.ipvlanMode : network.mode}`;
  refuse(`tsnet.duplicate_check=${duplicateCheck} has no effect with ${subMode(network)}: ${reason}; leave it out`);
}

/**
 * How the host reaches the containers.
 * @returns null: it does not
 * @throws TsnetError "invalid" if that is not possible, or if the host cannot have the address
 */
export function planHostAccess(network: LanNetwork, options: LanOptions, request: NetworkRequest): HostAccess | null {
  const { hostAccess = false, hostAddresses: addresses = [] } = options;
  if (!hostAccess && addresses.length > 0) {
    refuse(
      `tsnet.host_address=${addresses.join(",")} has no effect without -o tsnet.host_access=true; give both, or none`,
    );
  }
  if (!hostAccess) return null;
  const why = whyUnreachable(network);
  if (why !== "") refuse(`tsnet.host_access=true is not possible with ${subMode(network)}: ${why}`);
  for (const address of addresses) refuseHostAddress(parseIp(address), network, request);
  return { addresses };
}

/** Why no link of the host's on the parent reaches the containers: ip-link(8). "" if one does. */
function whyUnreachable(network: LanNetwork): string {
  if (network.mode === "macvlan") return reasons[network.macvlanMode];
  return isLayer2(network)
    ? reasons[network.ipvlanFlag]
    : "links in this mode have no neighbors, and the host's is one";
}

const reasons = {
  bridge: "",
  private: "links on the parent do not reach each other, and the host's is one of them",
  vepa: "links on the parent reach each other only by the switch outside, and the host's is one of them",
  passthru: "the parent takes one link only, and none of the host's",
} as const;

/** The option that says which of the kernel's modes it is: "macvlan_mode=private". */
function subMode(network: LanNetwork): string {
  if (network.mode === "macvlan") return `macvlan_mode=${network.macvlanMode}`;
  return isLayer2(network) ? `ipvlan_flag=${network.ipvlanFlag}` : `ipvlan_mode=${network.ipvlanMode}`;
}

function refuseHostAddress(ip: Ip, { subnets }: LanNetwork, request: NetworkRequest): void {
  const option = `tsnet.host_address=${ip.text}`;
  const pool = subnets.map((subnet) => parseCidr(subnet.pool)).find((cidr) => containsIp(cidr, ip));
  if (pool === undefined) {
    refuse(`${option} is not in a subnet of the network: ${subnets.map((subnet) => subnet.pool).join(", ")}`);
  }
  const gateways = [...request.ipv4, ...request.ipv6].flatMap(({ gateway }) => gateway ?? []);
  if (gateways.some((gateway) => parseHostAddress(gateway).ip.text === ip.text)) {
    refuse(`${option} is the gateway of the network; give another address`);
  }
  // subnets of two addresses or one have no others: RFC 3021, RFC 6164
  if (addressBits[pool.family] - pool.prefix < 2) return;
  if (ip.value === pool.base) refuse(`${option} is the first address of ${pool.text}, which no host has; give another`);
  if (ip.family === 4 && ip.value === lastOf(pool)) {
    refuse(`${option} is the broadcast address of ${pool.text}; give another address`);
  }
}

function refuse(message: string): never {
  throw new TsnetError("invalid", message);
}
