import { containsIp, parseCidr, parseIp } from "../../net/cidr.ts";
import type { Ipam } from "./ipam.ts";
import type { LeaseView } from "./views.ts";

/**
 * Holds addresses for this host itself, "192.168.1.250", in the pools of a network, until these are released. What is held for the
 * network already stays as it is, such as an auxiliary address; where another IPAM driver gave the pool, there is nothing to hold.
 * @throws TsnetError "conflict" that says who has the address; "store"
 */
export async function holdForHost(ipam: Ipam, network: string, addresses: readonly string[]): Promise<void> {
  for (const address of addresses) {
    const ip = parseIp(address);
    const pool = ipam.pools().find((one) => one.network === network && containsIp(parseCidr(one.subnet), ip));
    if (pool === undefined) continue;
    const grants = ipam.leasesAt(network, [`${ip.text}/${parseCidr(pool.subnet).prefix}`]);
    const isOurs = ({ grant, role }: LeaseView): boolean => grants.includes(grant) && role !== "endpoint";
    if (grants.length > 0 && [...ipam.leasesOf(pool.id)].some(isOurs)) continue;
    await ipam.requestAddress({ poolId: pool.id, address: ip.text, options: {}, role: "host" });
  }
}
