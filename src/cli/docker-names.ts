/** Names of containers and networks, from Docker itself. */
import { type Address, ask } from "./client.ts";

/** A name is nice to have: Docker has no more time than this. */
const timeoutMs = 2000;

/** By full IDs. */
export interface Names {
  /** Of the container that an endpoint belongs to. */
  readonly containers: ReadonlyMap<string, string>;
  readonly networks: ReadonlyMap<string, string>;
  /** Network of a subnet that another IPAM driver than Docker's own has given it, by `subnetKey`. */
  readonly ipamSubnets: ReadonlyMap<string, string>;
  /** Name of the container that has an address, by `addressKey`. */
  readonly addresses: ReadonlyMap<string, string>;
}

export const noNames: Names = {
  containers: new Map(),
  networks: new Map(),
  ipamSubnets: new Map(),
  addresses: new Map(),
};

/** @param range the part of the subnet that addresses are taken from; "" for all */
export const subnetKey = (isSwarms: boolean, subnet: string, range: string): string =>
  `${isSwarms ? "swarm" : "local"} ${subnet} ${range}`;

/** @param network its full ID */
export const addressKey = (network: string, address: string): string => `${network} ${address}`;

/** None if Docker cannot be asked. */
export async function dockerNames(env: Readonly<Record<string, string | undefined>>): Promise<Names> {
  const address = dockerAddress(env["DOCKER_HOST"] || "unix:///var/run/docker.sock");
  if (address === undefined) return noNames;
  try {
    const [containers, networks] = await Promise.all(
      ["/containers/json", "/networks"].map((path) => ask(address, path, timeoutMs)),
    );
    return parseNames(containers?.body, networks?.body);
  } catch {
    return noNames;
  }
}

/** @returns undefined for what is neither unix:// nor plain tcp:// */
export function dockerAddress(host: string): Address | undefined {
  const [, socketPath] = /^unix:\/\/(\/.+)$/.exec(host) ?? [];
  if (socketPath !== undefined) return { socketPath };
  const [, name, port] = /^(?:tcp|http):\/\/([^:/]+|\[[^\]]+\]):(\d+)\/?$/.exec(host) ?? [];
  return name === undefined || port === undefined ? undefined : { host: name.replace(/^\[|\]$/g, ""), port };
}

interface DockerContainer {
  readonly Names?: readonly string[];
  readonly NetworkSettings?: {
    readonly Networks?: Readonly<Record<string, DockerEndpoint>>;
  };
}

interface DockerEndpoint {
  readonly NetworkID?: string;
  readonly EndpointID?: string;
  readonly IPAddress?: string;
  readonly GlobalIPv6Address?: string;
}

interface DockerNetwork {
  readonly Id?: string;
  readonly Name?: string;
  readonly Scope?: string;
  readonly IPAM?: {
    readonly Driver?: string;
    readonly Config?: readonly { readonly Subnet?: string; readonly IPRange?: string }[] | null;
  };
}

/** From the answers to GET /containers/json and GET /networks. */
export function parseNames(containers: unknown, networks: unknown): Names {
  const list = <T>(value: unknown): readonly T[] => (Array.isArray(value) ? value : []);
  const endpoints = list<DockerContainer>(containers).flatMap(({ Names, NetworkSettings }) => {
    const name = Names?.[0]?.replace(/^\//, "");
    const found = Object.values(NetworkSettings?.Networks ?? {});
    const running = found.filter(({ EndpointID = "" }) => EndpointID !== "");
    return name === undefined ? [] : running.map((endpoint) => ({ name, endpoint }));
  });
  const known = list<DockerNetwork>(networks);
  return {
    containers: new Map(endpoints.map(({ name, endpoint: { EndpointID = "" } }) => [EndpointID, name])),
    networks: new Map(known.map(({ Id = "", Name = "" }) => [Id, Name])),
    ipamSubnets: new Map(known.flatMap(subnetsOf)),
    addresses: new Map(endpoints.flatMap(({ name, endpoint }) => addressesOf(endpoint, name))),
  };
}

const subnetsOf = ({ Id = "", Scope, IPAM }: DockerNetwork): [key: string, network: string][] =>
  IPAM?.Driver === undefined || IPAM.Driver === "default"
    ? []
    : (IPAM.Config ?? []).map(({ Subnet = "", IPRange = "" }) => [subnetKey(Scope === "swarm", Subnet, IPRange), Id]);

const addressesOf = (
  { NetworkID = "", IPAddress = "", GlobalIPv6Address = "" }: DockerEndpoint,
  container: string,
): [key: string, container: string][] =>
  [IPAddress, GlobalIPv6Address]
    .filter((address) => address !== "")
    .map((address) => [addressKey(NetworkID, address), container]);
