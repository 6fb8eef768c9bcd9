/** What Docker asks a driver for on networks with a parent, on a world with the link eth0. */
import type { Driver } from "./driver.ts";
import type { Operation } from "./operations.ts";
import { idOf, lanRequest } from "./values.ts";

const network = idOf("a1");
const endpoint = idOf("e1");
const sandbox = "/var/run/docker/netns/e1";
const container = "tsm-e1000000000";
const onVlan = { parent: "eth0.10" };
const endpointRequest = { network, id: endpoint, addresses: ["192.168.1.10/24"], mac: null };

const steps = {
  nothing: async () => {},
  network: ({ networks }: Driver) => networks.create(lanRequest("macvlan", onVlan)),
  other: ({ networks }: Driver) => networks.create(lanRequest("macvlan", onVlan, { id: idOf("b2") })),
  both: async (driver: Driver) => {
    await steps.network(driver);
    await steps.other(driver);
  },
  endpoint: async (driver: Driver) => {
    await steps.network(driver);
    await driver.endpoints.create(endpointRequest);
  },
  joined: async (driver: Driver) => {
    await steps.endpoint(driver);
    await driver.endpoints.join(network, endpoint, sandbox);
    driver.world.moveIntoSandbox(container, sandbox);
    await driver.announcements.idle();
  },
  leaving: async (driver: Driver) => {
    await steps.joined(driver);
    driver.world.moveOutOfSandbox(container);
  },
  left: async (driver: Driver) => {
    await steps.leaving(driver);
    await driver.endpoints.leave(network, endpoint);
    driver.world.sandboxes.delete(sandbox);
  },
};

/** All that changes the kernel or the records. */
export const lanOperations: readonly Operation[] = [
  { name: "create network on a VLAN", prepare: steps.nothing, run: steps.network, isUndone: true },
  { name: "create network on a VLAN that there is", prepare: steps.other, run: steps.network, isUndone: true },
  {
    name: "create internal network without a parent",
    prepare: steps.nothing,
    run: ({ networks }) => networks.create(lanRequest("ipvlan", {}, { internal: true })),
    isUndone: true,
  },
  {
    name: "delete network on a VLAN",
    prepare: steps.network,
    run: ({ networks }) => networks.delete(network),
    isUndone: false,
  },
  {
    name: "delete network on a VLAN that stays",
    prepare: steps.both,
    run: ({ networks }) => networks.delete(network),
    isUndone: false,
  },
  {
    name: "delete network with endpoints on a VLAN",
    prepare: steps.left,
    run: ({ networks }) => networks.delete(network),
    isUndone: false,
  },
  {
    name: "create endpoint on a VLAN, with the duplicate check",
    prepare: steps.network,
    run: ({ endpoints }) => endpoints.create(endpointRequest),
    isUndone: true,
  },
  {
    name: "join on a VLAN",
    prepare: steps.endpoint,
    run: ({ endpoints }) => endpoints.join(network, endpoint, sandbox),
    isUndone: true,
  },
  {
    name: "leave on a VLAN",
    prepare: steps.leaving,
    run: ({ endpoints }) => endpoints.leave(network, endpoint),
    isUndone: false,
  },
  {
    name: "delete endpoint on a VLAN",
    prepare: steps.left,
    run: ({ endpoints }) => endpoints.delete(network, endpoint),
    isUndone: false,
  },
];
