/** The table of all methods that Docker calls: body in, answer out. */
import type { z } from "zod";
import type { Endpoints } from "../driver/endpoints.ts";
import type { Pools } from "../driver/ipam/pools.ts";
import type { Networks } from "../driver/networks.ts";
import { parseBody } from "./parse.ts";
import * as requests from "./requests.ts";

/** What the methods work on. */
export interface Drivers {
  readonly networks: Networks;
  readonly endpoints: Endpoints;
  readonly pools: Pools;
  /** Scope of the networks: TSNET_SCOPE. */
  readonly scope: "local" | "global";
}

/** One method. */
export interface Method {
  /** Whether it can be answered before the state is restored. */
  readonly isImmediate: boolean;
  /** Whether its body has the container's published ports, so that it may be large. */
  readonly carriesPorts?: boolean;
  /** @param overdue aborted when the request has been answered with a timeout */
  readonly run: (body: unknown, overdue: AbortSignal) => Promise<object>;
}

/** A method without arguments, whose answer does not depend on any state: its body is empty. */
const constant = (answer: object): Method => ({ isImmediate: true, run: async () => answer });

const method = <T>(shape: z.ZodType<T>, run: (request: T, overdue: AbortSignal) => Promise<unknown>): Method => ({
  isImmediate: false,
  run: async (body, overdue) => ((await run(parseBody(shape, body), overdue)) ?? {}) as object,
});

const withPorts = (base: Method): Method => ({ ...base, carriesPorts: true });

/** All methods, by the path under which Docker calls them. */
export function methodsOf(drivers: Drivers): Readonly<Record<string, Method>> {
  return {
    "Plugin.Activate": constant({ Implements: ["NetworkDriver", "IpamDriver"] }),
    ...networkMethods(drivers),
    ...endpointMethods(drivers),
    ...ipamMethods(drivers),
  };
}

function networkMethods({ networks, scope }: Drivers): Record<string, Method> {
  return {
    "NetworkDriver.GetCapabilities": constant({ Scope: scope, ConnectivityScope: "global", GwAllocChecker: true }),
    "NetworkDriver.GwAllocCheck": method(requests.gwAllocCheck, async (request) => networks.checkGateways(request)),
    "NetworkDriver.AllocateNetwork": method(requests.allocateNetwork, async ({ options }) => ({ Options: options })),
    "NetworkDriver.FreeNetwork": method(requests.networkOnly, async () => {}),
    "NetworkDriver.CreateNetwork": method(requests.createNetwork, (request, overdue) =>
      networks.create(request, overdue),
    ),
    "NetworkDriver.DeleteNetwork": method(requests.networkOnly, ({ network }) => networks.delete(network)),
    "NetworkDriver.DiscoverNew": method(requests.discover, async () => {}),
    "NetworkDriver.DiscoverDelete": method(requests.discover, async () => {}),
  };
}

function endpointMethods({ endpoints }: Drivers): Record<string, Method> {
  return {
    "NetworkDriver.CreateEndpoint": withPorts(
      method(requests.createEndpoint, async (request) => {
        const mac = await endpoints.create(request);
        // dockerd refuses an answer that repeats what it has sent itself.
        return { Interface: request.mac === null ? { MacAddress: mac } : {} };
      }),
    ),
    "NetworkDriver.EndpointOperInfo": method(requests.endpointOnly, async ({ network, endpoint }) => ({
      Value: endpoints.operInfo(network, endpoint),
    })),
    "NetworkDriver.DeleteEndpoint": method(requests.endpointOnly, ({ network, endpoint }) =>
      endpoints.delete(network, endpoint),
    ),
    "NetworkDriver.Join": withPorts(
      method(requests.join, async ({ network, endpoint, sandbox, ports }) => {
        const { link, interfacePrefix, gateway4, gateway6 } = await endpoints.join(network, endpoint, sandbox, ports);
        const InterfaceName = { SrcName: link, DstPrefix: interfacePrefix };
        return { InterfaceName, Gateway: gateway4, GatewayIPv6: gateway6 };
      }),
    ),
    "NetworkDriver.Leave": method(requests.endpointOnly, ({ network, endpoint }) => endpoints.leave(network, endpoint)),
    "NetworkDriver.ProgramExternalConnectivity": withPorts(
      method(requests.programExternalConnectivity, ({ network, endpoint, ports, noProxy6To4 }) =>
        endpoints.publish(network, endpoint, ports, noProxy6To4),
      ),
    ),
    "NetworkDriver.RevokeExternalConnectivity": method(requests.endpointOnly, ({ network, endpoint }) =>
      endpoints.unpublish(network, endpoint),
    ),
  };
}

function ipamMethods({ pools }: Drivers): Record<string, Method> {
  return {
    "IpamDriver.GetCapabilities": constant({ RequiresMACAddress: false, RequiresRequestReplay: false }),
    "IpamDriver.GetDefaultAddressSpaces": constant({
      LocalDefaultAddressSpace: "tsnet-local",
      GlobalDefaultAddressSpace: "tsnet-global",
    }),
    "IpamDriver.RequestPool": method(requests.requestPool, async (request) => {
      const { poolId, pool, data } = await pools.requestPool(request);
      return { PoolID: poolId, Pool: pool, Data: data };
    }),
    "IpamDriver.ReleasePool": method(requests.releasePool, ({ poolId }) => pools.releasePool(poolId)),
    "IpamDriver.RequestAddress": method(requests.requestAddress, async (request) => {
      const { address, data } = await pools.requestAddress(request);
      return { Address: address, Data: data };
    }),
    "IpamDriver.ReleaseAddress": method(requests.releaseAddress, (request) => pools.releaseAddress(request)),
  };
}
