/** From what Docker asks for to the endpoint that is recorded. */
import { TsnetError } from "../errors.ts";
import { containsIp, type HostAddress, parseCidr, parseHostAddress } from "../net/cidr.ts";
import { macOf } from "../net/mac.ts";
import type { Endpoint, Network } from "./network.ts";

/** NetworkDriver.CreateEndpoint, parsed. */
export interface EndpointRequest {
  readonly network: string;
  readonly id: string;
  /** "172.18.0.2/16", at most one a family. */
  readonly addresses: readonly string[];
  /** The MAC address that Docker or the user chose; null leaves it to us. */
  readonly mac: string | null;
}

/**
 * The endpoint that a request asks for, as far as the request says it: not by which leases it has its addresses.
 * @throws TsnetError "invalid" if it has no address, two of a family, or one outside of the network
 */
export function planEndpoint(request: EndpointRequest, network: Network): Endpoint {
  const { id, mac } = request;
  const addresses = request.addresses.map(parseHostAddress);
  const [first, second] = addresses;
  if (first === undefined) {
    throw new TsnetError("invalid", `endpoint ${id} has no address; mode bridge needs an IPAM driver that gives one`);
  }
  if (first.ip.family === second?.ip.family) {
    throw new TsnetError("invalid", `endpoint ${id} has two addresses of one family: ${first.text} and ${second.text}`);
  }
  for (const address of addresses) refuseOutside(address, network);
  const texts = addresses.map(({ text }) => text);
  return {
    id,
    network: network.id,
    addresses: texts,
    leases: [],
    mac: mac ?? macOf(network.id, first.ip),
    sandbox: null,
    ports: [],
    openPorts: [],
  };
}

function refuseOutside({ ip, text }: HostAddress, { id, subnets }: Network): void {
  if (subnets.some(({ pool }) => containsIp(parseCidr(pool), ip))) return;
  const pools = subnets.map(({ pool }) => pool).join(", ");
  throw new TsnetError("invalid", `address ${text} is not in a subnet of network ${id}: ${pools}`);
}
