/** Whether Docker, the kernel and the records tell the same story. */
import type { Host } from "./host.ts";
import { listMappings } from "./mappings.ts";

/** What each of them says about the endpoints of one network, as sorted lists. */
export interface Story {
  readonly endpoints: readonly string[];
  /** Addresses of containers, without prefix lengths. */
  readonly addresses: readonly string[];
  /** "tcp 8080 10.0.0.2 80". */
  readonly ports: readonly string[];
}

/** What Docker says, of running containers. */
export async function storyOfDocker(host: Host, network: string): Promise<Story> {
  const { Containers } = await host.dockerd.api("GET", `/networks/${network}`);
  const ids = Object.keys(Containers);
  const containers = await Promise.all(ids.map((id) => host.dockerd.api("GET", `/containers/${id}/json`)));
  const ports = containers.flatMap(({ HostConfig, NetworkSettings }) =>
    Object.entries<{ HostPort: string }[]>(HostConfig.PortBindings ?? {}).flatMap(([target, bindings]) => {
      const [port, protocol] = target.split("/");
      return bindings.map(
        ({ HostPort }) => `${protocol} ${HostPort} ${NetworkSettings.Networks[network].IPAddress} ${port}`,
      );
    }),
  );
  return {
    endpoints: ids.map((id) => Containers[id].EndpointID).sort(),
    addresses: ids.map((id) => withoutPrefix(Containers[id].IPv4Address)).sort(),
    ports: ports.sort(),
  };
}

/** What the kernel has: host ends of veths by their alias, and the elements of the port map. It does not know addresses. */
export async function storyOfKernel(host: Host): Promise<Omit<Story, "addresses">> {
  const links: { ifalias?: string }[] = await host.ip("link");
  return {
    endpoints: links.flatMap(({ ifalias = "" }) => /^tsnet:veth:(\w+)$/.exec(ifalias)?.[1] ?? []).sort(),
    ports: (await listMappings(host, "port4")).sort(),
  };
}

interface PortRecord {
  readonly protocol: string;
  readonly hostAddress: string;
  readonly hostPort: number;
  readonly containerPort: number;
}

/** What the plugin's records say, of the host's IPv4 ports, as Docker and the kernel's map do. A lease of a gateway belongs to no endpoint, and is left out. */
export function storyOfRecords(host: Host, gateway: string): Story {
  const endpoints = host.records("endpoint");
  const leases = [...host.records("lease")].flatMap(([id, value]) => addressOf(id, value));
  const ports = [...endpoints.values()].flatMap((endpoint) =>
    endpoint.ports
      .filter(({ hostAddress }: PortRecord) => !hostAddress.includes(":"))
      .map(
        (port: PortRecord) =>
          `${port.protocol} ${port.hostPort} ${withoutPrefix(endpoint.addresses[0])} ${port.containerPort}`,
      ),
  );
  return {
    endpoints: [...endpoints.keys()].sort(),
    addresses: leases.filter((address) => address !== gateway).sort(),
    ports: ports.sort(),
  };
}

const withoutPrefix = (address: string): string => address.replace(/\/\d+$/, "");

function addressOf(id: string, value: { address?: string }): string {
  if (typeof value.address !== "string") throw new Error(`lease ${id} has no address: ${JSON.stringify(value)}`);
  return withoutPrefix(value.address);
}
