/** Names of containers and networks, from Docker itself. */
import { type Address, get } from "./client.ts";

/** A name is nice to have: Docker has no more time than this. */
const timeoutMs = 2000;

/** By full IDs. */
export interface Names {
  /** Of the container that an endpoint belongs to. */
  readonly containers: ReadonlyMap<string, string>;
  readonly networks: ReadonlyMap<string, string>;
}

export const noNames: Names = { containers: new Map(), networks: new Map() };

/** None if Docker cannot be asked. */
export async function dockerNames(env: Readonly<Record<string, string | undefined>>): Promise<Names> {
  const address = dockerAddress(env["DOCKER_HOST"] || "unix:///var/run/docker.sock");
  if (address === undefined) return noNames;
  try {
    const [containers, networks] = await Promise.all(
      ["/containers/json", "/networks"].map((path) => get(address, path, timeoutMs)),
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
  readonly NetworkSettings?: { readonly Networks?: Readonly<Record<string, { readonly EndpointID?: string }>> };
}

/** From the answers to GET /containers/json and GET /networks. */
export function parseNames(containers: unknown, networks: unknown): Names {
  const list = <T>(value: unknown): readonly T[] => (Array.isArray(value) ? value : []);
  const byEndpoint = list<DockerContainer>(containers).flatMap(({ Names, NetworkSettings }) => {
    const name = Names?.[0]?.replace(/^\//, "");
    const endpoints = Object.values(NetworkSettings?.Networks ?? {}).map(({ EndpointID }) => EndpointID ?? "");
    return name === undefined ? [] : endpoints.map((endpoint) => [endpoint, name] as const);
  });
  const byId = list<{ readonly Id?: string; readonly Name?: string }>(networks).map(
    ({ Id = "", Name = "" }) => [Id, Name] as const,
  );
  return { containers: new Map(byEndpoint), networks: new Map(byId) };
}
