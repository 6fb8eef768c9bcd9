/** What Docker asks a driver for on overlay networks: on a host that knows others by TSNET_PEERS, by its swarm, and by etcd. */
import type { Driver } from "./driver.ts";
import { swarmIdOf } from "./fake-gossip.ts";
import type { Operation } from "./operations.ts";
import { bindingOf, idOf, ipv6, overlayRequest } from "./values.ts";

const endpoint = idOf("e1");
const sandbox = "/var/run/docker/netns/e1";
const container = "tsc-e1000000000";

function operationsOn(network: string): readonly Operation[] {
  const endpointRequest = { network, id: endpoint, addresses: ["10.5.0.2/24", "fd00:18::2/64"], mac: null };
  const secondRequest = { network, id: idOf("e2"), addresses: ["10.5.0.3/24"], mac: null };

  const steps = {
    nothing: async () => {},
    network: ({ networks }: Driver) => networks.create(overlayRequest({}, { id: network, ipv6 })),
    internal: ({ networks }: Driver) => networks.create(overlayRequest({}, { id: network, internal: true })),
    endpoint: async (driver: Driver) => {
      await steps.network(driver);
      await driver.endpoints.create(endpointRequest);
    },
    joined: async (driver: Driver) => {
      await steps.endpoint(driver);
      await driver.endpoints.join(network, endpoint, sandbox);
      driver.world.moveIntoSandbox(container, sandbox);
    },
    published: async (driver: Driver) => {
      await steps.joined(driver);
      await driver.endpoints.publish(network, endpoint, [bindingOf(8080)]);
    },
    left: async (driver: Driver) => {
      await steps.published(driver);
      await driver.endpoints.leave(network, endpoint);
      driver.world.sandboxes.delete(sandbox);
      driver.world.moveOutOfSandbox(container);
    },
    /** One of two containers has left. */
    oneLeft: async (driver: Driver) => {
      await steps.left(driver);
      await driver.endpoints.create(secondRequest);
      await driver.endpoints.join(network, idOf("e2"), "/var/run/docker/netns/e2");
      driver.world.moveIntoSandbox("tsc-e2000000000", "/var/run/docker/netns/e2");
    },
  };

  return [
    { name: "create network", prepare: steps.nothing, run: steps.network, isUndone: true },
    {
      name: "delete network",
      prepare: steps.network,
      run: ({ networks }) => networks.delete(network),
      isUndone: false,
    },
    {
      name: "delete network with endpoints",
      prepare: steps.left,
      run: ({ networks }) => networks.delete(network),
      isUndone: false,
    },
    {
      name: "create the first endpoint",
      prepare: steps.network,
      run: ({ endpoints }) => endpoints.create(endpointRequest),
      isUndone: true,
    },
    {
      name: "create the first endpoint of an internal network",
      prepare: steps.internal,
      run: ({ endpoints }) => endpoints.create(secondRequest),
      isUndone: true,
    },
    {
      name: "create another endpoint",
      prepare: steps.joined,
      run: ({ endpoints }) => endpoints.create(secondRequest),
      isUndone: true,
    },
    {
      name: "join",
      prepare: steps.endpoint,
      run: ({ endpoints }) => endpoints.join(network, endpoint, sandbox),
      isUndone: true,
    },
    {
      name: "publish",
      prepare: steps.joined,
      run: ({ endpoints }) => endpoints.publish(network, endpoint, [bindingOf(8080)]),
      isUndone: true,
    },
    {
      name: "leave",
      prepare: steps.published,
      run: ({ endpoints }) => endpoints.leave(network, endpoint),
      isUndone: false,
    },
    {
      name: "delete an endpoint",
      prepare: steps.oneLeft,
      run: ({ endpoints }) => endpoints.delete(network, endpoint),
      isUndone: false,
    },
    {
      name: "delete the last endpoint",
      prepare: steps.left,
      run: ({ endpoints }) => endpoints.delete(network, endpoint),
      isUndone: false,
    },
  ];
}

/** All that changes the kernel, the records or etcd. */
export const overlayOperations: readonly Operation[] = (["static", "etcd", "swarm"] as const).flatMap((plane) =>
  operationsOn(plane === "swarm" ? swarmIdOf("a1") : idOf("a1")).map((operation) => ({
    ...operation,
    ...{ name: `${operation.name} (overlay, ${plane})`, plane },
  })),
);
