/** The requests of both drivers, method by method: moby, daemon/libnetwork/drivers/remote/api and ipams/remote/api. */
import { z } from "zod";
import {
  address,
  dictionary,
  hostAddress,
  id,
  mac,
  networkOptions,
  optionalIp,
  optionalText,
  orNone,
  poolId,
  sandboxOptions,
  subnets,
} from "./fields.ts";

export const createNetwork = z
  .object({ NetworkID: id, Options: networkOptions, IPv4Data: subnets, IPv6Data: subnets })
  .transform(({ NetworkID, Options, IPv4Data, IPv6Data }) => ({
    id: NetworkID,
    ...Options,
    ipv4: IPv4Data,
    ipv6: IPv6Data,
  }));

export const gwAllocCheck = z.object({ Options: networkOptions }).transform(({ Options }) => Options);

export const allocateNetwork = z
  .object({ NetworkID: id, Options: dictionary(z.string()), IPv4Data: subnets, IPv6Data: subnets })
  // Docker has subnets of both families in IPv4Data
  .transform(({ NetworkID, Options, IPv4Data, IPv6Data }) => ({
    id: NetworkID,
    options: Options,
    subnets: [...IPv4Data, ...IPv6Data],
  }));

export const networkOnly = z.object({ NetworkID: id }).transform(({ NetworkID }) => ({ network: NetworkID }));

export const endpointOnly = z
  .object({ NetworkID: id, EndpointID: id })
  .transform(({ NetworkID, EndpointID }) => ({ network: NetworkID, endpoint: EndpointID }));

/** Options of an endpoint, `--driver-opt` among them: keys of Docker's own are known or harmless, others mean nothing here. */
const endpointOptions = z
  .record(z.string(), z.unknown())
  .nullish()
  .superRefine((options, context) => {
    for (const [key, value] of Object.entries(options ?? {})) {
      if (key.startsWith("com.docker.")) continue;
      context.addIssue({
        code: "custom",
        message: `unknown endpoint option ${key}=${String(value)}; tsnet has none of its own`,
      });
    }
  });

export const createEndpoint = z
  .object({
    NetworkID: id,
    EndpointID: id,
    Interface: z
      .object({ Address: orNone(hostAddress), AddressIPv6: orNone(hostAddress), MacAddress: orNone(mac) })
      .nullish(),
    Options: endpointOptions,
  })
  .transform(({ NetworkID, EndpointID, Interface }) => ({
    network: NetworkID,
    id: EndpointID,
    addresses: [Interface?.Address, Interface?.AddressIPv6].filter((address) => typeof address === "string"),
    mac: Interface?.MacAddress ?? null,
  }));

export const join = z
  .object({
    NetworkID: id,
    EndpointID: id,
    SandboxKey: z
      .string()
      .max(4095)
      .regex(/^\/[\w./-]+$/, "expected the absolute path of a network namespace"),
    Options: sandboxOptions,
  })
  .transform(({ NetworkID, EndpointID, SandboxKey, Options }) => ({
    network: NetworkID,
    endpoint: EndpointID,
    sandbox: SandboxKey,
    ports: Options.ports,
  }));

export const programExternalConnectivity = z
  .object({ NetworkID: id, EndpointID: id, Options: sandboxOptions })
  .transform(({ NetworkID, EndpointID, Options }) => ({ network: NetworkID, endpoint: EndpointID, ...Options }));

/** Of discoverapi's types of data: the others are keys, of an encryption that is Docker's own. */
const nodeDiscovery = 1;

const node = z.object({ Address: orNone(address), Self: z.boolean().nullish() }).nullish();

/** null for what is no node. */
export const discover = z
  .object({ DiscoveryType: z.number(), DiscoveryData: z.unknown().optional() })
  .transform((data): unknown => (data.DiscoveryType === nodeDiscovery ? data : { DiscoveryData: null }))
  .pipe(z.object({ DiscoveryData: node }))
  .transform(({ DiscoveryData: data }) =>
    data?.Address ? { address: data.Address, isSelf: data.Self === true } : null,
  );

export const requestPool = z
  .object({
    AddressSpace: z.string(),
    Pool: optionalText,
    SubPool: optionalText,
    Options: dictionary(z.string()),
    V6: z.boolean().nullish(),
  })
  .transform(({ AddressSpace, Pool, SubPool, Options, V6 }) => ({
    addressSpace: AddressSpace,
    pool: Pool,
    subPool: SubPool,
    options: Options,
    v6: V6 ?? false,
  }));

export const releasePool = z.object({ PoolID: poolId }).transform(({ PoolID }) => ({ poolId: PoolID }));

export const requestAddress = z
  .object({ PoolID: poolId, Address: optionalIp, Options: dictionary(z.string()) })
  .transform(({ PoolID, Address, Options }) => ({ poolId: PoolID, address: Address, options: Options }));

export const releaseAddress = z
  .object({ PoolID: poolId, Address: optionalIp })
  .transform(({ PoolID, Address }) => ({ poolId: PoolID, address: Address }));
