import { expect } from "chai";
import { State } from "../../../src/driver/state.ts";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import { startDriver, stopDriver } from "../../support/driver.ts";
import { errorOf } from "../../support/store-contract.ts";
import { bridgeKey, endpointOf, idOf, ipv6, mappingOf, networkOf, networkRequest } from "../../support/values.ts";
import { World } from "../../support/world.ts";

const without = (value: object, ...keys: string[]): object =>
  Object.fromEntries(Object.entries(value).filter(([key]) => !keys.includes(key)));

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
    const options = { [bridgeKey("name")]: "lan", "com.docker.network.driver.mtu": "1400" };
    const network = { ...networkOf({ ipv6, options }), adopted: true, kept: ["172.18.0.1/16"] };
    const endpoint = endpointOf({ leases: ["one"], sandbox: "/run/x", ports: [mappingOf()] });
    const before = await restored();
    await before.saveNetwork(network);
    await before.saveEndpoint(endpoint);
    const state = await restored();
    expect([...state.networks(), ...state.endpoints()]).to.deep.equal([network, endpoint]);
    expect(state.endpointAt(network.id, "172.18.0.2/16")).to.deep.equal(endpoint);
  });

  it("takes records that are older than some of their fields", async () => {
    await store.commit([
      { put: "network", id: idOf("a1"), value: without(networkOf(), "kept") },
      { put: "endpoint", id: idOf("e1"), value: without(endpointOf(), "leases") },
    ]);
    const state = await restored();
    expect([...state.networks(), ...state.endpoints()]).to.deep.equal([networkOf(), endpointOf()]);
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
  const damaged: [kind: "network" | "endpoint", value: object, problem: string][] = [
    ["network", {}, "id: "],
    ["network", { ...network, mode: "moon" }, "mode: "],
    ["network", { ...network, bridge: "x; reboot" }, "bridge: expected the name of a link"],
    ["network", { ...network, mac: "02:42" }, "mac: expected a unicast MAC address"],
    ["network", { ...network, subnets: [] }, "subnets: "],
    ["network", { ...network, subnets: [{ ...network.subnets[0], pool: "172.18.0.0/99" }] }, "subnets.0.pool: "],
    ["network", { ...network, internal: undefined }, "internal: "],
    ["network", { ...network, id: idOf("a2") }, `id: expected ${idOf("a1")}, got ${idOf("a2")}`],
    ["endpoint", [], ""],
    ["endpoint", { ...endpoint, addresses: ["172.18.0.2"] }, "addresses.0: "],
    ["endpoint", { ...endpoint, addresses: [] }, "addresses: "],
    ["endpoint", { ...endpoint, ports: [{ ...mappingOf(), hostPort: 0 }] }, "ports.0.hostPort: "],
    ["endpoint", { ...endpoint, ports: [{ ...mappingOf(), protocol: "icmp" }] }, "ports.0.protocol: "],
    ["endpoint", { ...endpoint, sandbox: 7 }, "sandbox: "],
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
