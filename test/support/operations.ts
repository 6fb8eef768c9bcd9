/** What Docker asks a driver for, on a world with a bridge of the user's. */
import type { PlaneKind } from "./cluster.ts";
import type { Driver } from "./driver.ts";
import { bindingOf, bindingsOf, bridgeKey, idOf, ipv6, networkRequest, requestedSubnet } from "./values.ts";

const network = idOf("a1");
const endpoint = idOf("e1");
const sandbox = "/var/run/docker/netns/e1";
const container = "tsc-e1000000000";

/** Something that may fail or die at each of its steps. */
export interface Operation {
  readonly name: string;
  readonly prepare: (driver: Driver) => Promise<void>;
  readonly run: (driver: Driver) => Promise<unknown>;
  /** How its host knows of others: not at all, unless this says it. */
  readonly plane?: PlaneKind;
  /** Whether a failed one has to leave everything as it was; a failed removal may have gone part of the way. */
  readonly isUndone: boolean;
}

const bindings = [
  bindingOf(8080),
  bindingOf(0, { protocol: "udp" }),
  bindingOf(9000, { hostPortEnd: 9005, hostAddress: "127.0.0.1" }),
  ...bindingsOf(7000, 7000, 5),
  ...bindingsOf(7100, 80, 2, { hostAddress: "::1" }),
];
const severalSubnets = [
  requestedSubnet("172.18.0.0/16", "172.18.0.1/16"),
  requestedSubnet("10.0.8.0/24", "10.0.8.1/24"),
];
const endpointRequest = { network, id: endpoint, addresses: ["172.18.0.2/16", "fd00:18::2/64"], mac: null };
const steps = {
  nothing: async () => {},
  network: ({ networks }: Driver) => networks.create(networkRequest({ ipv6 })),
  adopted: ({ networks }: Driver) =>
    networks.create(networkRequest({ ipv4: severalSubnets, ipv6, options: { [bridgeKey("name")]: "lan" } })),
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
    await driver.endpoints.publish(network, endpoint, bindings);
  },
  /** An endpoint whose IPv6 is routed and whose IPv4 is served by sockets of the plugin. */
  routedEndpoint: async (driver: Driver) => {
    const options = { [bridgeKey("gateway_mode_ipv6")]: "routed", "tsnet.publish_policy": "host" };
    await driver.networks.create(networkRequest({ ipv6, options }));
    await driver.endpoints.create(endpointRequest);
  },
  joinRouted: ({ endpoints }: Driver) => endpoints.join(network, endpoint, sandbox, bindings),
  routed: async (driver: Driver) => {
    await steps.routedEndpoint(driver);
    await steps.joinRouted(driver);
    driver.world.moveIntoSandbox(container, sandbox);
  },
  publishedRouted: async (driver: Driver) => {
    await steps.routed(driver);
    await driver.endpoints.publish(network, endpoint, bindings);
  },
  /** Two endpoints of a container, and its host ports of IPv6 are those of the one without IPv6. */
  beforeYielding: async (driver: Driver) => {
    await steps.network(driver);
    const { id, ...others } = { ...endpointRequest, addresses: ["172.18.0.3/16"] };
    await driver.endpoints.create({ ...others, id: idOf("e2") });
    await driver.endpoints.join(network, idOf("e2"), sandbox);
    driver.world.moveIntoSandbox("tsc-e2000000000", sandbox);
    await driver.endpoints.publish(network, idOf("e2"), bindings);
    await driver.endpoints.create({ ...others, id, addresses: ["fd00:18::2/64"] });
    await driver.endpoints.join(network, id, sandbox);
    driver.world.moveIntoSandbox(container, sandbox);
  },
  /** As Docker does it: the container leaves, its link comes back, then the endpoint goes. */
  left: async (driver: Driver) => {
    await steps.published(driver);
    await driver.endpoints.leave(network, endpoint);
    driver.world.sandboxes.delete(sandbox);
    driver.world.moveOutOfSandbox(container);
  },
  /** Another endpoint of the same container, so that its addresses count as several. */
  second: async (driver: Driver) => {
    await steps.published(driver);
    const ipv4 = [requestedSubnet("10.0.0.0/24", "10.0.0.1/24")];
    await driver.networks.create(networkRequest({ id: idOf("b2"), ipv4 }));
    await driver.endpoints.create({ network: idOf("b2"), id: idOf("e2"), addresses: ["10.0.0.2/24"], mac: null });
  },
};

/** All that changes the kernel or the records. */
export const bridgeOperations: readonly Operation[] = [
  { name: "create network", prepare: steps.nothing, run: steps.network, isUndone: true },
  { name: "create network on a bridge of the user's", prepare: steps.nothing, run: steps.adopted, isUndone: true },
  { name: "delete network", prepare: steps.network, run: ({ networks }) => networks.delete(network), isUndone: false },
  {
    name: "delete network on a bridge of the user's",
    prepare: steps.adopted,
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
    name: "create endpoint",
    prepare: steps.network,
    run: ({ endpoints }) => endpoints.create(endpointRequest),
    isUndone: true,
  },
  {
    name: "join",
    prepare: steps.endpoint,
    run: ({ endpoints }) => endpoints.join(network, endpoint, sandbox),
    isUndone: true,
  },
  {
    name: "join a second network",
    prepare: steps.second,
    run: ({ endpoints }) => endpoints.join(idOf("b2"), idOf("e2"), sandbox),
    isUndone: true,
  },
  {
    name: "publish",
    prepare: steps.joined,
    run: ({ endpoints }) => endpoints.publish(network, endpoint, bindings),
    isUndone: true,
  },
  {
    name: "unpublish",
    prepare: steps.published,
    run: ({ endpoints }) => endpoints.unpublish(network, endpoint),
    isUndone: false,
  },
  {
    name: "leave",
    prepare: steps.published,
    run: ({ endpoints }) => endpoints.leave(network, endpoint),
    isUndone: false,
  },
  {
    name: "join with open ports",
    prepare: steps.routedEndpoint,
    run: steps.joinRouted,
    isUndone: true,
  },
  {
    name: "publish by sockets, with open ports",
    prepare: steps.routed,
    run: ({ endpoints }) => endpoints.publish(network, endpoint, bindings),
    isUndone: true,
  },
  {
    name: "unpublish by sockets, with open ports",
    prepare: steps.publishedRouted,
    run: ({ endpoints }) => endpoints.unpublish(network, endpoint),
    isUndone: false,
  },
  {
    name: "leave with open ports",
    prepare: steps.publishedRouted,
    run: ({ endpoints }) => endpoints.leave(network, endpoint),
    isUndone: false,
  },
  {
    name: "publish others instead",
    prepare: steps.published,
    run: ({ endpoints }) => endpoints.publish(network, endpoint, [bindingOf(8081), ...bindingsOf(7003, 7003, 5)]),
    isUndone: false,
  },
  {
    name: "publish what another endpoint of the container has to yield",
    prepare: steps.beforeYielding,
    run: ({ endpoints }) => endpoints.publish(network, endpoint, [bindingOf(8080)]),
    isUndone: false,
  },
  {
    name: "delete endpoint",
    prepare: steps.left,
    run: ({ endpoints }) => endpoints.delete(network, endpoint),
    isUndone: false,
  },
];
