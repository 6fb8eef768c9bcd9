/** What a world should be like, by the durable records. */
import type { HostPort } from "../../src/driver/kernel.ts";
import { parseCidr } from "../../src/net/cidr.ts";
import {
  bridgeName,
  containerVethName,
  dummyName,
  gatewayPortName,
  hostVethName,
  lanLinkName,
  linkAlias,
  namespaceName,
  shimName,
  vxlanName,
} from "../../src/net/names.ts";
import { wantedElements } from "../../src/plan/firewall.ts";
import {
  type BridgeNetwork,
  type Endpoint,
  type GatewayNetwork,
  hasGateway,
  isLan,
  type LanNetwork,
  type Network,
  type OverlayNetwork,
  type PortMapping,
} from "../../src/plan/network.ts";
import { serving } from "../../src/plan/ports.ts";
import { etcdContent, etcdOf, hostId, local, other } from "./cluster.ts";
import type { Driver } from "./driver.ts";
import type { World } from "./world.ts";
import { WorldPorts } from "./world-ports.ts";

/** In the form of `World.dump`; `kept` is what was there before tsnet. */
export async function expectedWorld({ store, world }: Driver, kept: World): Promise<object> {
  const networks = [...(await store.list("network")).values()] as Network[];
  const endpoints = [...(await store.list("endpoint")).values()] as Endpoint[];
  const before = kept.dump() as { links: string[]; addresses: string[] };
  const ports = new WorldPorts(new Set());
  const links: string[] = [];
  const addresses: string[] = [];
  const namespaces: object[] = [];
  for (const network of networks) {
    const its = endpoints.filter((endpoint) => endpoint.network === network.id);
    if (network.mode === "bridge") {
      links.push(...bridgeLinks(network, its));
      addresses.push(
        ...network.subnets.flatMap(({ gateway }) => (gateway === null ? [] : [`${network.bridge} ${gateway}`])),
      );
      for (const endpoint of its) ports.reserve(endpoint.ports.map((mapping) => blockOf(mapping, endpoint, network)));
    } else if (network.mode === "overlay") {
      for (const endpoint of its) ports.reserve(endpoint.ports.map((mapping) => blockOf(mapping, endpoint, network)));
      if (its.length === 0) continue;
      links.push(...its.map(({ id }) => `${containerVethName(id)} ${linkAlias("peer", id)}`));
      namespaces.push(await overlayNamespace(network, its, world));
      if (!hasGateway(network)) continue;
      links.push(`${network.bridge} ${linkAlias("gateway", network.id)}`);
      addresses.push(...gatewaysOf(network).map((address) => `${network.bridge} ${address}`));
      if (network.subnets.some(({ family }) => family === 6)) addresses.push(`${network.bridge} fe80::1/64`);
    } else if (isLan(network)) {
      links.push(...lanLinks(network, its, world));
      addresses.push(...(network.hostAccess?.addresses ?? []).map((ip) => `${shimName(network.id)} ${wholeOf(ip)}`));
    }
  }
  return {
    links: [...new Set([...before.links, ...links])].toSorted(),
    doomed: 0,
    addresses: [...before.addresses, ...addresses].toSorted(),
    namespaces,
    elements: wantedElements({ networks, endpoints, dockerLinks: [] }),
    ports: ports.list(),
  };
}

const bridgeLinks = ({ id, bridge, adopted }: BridgeNetwork, endpoints: readonly Endpoint[]): string[] => [
  ...(adopted ? [] : [`${bridge} ${linkAlias("bridge", id)}`]),
  ...endpoints.flatMap((endpoint) => [
    `${hostVethName(endpoint.id)} ${linkAlias("veth", endpoint.id)}`,
    `${containerVethName(endpoint.id)} ${linkAlias("peer", endpoint.id)}`,
  ]),
];

/** None but the parent where that is not there. */
function lanLinks({ id, parent, hostAccess }: LanNetwork, endpoints: readonly Endpoint[], world: World): string[] {
  if (world.links.find(parent.name) === undefined) return [];
  const shim = hostAccess === null ? [] : [`${shimName(id)} ${linkAlias("shim", id)}`];
  const own = endpoints.map((endpoint) => `${lanLinkName(endpoint.id)} ${linkAlias("lan", endpoint.id)}`);
  if (parent.kind === "dummy") return [`${dummyName(id)} ${linkAlias("dummy", id)}`, ...shim, ...own];
  return [...(parent.kind === "vlan" ? [`${parent.name} ${linkAlias("vlan", parent.name)}`] : []), ...shim, ...own];
}

const wholeOf = (ip: string): string => parseCidr(`${ip}/${ip.includes(":") ? 128 : 32}`).text;

/** What holds a mapping. */
function blockOf(mapping: PortMapping, endpoint: Endpoint, network: GatewayNetwork): HostPort {
  const { protocol, hostAddress: address, hostPort: port, count } = mapping;
  const { target } = serving(mapping, endpoint, network);
  return { protocol, address, port, count, target, sources: target === null ? [] : network.publishFrom };
}

const gatewaysOf = ({ subnets }: OverlayNetwork): string[] => subnets.flatMap(({ gateway }) => gateway ?? []);
const ipOf = (address: string): string => address.replace(/\/.*/, "");

/** Of a network with endpoints here: in the form of `dumpNamespaces`. */
async function overlayNamespace(
  network: OverlayNetwork,
  endpoints: readonly Endpoint[],
  { etcd, peers, swarm }: World,
) {
  const { id, mac, vni } = network;
  const gateway = hasGateway(network);
  const links = [
    `${bridgeName(id)} ${linkAlias("bridge", id)}`,
    `${vxlanName(id)} ${linkAlias("vxlan", id)}`,
    ...(gateway ? [`${gatewayPortName(id)} ${linkAlias("gateway-port", id)}`] : []),
    ...endpoints.map((endpoint) => `${hostVethName(endpoint.id)} ${linkAlias("veth", endpoint.id)}`),
  ];
  const isInSwarm = swarm?.docker.has(id) === true;
  const isShared = (etcd !== null && vni === other.vni) || isInSwarm;
  const places = [
    ...(gateway ? [`${mac} ${gatewaysOf(network).map(ipOf).join(",")} at ${gatewayPortName(id)} `] : []),
    ...endpoints.map((one) => `${one.mac} ${one.addresses.map(ipOf).join(",")} at ${hostVethName(one.id)} `),
    ...(isShared ? [`${other.mac} ${other.ip} at ${vxlanName(id)} ${isInSwarm ? "" : other.vtep}`] : []),
  ];
  return {
    ...{ name: namespaceName(id), isPinned: true, links: links.toSorted(), ports: links.length - 1 },
    ...{ places: places.toSorted(), vteps: isShared ? [other.vtep] : [...peers] },
  };
}

/** What etcd should have: what the other host has, and what the records of this one say. */
export async function expectedEtcd({ store }: Driver): Promise<Record<string, object>> {
  const networks = ([...(await store.list("network")).values()] as Network[]).filter(({ mode }) => mode === "overlay");
  const endpoints = [...(await store.list("endpoint")).values()] as Endpoint[];
  const content = await etcdContent(etcdOf());
  for (const network of networks as OverlayNetwork[]) {
    const record = content["overlay"]?.[`${network.vni}`] as { hosts: Record<string, string> };
    record.hosts[hostId] = network.id;
    for (const { id, mac, addresses } of endpoints.filter((endpoint) => endpoint.network === network.id)) {
      for (const address of addresses) {
        Object.assign(content["place"] ?? {}, {
          [`${network.vni}/${ipOf(address)}`]: { host: hostId, endpoint: id, mac },
        });
      }
    }
  }
  if (networks.length > 0) Object.assign(content["vtep"] ?? {}, { [local]: hostId });
  return content;
}
