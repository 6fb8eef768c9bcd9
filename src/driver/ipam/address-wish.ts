/** What RequestAddress asks for, from texts to values (engine-contract.md, 2.3). */
import { type Ip, parseIp } from "../../net/cidr.ts";
import type { AddressRequest } from "./backend.ts";
import { addressSpaces } from "./default-pools.ts";
import type { LeaseRole } from "./lease.ts";
import type { Pool } from "./pool.ts";

/** Set by swarm's manager, so that an address that was just freed is the last to be used again. */
const serialOption = "com.docker.network.ipam.serial";
/** From Docker 29 on: the container's name. */
const nameOption = "com.docker.network.endpoint.name";
/** Sent where RequiresMACAddress says so. */
const macOption = "com.docker.network.endpoint.macaddress";

/** What a request asks for, whichever pool it asks. */
export interface ParsedAddressRequest {
  /** undefined for any. */
  readonly ip: Ip | undefined;
  /** Whether the search goes on where it ended last. */
  readonly serial: boolean;
  readonly isGateway: boolean;
  /** See Lease. */
  readonly identity: string | null;
  /** What it is for, where that is known. */
  readonly role: "host" | undefined;
}

/** @throws TsnetError "invalid" if the address is none */
export function parseAddressRequest({ address, options, role }: AddressRequest): ParsedAddressRequest {
  const ip = address === "" ? undefined : parseIp(address);
  const isGateway = options["RequestAddressType"] === "com.docker.network.gateway";
  const serial = ip === undefined && options[serialOption] === "true";
  return { ip, serial, isGateway, identity: isGateway ? null : identityOf(options), role };
}

function identityOf(options: Readonly<Record<string, string>>): string | null {
  const [name, mac] = [options[nameOption], options[macOption]];
  if (name) return `name:${name}`;
  return mac ? `mac:${mac.toLowerCase()}` : null;
}

/**
 * What an address is for. Docker says that of gateways only; auxiliary addresses are those that it names before there is a
 * network. Swarm has none, and names the addresses of all tasks again when its leader changes.
 */
export function roleOf({ ip, isGateway, identity, role }: ParsedAddressRequest, pool: Pool): LeaseRole {
  if (role !== undefined) return role;
  if (isGateway) return "gateway";
  const isEarly = pool.network === null && pool.subnet.addressSpace !== addressSpaces.global;
  return ip !== undefined && identity === null && isEarly ? "auxiliary" : "endpoint";
}
