/** What a world should be like, by the durable records. */
import type { HostPort } from "../../src/driver/kernel.ts";
import { parseCidr } from "../../src/net/cidr.ts";
import { containerVethName, dummyName, hostVethName, lanLinkName, linkAlias, shimName } from "../../src/net/names.ts";
import { wantedElements } from "../../src/plan/firewall.ts";
import type { BridgeNetwork, Endpoint, LanNetwork, Network, PortMapping } from "../../src/plan/network.ts";
import { serving } from "../../src/plan/ports.ts";
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
  for (const network of networks) {
    const its = endpoints.filter((endpoint) => endpoint.network === network.id);
    if (network.mode === "bridge") {
      links.push(...bridgeLinks(network, its));
      addresses.push(
        ...network.subnets.flatMap(({ gateway }) => (gateway === null ? [] : [`${network.bridge} ${gateway}`])),
      );
      for (const endpoint of its) ports.reserve(endpoint.ports.map((mapping) => blockOf(mapping, endpoint, network)));
    } else {
      links.push(...lanLinks(network, its, world));
      addresses.push(...(network.hostAccess?.addresses ?? []).map((ip) => `${shimName(network.id)} ${wholeOf(ip)}`));
    }
  }
  return {
    links: [...new Set([...before.links, ...links])].toSorted(),
    doomed: 0,
    addresses: [...before.addresses, ...addresses].toSorted(),
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
function blockOf(mapping: PortMapping, endpoint: Endpoint, network: BridgeNetwork): HostPort {
  const { protocol, hostAddress: address, hostPort: port, count } = mapping;
  const { target } = serving(mapping, endpoint, network);
  return { protocol, address, port, count, target, sources: target === null ? [] : network.publishFrom };
}
