/** Docker's answers about networks, as values. What is not understood is left out: other drivers write there what they like. */
import { z } from "zod";
import type { DockerNetwork } from "../plan/docker-network.ts";

const subnetShape = z.object({
  Subnet: z.string().optional(),
  Gateway: z.string().optional(),
  AuxiliaryAddresses: z.record(z.string(), z.string()).nullish(),
});

const networkShape = z.object({
  Id: z.string(),
  Name: z.string(),
  Driver: z.string(),
  Options: z.record(z.string(), z.string()).nullish(),
  IPAM: z.object({
    Driver: z.string(),
    Options: z.record(z.string(), z.string()).nullish(),
    Config: z.array(subnetShape).nullish(),
  }),
});

const containersShape = z.object({
  Containers: z
    .record(z.string(), z.object({ Name: z.string(), IPv4Address: z.string(), IPv6Address: z.string() }))
    .nullish(),
});

/**
 * The answer to GET /networks.
 * @throws Error if it is no list
 */
export function parseNetworks(answer: unknown): DockerNetwork[] {
  if (!Array.isArray(answer)) throw new Error("GET /networks: the answer is no list: is this Docker's socket?");
  return answer.flatMap((value: unknown) => {
    const { data } = networkShape.safeParse(value);
    return data === undefined ? [] : networkOf(data);
  });
}

const networkOf = ({ Id, Name, Driver, Options, IPAM }: z.infer<typeof networkShape>): DockerNetwork => ({
  ...{
    id: Id,
    name: Name,
    driver: Driver,
    parent: Options?.["parent"] ?? null,
    ipamDriver: IPAM.Driver,
    ipamOptions: IPAM.Options ?? {},
  },
  ...(Options?.["tsnet.vni"] ? { vni: Options["tsnet.vni"] } : {}),
  subnets: (IPAM.Config ?? []).flatMap(({ Subnet, Gateway, AuxiliaryAddresses }) => {
    if (!Subnet) return [];
    const auxiliary = Object.values(AuxiliaryAddresses ?? {}).map(withoutPrefix);
    return [{ subnet: Subnet, gateway: Gateway ? withoutPrefix(Gateway) : null, auxiliary }];
  }),
});

/** The addresses of the answer to GET /networks/ID, "172.18.0.2", and the containers that have them, by name. */
export function parseContainers(answer: unknown): Map<string, string> {
  const containers = Object.values(containersShape.parse(answer).Containers ?? {});
  return new Map(
    containers.flatMap(({ Name, IPv4Address, IPv6Address }) =>
      [IPv4Address, IPv6Address].filter(Boolean).map((address) => [withoutPrefix(address), Name] as const),
    ),
  );
}

const presenceShape = z.object({
  Containers: z.record(z.string(), z.unknown()).nullish(),
  Peers: z.array(z.unknown()).nullish(),
});

/**
 * Whether the answer to GET /networks/ID is of a network that this host has: of one that only its swarm has, a manager tells what the
 * swarm's store says, without containers and without nodes (getNetwork() in moby, daemon/server/router/network).
 */
export function parsePresence(answer: unknown): boolean {
  const { Containers, Peers } = presenceShape.parse(answer);
  return Containers != null || (Peers ?? []).length > 0;
}

/** Docker writes some addresses with a prefix length, and some without, differently in each version. */
const withoutPrefix = (address: string): string => address.split("/")[0] ?? "";
