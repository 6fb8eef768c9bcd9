/** From what Docker asks for to the endpoint that is recorded. */
import { TsnetError } from "../errors.ts";
import { containsIp, type HostAddress, type Ip, parseCidr, parseHostAddress } from "../net/cidr.ts";
import { macOf } from "../net/mac.ts";
import { type Endpoint, isLan, type Network } from "./network.ts";

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
 * @throws TsnetError "invalid" if it has no address, two of a family, or one outside of the network, or a MAC address that its link
 * cannot have; "conflict" if it has an address of the host's own, or is the gateway of a network that hosts share
 */
export function planEndpoint(request: EndpointRequest, network: Network): Endpoint {
  const { id, mac } = request;
  const addresses = request.addresses.map(parseHostAddress);
  const [first, second] = addresses;
  if (first === undefined) {
    throw new TsnetError(
      "invalid",
      `endpoint ${id} has no address; mode ${network.mode} needs an IPAM driver that gives one`,
    );
  }
  if (first.ip.family === second?.ip.family) {
    throw new TsnetError("invalid", `endpoint ${id} has two addresses of one family: ${first.text} and ${second.text}`);
  }
  for (const address of addresses) {
    refuseOutside(address, network);
    refuseHosts(address, network);
    refuseGateway(address, network);
  }
  const texts = addresses.map(({ text }) => text);
  return {
    id,
    network: network.id,
    addresses: texts,
    leases: [],
    mac: macFor(network, mac, first.ip),
    sandbox: null,
    ports: [],
    openPorts: [],
  };
}

/**
 * The MAC address of an endpoint's link; null where it has its parent's. In passthru mode one that is asked for becomes the
 * parent's as well.
 */
function macFor(network: Network, asked: string | null, ip: Ip): string | null {
  if (network.mode === "ipvlan") {
    if (asked === null) return null;
    const remedy =
      "without --mac-address Docker chooses one because of TSNET_REQUIRES_MAC_ADDRESS=true: set it to false";
    const words = "ipvlan interfaces do not support custom mac address assignment";
    throw new TsnetError("invalid", `--mac-address=${asked}: ${words}; leave it out; ${remedy}`);
  }
  if (network.mode === "macvlan" && network.macvlanMode === "passthru") return asked;
  if (network.mode === "overlay" && asked === network.mac) {
    const what = `--mac-address=${asked}: is the gateway's of network ${network.id}, on each host`;
    throw new TsnetError("conflict", `${what}: give another one, or leave it out`);
  }
  return asked ?? macOf(network.id, ip);
}

function refuseHosts({ ip }: HostAddress, network: Network): void {
  if (!isLan(network) || !network.hostAccess?.addresses.includes(ip.text)) return;
  const whose = `is the host's own on network ${network.id} (tsnet.host_address)`;
  throw new TsnetError(
    "conflict",
    `address ${ip.text} ${whose}: give another --ip${ip.family === 6 ? "6" : ""}, or keep it from containers with --aux-address`,
  );
}

/** Docker's IPAM keeps it on its own host; in an overlay network it is the same on all. */
function refuseGateway({ ip }: HostAddress, network: Network): void {
  if (network.mode !== "overlay" || !network.subnets.some(({ defaultGateway }) => defaultGateway === ip.text)) return;
  const remedy = `give another --ip${ip.family === 6 ? "6" : ""}`;
  throw new TsnetError("conflict", `address ${ip.text} is the gateway of network ${network.id}: ${remedy}`);
}

function refuseOutside({ ip, text }: HostAddress, { id, subnets }: Network): void {
  if (subnets.some(({ pool }) => containsIp(parseCidr(pool), ip))) return;
  const pools = subnets.map(({ pool }) => pool).join(", ");
  throw new TsnetError("invalid", `address ${text} is not in a subnet of network ${id}: ${pools}`);
}
