import { expect } from "chai";
import { State } from "../../../src/driver/state.ts";
import type { LanNetwork } from "../../../src/plan/network.ts";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import { startDriver, stopDriver } from "../../support/driver.ts";
import { errorOf } from "../../support/store-changes.ts";
import {
  bridgeKey,
  endpointOf,
  idOf,
  ipv6,
  ipvlanOf,
  macvlanOf,
  mappingOf,
  networkOf,
  networkRequest,
  requestedSubnet,
} from "../../support/values.ts";
import { World } from "../../support/world.ts";

const without = (value: object, ...keys: string[]): object =>
  Object.fromEntries(Object.entries(value).filter(([key]) => !keys.includes(key)));

/** Each field as the driver compares it. */
const asFields = (value: object): object =>
  Object.fromEntries(Object.entries(value).map(([key, field]) => [key, JSON.stringify(field)]));

describe("State", () => {
  let store: MemoryStore;
  beforeEach(() => {
    store = new MemoryStore();
  });
  const restored = async (): Promise<State> => {
    const state = new State(store);
    await state.restore();
    return state;
  };

  it("is the same after a restart", async () => {
    const options = {
      [bridgeKey("name")]: "lan",
      "com.docker.network.driver.mtu": "1400",
      [bridgeKey("gateway_mode_ipv4")]: "routed",
      [bridgeKey("trusted_host_interfaces")]: "eth1",
      "tsnet.publish_from": "192.0.2.1",
      "tsnet.publish_policy": "host",
    };
    const ipv4 = [requestedSubnet("172.18.0.0/16", "172.18.0.1/16"), requestedSubnet("10.0.0.0/24", "10.0.0.1/24")];
    const network = { ...networkOf({ ipv4, ipv6, options }), adopted: true, kept: ["172.18.0.1/16"] };
    const openPorts = [{ protocol: "tcp" as const, port: 80, count: 3 }];
    const endpoint = endpointOf({ leases: ["one"], sandbox: "/run/x", ports: [mappingOf({ count: 9 })], openPorts });
    const before = await restored();
    await before.saveNetwork(network);
    await before.saveEndpoint(endpoint);
    const state = await restored();
    expect([...state.networks(), ...state.endpoints()]).to.deep.equal([network, endpoint]);
    expect(state.endpointAt(network.id, "172.18.0.2/16")).to.deep.equal(endpoint);
  });

  it("is the same after a restart, with networks on a parent", async () => {
    const hostAccess = { "tsnet.host_access": "true", "tsnet.host_address": "192.168.1.250" };
    const macvlan = macvlanOf({ ...hostAccess, "com.docker.network.driver.mtu": "1400" });
    const vlan = { ...macvlanOf({ parent: "eth0.10", macvlan_mode: "vepa" }, { id: idOf("b2") }) };
    const networks: LanNetwork[] = [
      macvlan,
      { ...vlan, parent: { name: "eth0.10", kind: "vlan" } },
      ipvlanOf({ ipvlan_mode: "l3s", ipvlan_flag: "private" }, { id: idOf("c3") }),
      ipvlanOf({ parent: "" }, { id: idOf("d4"), ipv6 }),
    ];
    const endpoint = endpointOf({ network: idOf("c3"), mac: null });
    const before = await restored();
    for (const network of networks) await before.saveNetwork(network);
    await before.saveEndpoint(endpoint);
    const state = await restored();
    // their differences are looked for in JSON
    expect([...state.networks()].map(asFields)).to.deep.equal(networks.map(asFields));
    expect([...state.endpoints()]).to.deep.equal([endpoint]);
  });

  it("takes records that are older than some of their fields", async () => {
    await store.commit([
      {
        put: "network",
        id: idOf("a1"),
        value: {
          ...without(networkOf(), "kept", "trustedLinks", "publish", "publishFrom", "publishPolicy"),
          subnets: networkOf().subnets.map((subnet) => without(subnet, "gatewayMode")),
        },
      },
      {
        put: "endpoint",
        id: idOf("e1"),
        value: { ...without(endpointOf(), "leases", "openPorts"), ports: [without(mappingOf(), "count")] },
      },
    ]);
    const state = await restored();
    const endpoint = endpointOf({ ports: [mappingOf()] });
    expect([...state.networks(), ...state.endpoints()]).to.deep.equal([networkOf(), endpoint]);
  });

  it("knows a network again after a restart, and makes it once", async () => {
    const world = new World();
    const first = await startDriver(world, store);
    await first.networks.create(networkRequest({ ipv6 }));
    const second = await startDriver(world, store);
    await second.networks.create(networkRequest({ ipv6 }));
    expect([...second.state.networks()]).to.have.length(1);
    await stopDriver(second);
  });

  const network = networkOf();
  const endpoint = endpointOf();
  const lan = macvlanOf({ "tsnet.host_access": "true" });
  const damaged: [kind: "network" | "endpoint", value: object, problem: string][] = [
    ["network", {}, "mode: "],
    ["network", without(network, "id"), "id: "],
    ["network", { ...network, mode: "moon" }, "mode: "],
    ["network", { ...network, bridge: "x; reboot" }, "bridge: expected the name of a link"],
    ["network", { ...network, mac: "02:42" }, "mac: expected a unicast MAC address"],
    ["network", { ...network, subnets: [] }, "subnets: "],
    ["network", { ...network, subnets: [{ ...network.subnets[0], pool: "172.18.0.0/99" }] }, "subnets.0.pool: "],
    ["network", { ...network, internal: undefined }, "internal: "],
    ["network", { ...network, id: idOf("a2") }, `id: expected ${idOf("a1")}, got ${idOf("a2")}`],
    ["network", { ...lan, parent: { name: "a/b", kind: "link" } }, "parent.name: expected the name of a link"],
    ["network", { ...lan, parent: { name: "eth0.5000", kind: "vlan" } }, "parent.name: vlan id must be between"],
    ["network", { ...lan, parent: { name: "eth0", kind: "bridge" } }, "parent.kind: "],
    ["network", { ...lan, parent: undefined }, "parent: "],
    ["network", { ...lan, macvlanMode: "l2" }, "macvlanMode: "],
    ["network", { ...lan, mode: "ipvlan" }, "ipvlanMode: "],
    ["network", { ...lan, hostAccess: { addresses: ["host"] } }, "hostAccess.addresses.0: "],
    ["network", { ...lan, subnets: [{ ...lan.subnets[0], defaultGateway: "router" }] }, "subnets.0.defaultGateway: "],
    ["endpoint", [], ""],
    ["endpoint", { ...endpoint, mac: "" }, "mac: expected a unicast MAC address"],
    ["endpoint", { ...endpoint, addresses: ["172.18.0.2"] }, "addresses.0: "],
    ["endpoint", { ...endpoint, addresses: [] }, "addresses: "],
    ["endpoint", { ...endpoint, ports: [{ ...mappingOf(), hostPort: 0 }] }, "ports.0.hostPort: "],
    ["endpoint", { ...endpoint, ports: [{ ...mappingOf(), protocol: "icmp" }] }, "ports.0.protocol: "],
    ["endpoint", { ...endpoint, ports: [{ ...mappingOf(), count: 0 }] }, "ports.0.count: "],
    ["endpoint", { ...endpoint, ports: [mappingOf({ hostPort: 65535, count: 2 })] }, "ports.0: expected a block"],
    ["endpoint", { ...endpoint, openPorts: [{ protocol: "tcp", port: 2, count: 65535 }] }, "openPorts.0: expected a"],
    ["endpoint", { ...endpoint, sandbox: 7 }, "sandbox: "],
    ["network", { ...network, trustedLinks: ['a"b'] }, "trustedLinks.0: expected the name of a link"],
    ["network", { ...network, publishFrom: ["10.0.0.1/8"] }, "publishFrom.0: "],
    ["network", { ...network, subnets: [{ ...network.subnets[0], gatewayMode: "x" }] }, "subnets.0.gatewayMode: "],
  ];
  for (const [kind, value, problem] of damaged) {
    it(`does not start with a damaged ${kind}, and says which and what to do: ${problem}`, async () => {
      const id = kind === "network" ? network.id : endpoint.id;
      await store.commit([{ put: kind, id, value }]);
      const { code, message } = await errorOf(restored());
      expect(code).to.equal("store");
      expect(message.startsWith(`record ${kind} ${id} cannot be understood: ${problem}`), message).to.equal(true);
      expect(message).to.match(/; remove it from tsnet\.db or move the file away$/);
    });
  }
});
