/** A swarm's network is for one UDP port of VXLAN: that of the manager that has allocated it. */
import { expect } from "chai";
import { Allocations, type AllocationsNeeds } from "../../../src/driver/allocations.ts";
import { Locks } from "../../../src/driver/locks.ts";
import { Networks, type NetworksNeeds } from "../../../src/driver/networks.ts";
import { explain } from "../../../src/errors.ts";
import type { DockerNetwork } from "../../../src/plan/docker-network.ts";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import { other } from "../../support/cluster.ts";
import { type Driver, startDriver, stopDriver, TestLog } from "../../support/driver.ts";
import { overlayRequest, requestedSubnet } from "../../support/values.ts";
import { World } from "../../support/world.ts";

const key = "tsnet.vxlan_port";
const id = "web0q1c2s8x4w7m9b5n6t1zpa";
type Options = Readonly<Record<string, string>>;

describe("the UDP port of a swarm's network", () => {
  /** What a manager with this port answers. */
  async function allocate(options: Options, vxlanPort?: number, listed: readonly DockerNetwork[] | null = null) {
    const role = async () => null;
    const nothing = { networks: () => listed, refresh: async () => null, role, shared: () => new Map() };
    const needs: AllocationsNeeds = {
      ...{ records: new MemoryStore(), state: { networks: () => [] }, locks: new Locks(), log: new TestLog() },
      ...{ ...nothing, isFree: async () => true, now: () => 0, ...(vxlanPort === undefined ? {} : { vxlanPort }) },
    };
    const subnets = [requestedSubnet("10.5.0.0/24", "10.5.0.1/24")];
    return await new Allocations(needs).allocate({ id, options, subnets });
  }

  it("is told to all nodes by the manager that allocates it, if it is not the usual one", async () => {
    expect(await allocate({}, 4790)).to.include({ mode: "overlay", [key]: "4790" });
    expect(await allocate({}, 4789)).not.to.have.property(key);
  });

  it("stays when another manager leads, whatever its own is", async () => {
    const network = { id, name: "web", driver: "tsnet-plugin:latest", parent: null };
    const listed = [{ ...network, ipamDriver: "default", ipamOptions: {}, subnets: [] }];
    expect(await allocate(await allocate({}, 4790), 4789, listed)).to.include({ [key]: "4790" });
    expect(await allocate(await allocate({}, 4789), 4790, listed)).not.to.have.property(key);
    expect(await allocate({}, 4790, [{ ...network, ...listed[0], driver: "" } as DockerNetwork])).to.have.property(key);
  });

  it("is no matter of other modes, of networks that cannot be allocated, or where nobody says it", async () => {
    expect(await allocate({ mode: "bridge" }, 4790)).not.to.have.property(key);
    expect(await allocate({ "tsnet.vni": "none" }, 4790)).not.to.have.property(key);
    expect(await allocate({})).not.to.have.property(key);
  });

  describe("on a node", () => {
    let driver: Driver;
    beforeEach(async () => {
      const world = new World();
      world.peers = [other.vtep];
      driver = await startDriver(world, new MemoryStore());
    });
    afterEach(() => stopDriver(driver));

    const create = (options: Readonly<Record<string, string>>): Promise<string> =>
      driver.networks.create(overlayRequest(options)).then(() => "", explain);

    it("is the node's own, or the network is refused with what to set", async () => {
      expect(await create({ [key]: "4790" })).to.equal(
        "tsnet.vxlan_port=4790: this node has TSNET_VXLAN_PORT=4789, and would reach no other node of the network; docker plugin set tsnet-plugin TSNET_VXLAN_PORT=4790 on this node, or 4789 on all others, and make the network anew",
      );
      expect([...driver.state.networks()]).to.deep.equal([]);
      expect(await create({ [key]: "4789" })).to.equal("");
      expect(await create({ [key]: "4789" })).to.equal("");
    });

    it("may be left out", async () => {
      expect(await create({})).to.equal("");
    });

    it("is the usual one of a network of a swarm that names none", async () => {
      const text = async (scope: string, network: string, vxlanPort: number): Promise<string> => {
        const needs: NetworksNeeds = { ...driver, attach: async () => {}, hold: async () => {} };
        const networks = new Networks({ ...needs, defaultMode: scope === "global" ? "overlay" : "bridge", vxlanPort });
        const request = { ...overlayRequest({ "tsnet.vni": "5000" }), id: network };
        const answer = await networks.create(request).then(() => "", explain);
        await networks.delete(network);
        return answer;
      };
      expect(await text("global", id, 4790)).to.contain(`${key}=4789: this node has TSNET_VXLAN_PORT=4790`);
      expect(await text("global", id, 4789)).to.equal("");
      // no manager has allocated them
      expect(await text("local", id, 4790)).to.equal("");
      expect(await text("global", "5".repeat(64), 4790)).to.equal("");
    });
  });
});
