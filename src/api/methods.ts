/** The table of all methods that Docker calls: body in, answer out. */
import type { z } from "zod";
import type { Allocations } from "../driver/allocations.ts";
import type { Endpoints } from "../driver/endpoints.ts";
import type { Ipam } from "../driver/ipam/ipam.ts";
import type { Networks } from "../driver/networks.ts";
import type { DiscoveredNodes } from "../driver/overlay/discovered-nodes.ts";
import { parseBody } from "./parse.ts";
import { type Registered, registrationAnswers } from "./registration.ts";
import * as requests from "./requests.ts";

/** What the methods work on. */
export interface Drivers extends Registered {
  readonly networks: Networks;
  readonly endpoints: Endpoints;
  readonly ipam: Ipam;
  readonly allocations: Pick<Allocations, "allocate" | "free" | "newEpoch">;
  readonly nodes: Pick<DiscoveredNodes, "found" | "gone">;
  /**
   * false where no swarm calls, which takes managed plugins only, under their own name: what is asked for there is never a replay of
   * a swarm's, and does not end one. true if left out.
   */
  readonly servesSwarm?: boolean;
}

/** One method. */
export interface Method {
  /** Whether it can be answered before the state is restored. */
  readonly isImmediate: boolean;
  /** The largest body that it takes; 1 MiB if left out. */
  readonly bodyLimitBytes?: number;
  /** @param overdue aborted when the request has been answered with a timeout */
  readonly run: (body: unknown, overdue: AbortSignal) => Promise<object>;
}

/** A subnet or an address, and some options: 1 MiB of tiny ones would take 100 ms to be understood, and hold everybody up. */
const small = (base: Method): Method => ({ ...base, bodyLimitBytes: 16 * 1024 });

/** A method without arguments, whose answer does not depend on any state: its body is empty. */
const constant = (answer: object): Method => small({ isImmediate: true, run: async () => answer });

const method = <T>(shape: z.ZodType<T>, run: (request: T, overdue: AbortSignal) => Promise<unknown>): Method => ({
  isImmediate: false,
  run: async (body, overdue) => ((await run(parseBody(shape, body), overdue)) ?? {}) as object,
});

/** A container may publish all 65,535 ports: 8 MiB of them. */
const withPorts = (base: Method): Method => ({ ...base, bodyLimitBytes: 16 * 1024 * 1024 });

/** A static route without a next hop: moby, daemon/libnetwork/types, CONNECTED. */
const connected = 1;

/** All methods, by the path under which Docker calls them. */
export function methodsOf(drivers: Drivers): Readonly<Record<string, Method>> {
  return {
    "Plugin.Activate": constant(registrationAnswers(drivers)["Plugin.Activate"]),
    ...networkMethods(drivers),
    ...endpointMethods(drivers),
    ...ipamMethods(drivers),
  };
}

function networkMethods({ networks, allocations, nodes, servesSwarm = true, ...registered }: Drivers) {
  const answers = registrationAnswers(registered);
  return {
    "NetworkDriver.GetCapabilities": small({
      isImmediate: true,
      run: async () => {
        if (servesSwarm) allocations.newEpoch();
        return answers["NetworkDriver.GetCapabilities"];
      },
    }),
    "NetworkDriver.GwAllocCheck": method(requests.gwAllocCheck, async (request) => networks.checkGateways(request)),
    "NetworkDriver.AllocateNetwork": method(requests.allocateNetwork, async (request) => ({
      Options: await allocations.allocate(request),
    })),
    "NetworkDriver.FreeNetwork": method(requests.networkOnly, ({ network }) => allocations.free(network)),
    "NetworkDriver.CreateNetwork": method(requests.createNetwork, (request, overdue) =>
      networks.create(request, overdue),
    ),
    "NetworkDriver.DeleteNetwork": method(requests.networkOnly, ({ network }) => networks.delete(network)),
    "NetworkDriver.DiscoverNew": method(requests.discover, async (node) => node && nodes.found(node)),
    "NetworkDriver.DiscoverDelete": method(requests.discover, async (node) => node && nodes.gone(node)),
  } satisfies Record<string, Method>;
}

function endpointMethods({ endpoints }: Drivers): Record<string, Method> {
  return {
    "NetworkDriver.CreateEndpoint": withPorts(
      method(requests.createEndpoint, async (request) => {
        const mac = await endpoints.create(request);
        // dockerd refuses an answer that repeats what it has sent itself.
        return { Interface: request.mac === null && mac !== null ? { MacAddress: mac } : {} };
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
        const answer = await endpoints.join(network, endpoint, sandbox, ports);
        const InterfaceName = { SrcName: answer.link, DstPrefix: answer.interfacePrefix };
        const StaticRoutes = answer.onLink.map((Destination) => ({ Destination, RouteType: connected }));
        return {
          InterfaceName,
          Gateway: answer.gateway4,
          GatewayIPv6: answer.gateway6,
          StaticRoutes,
          ...(answer.withoutGatewayService ? { DisableGatewayService: true } : {}),
        };
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

function ipamMethods({ ipam, servesSwarm = true, ...registered }: Drivers): Record<string, Method> {
  const answers = registrationAnswers(registered);
  return {
    "IpamDriver.GetCapabilities": small({
      isImmediate: true,
      run: async () => {
        if (servesSwarm) ipam.newEpoch();
        return answers["IpamDriver.GetCapabilities"];
      },
    }),
    "IpamDriver.GetDefaultAddressSpaces": constant(answers["IpamDriver.GetDefaultAddressSpaces"]),
    "IpamDriver.RequestPool": small(
      method(requests.requestPool, async (request) => {
        const { poolId, pool, data } = await ipam.requestPool(request, servesSwarm);
        return { PoolID: poolId, Pool: pool, Data: data };
      }),
    ),
    "IpamDriver.ReleasePool": small(method(requests.releasePool, ({ poolId }) => ipam.releasePool(poolId))),
    "IpamDriver.RequestAddress": small(
      method(requests.requestAddress, async (request) => {
        const { address, data } = await ipam.requestAddress(request);
        return { Address: address, Data: data };
      }),
    ),
    "IpamDriver.ReleaseAddress": small(method(requests.releaseAddress, (request) => ipam.releaseAddress(request))),
  };
}
