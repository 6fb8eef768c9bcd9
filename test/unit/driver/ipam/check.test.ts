import { expect } from "chai";
import { IpamCheck } from "../../../../src/driver/ipam/check.ts";
import { State } from "../../../../src/driver/state.ts";
import { TsnetError } from "../../../../src/errors.ts";
import type { DockerNetwork } from "../../../../src/plan/docker-network.ts";
import type { SwarmRole } from "../../../../src/plan/docker-swarm.ts";
import { MemoryStore } from "../../../../src/store/memory-store.ts";
import { FakeIpam } from "../../../support/checked-ipam.ts";
import { TestLog } from "../../../support/driver.ts";
import { mostMs, turnsOf } from "../../../support/stall.ts";
import { endpointOf, idOf, networkOf } from "../../../support/values.ts";

const graceMs = 120_000;
const networkId = networkOf().id;

describe("IpamCheck", () => {
  let ipam: FakeIpam;
  let state: State;
  let log: TestLog;
  let now: number;
  let docker: DockerNetwork[] | null;
  let containers: Map<string, string>;
  let role: SwarmRole | null;
  /** What is answered first. */
  let roles: (SwarmRole | null)[];
  /** The addresses that the swarm has given out. */
  let given: ReadonlySet<string> | null;
  /** What happens between the look at tsnet and the look at Docker. */
  let meanwhile: () => Promise<void>;
  let check: IpamCheck;
  let grace: number;
  let pool: string;
  let deleted: string[];

  const dockers = (id: string, ...subnets: string[]): DockerNetwork => ({
    ...{ id, name: "web", driver: "tsnet", parent: null, ipamDriver: "tsnet", ipamOptions: {} },
    subnets: subnets.map((subnet) => ({ subnet, gateway: null, auxiliary: [] })),
  });
  const found = async () =>
    (await check.check()).map(({ kind, address, pool: id, repairable }) =>
      [kind, address ?? id, ...(repairable ? ["repairable"] : [])].join(" "),
    );
  const deleteNetwork = async (id: string) => {
    deleted.push(id);
    await state.forgetNetwork(id);
  };
  const repair = async () => (await check.repair()).released.map(({ address, pool: id }) => address ?? id);

  beforeEach(async () => {
    state = new State(new MemoryStore());
    ipam = new FakeIpam();
    log = new TestLog();
    now = 1_000_000;
    docker = [dockers(networkId, "172.18.0.0/16")];
    containers = new Map();
    [role, roles] = [null, []];
    given = new Set();
    meanwhile = async () => {};
    grace = graceMs;
    deleted = [];
    await state.saveNetwork(networkOf());
    pool = ipam.addPool("172.18.0.0/16", { network: networkId });
    ipam.hold(pool, "172.18.0.1", { role: "gateway" });
    check = new IpamCheck({
      ...{ ipam, state, log, hostId: "host-1", now: () => now, deleteNetwork },
      get graceMs() {
        return grace;
      },
      docker: {
        refresh: async () => docker,
        containersIn: async () => {
          await meanwhile();
          return containers;
        },
        swarmRole: async () => (roles.length > 0 ? (roles.shift() ?? null) : role),
        swarmAddresses: async () => given,
      },
    });
  });

  it("finds nothing where all agree", async () => {
    ipam.hold(pool, "172.18.0.2", { grant: "g" });
    ipam.hold(pool, "172.18.0.9", { role: "auxiliary" });
    ipam.hold(pool, "172.18.0.7", { role: "host" });
    ipam.hold(pool, "172.18.0.8", { restsUntilMs: now + 1 });
    await state.saveEndpoint(endpointOf({ addresses: ["172.18.0.2/16"], leases: ["g"] }));
    expect(await found()).to.deep.equal([]);
  });

  describe("of an address that no endpoint has", () => {
    beforeEach(() => ipam.hold(pool, "172.18.0.2", { sinceMs: 950_000, identity: "name:web" }));

    it("gives it back after the grace time, and not before", async () => {
      expect(await found()).to.deep.equal(["orphan-lease 172.18.0.2"]);
      now += graceMs - 1;
      expect(await repair()).to.deep.equal([]);
      now += 1;
      expect(await found()).to.deep.equal(["orphan-lease 172.18.0.2 repairable"]);
      expect(await repair()).to.deep.equal(["172.18.0.2"]);
      expect(await found()).to.deep.equal([]);
      expect(ipam.held()).to.deep.equal(["172.18.0.0/16", "172.18.0.1"]);
      expect(log.lines).to.have.length(1);
      expect(log.lines[0]).to.match(/^warn: gave back .* 172\.18\.0\.2: no endpoint has it; it was for name:web/);
    });

    it("counts from when it was seen so first, without a break, and from when it was given out", async () => {
      await check.check();
      now += graceMs;
      await state.saveEndpoint(endpointOf({ addresses: ["172.18.0.2/16"], leases: ["grant of 172.18.0.2"] }));
      expect(await found()).to.deep.equal([]);
      await state.forgetEndpoint(endpointOf().id);
      expect(await repair()).to.deep.equal([]);
      now += 1000;
      ipam.hold(pool, "172.18.0.2", { grant: "of another", sinceMs: now });
      now += graceMs - 1;
      expect(await repair()).to.deep.equal([]);
      now += graceMs;
      expect(await repair()).to.deep.equal(["172.18.0.2"]);
    });

    it("gives it back after the grace time though the clock was set back by a year meanwhile", async () => {
      now += 365 * 86_400_000;
      await check.check();
      now -= 365 * 86_400_000;
      expect(await repair()).to.deep.equal([]);
      now += graceMs;
      expect(await repair()).to.deep.equal(["172.18.0.2"]);
    });

    it("leaves it to whoever got it, or has an endpoint by then", async () => {
      await check.check();
      now += graceMs;
      const endpoint = endpointOf({ addresses: ["172.18.0.2/16"], leases: ["grant of 172.18.0.2"] });
      meanwhile = () => state.saveEndpoint(endpoint);
      expect(await repair()).to.deep.equal([]);
      await state.forgetEndpoint(endpoint.id);
      meanwhile = async () => {};
      await check.check();
      now += graceMs;
      ipam.beforeRelease = () => ipam.hold(pool, "172.18.0.2", { grant: "of another" });
      expect(await repair()).to.deep.equal([]);
      expect(ipam.held()).to.include("172.18.0.2");
    });

    it("leaves it to a container that Docker knows, and says so", async () => {
      await check.check();
      now += graceMs;
      containers.set("172.18.0.2", "web");
      expect(await repair()).to.deep.equal([]);
      expect((await check.check())[0]?.text).to.include("Docker says that container web has it");
    });

    it("does not give it back the first time that it is seen, however short the grace time is", async () => {
      grace = 0;
      expect(await repair()).to.deep.equal([]);
      expect(await repair()).to.deep.equal(["172.18.0.2"]);
    });

    it("goes by tsnet's own endpoints where Docker cannot be asked", async () => {
      docker = null;
      await check.check();
      now += graceMs;
      expect(await repair()).to.deep.equal(["172.18.0.2"]);
    });
  });

  it("touches no address of another host, nor of a swarm's other nodes", async () => {
    const shared = ipam.addPool("10.5.0.0/24", {
      addressSpace: "tsnet-shared",
      network: networkId,
      hosts: ["host-1", "2"],
    });
    ipam.hold(shared, "10.5.0.2", { hosts: ["2"] });
    ipam.hold(shared, "10.5.0.3", { hosts: ["host-1"] });
    const global = ipam.addPool("10.6.0.0/24", { addressSpace: "tsnet-global" });
    ipam.hold(global, "10.6.0.2");
    ipam.addPool("10.7.0.0/24", { addressSpace: "tsnet-shared", hosts: ["2"] });
    expect(await found()).to.deep.equal(["orphan-lease 10.5.0.3"]);
  });

  describe("of a pool that no network has", () => {
    let left: string;
    beforeEach(() => {
      left = ipam.addPool("10.8.0.0/24");
      ipam.hold(left, "10.8.0.1", { role: "gateway" });
    });

    it("gives it back with all that is in it, after the grace time", async () => {
      expect(await found()).to.deep.equal(["orphan-pool tsnet-local/10.8.0.0/24"]);
      now += graceMs;
      await check.sweep();
      expect(ipam.held()).to.deep.equal(["172.18.0.0/16", "172.18.0.1"]);
      expect(log.lines[0]).to.match(/^warn: gave back what nobody uses: tsnet-local\/10\.8\.0\.0\/24/);
    });

    it("gives it back only when it is told to if containers have addresses of it: another Docker's, maybe", async () => {
      ipam.hold(left, "10.8.0.2");
      await check.check();
      now += graceMs;
      await check.sweep();
      expect(ipam.held()).to.include("10.8.0.2");
      expect(log.lines[0]).to.include("addresses do not agree");
      expect(await repair()).to.deep.equal([left]);
    });

    it("leaves it to a network of another driver, which Docker knows", async () => {
      await check.check();
      now += graceMs;
      docker = [dockers(networkId, "172.18.0.0/16"), { ...dockers("b", "10.8.0.0/24"), driver: "macvlan" }];
      expect(await found()).to.deep.equal([]);
    });

    it("leaves it to a network that was asked for with any subnet of the size: Docker does not tell which it is", async () => {
      const wide = ipam.addPool("fd00:1::/64", { family: 6 });
      docker = [dockers(networkId, "172.18.0.0/16"), { ...dockers("b", "0.0.0.0/24", "::/64"), driver: "bridge" }];
      expect(await found()).to.deep.equal([]);
      docker = [dockers(networkId, "172.18.0.0/16"), dockers("b", "0.0.0.0/25", "::/65")];
      expect(await found()).to.deep.equal([`orphan-pool ${left}`, `orphan-pool ${wide}`]);
    });

    it("gives nothing back where Docker cannot be asked, and says that it is not known", async () => {
      docker = null;
      expect(await found()).to.deep.equal(["unattached-pool tsnet-local/10.8.0.0/24"]);
      now += graceMs;
      expect(await repair()).to.deep.equal([]);
    });

    it("looks again before it gives it back", async () => {
      await check.check();
      now += graceMs;
      const before = docker;
      let asked = 0;
      const late = new IpamCheck({
        ...{ ipam, state, log, graceMs: 0, hostId: "host-1", now: () => now, deleteNetwork },
        docker: {
          refresh: async () => (++asked < 3 ? before : [dockers("c", "10.8.0.0/24")]),
          containersIn: async () => null,
          swarmRole: async () => null,
          swarmAddresses: async () => null,
        },
      });
      await late.check();
      expect((await late.repair()).released).to.deep.equal([]);
      expect(asked).to.equal(4);
    });
  });

  describe("of a network that Docker does not know", () => {
    beforeEach(() => {
      docker = [];
    });

    it("gives it back with its pools when it is told to, after the grace time, and not by itself", async () => {
      expect(await found()).to.deep.equal([`unknown-network ${pool}`]);
      expect(await repair()).to.deep.equal([]);
      now += graceMs;
      await check.sweep();
      expect(deleted).to.deep.equal([]);
      expect(log.lines).to.have.length(1);
      expect(log.lines[0]).to.include("is not known to Docker");
      expect(await repair()).to.deep.equal([pool]);
      expect(deleted).to.deep.equal([networkId]);
      expect(ipam.held()).to.deep.equal([]);
      expect(await found()).to.deep.equal([]);
    });

    it("names the subnet where another IPAM driver gave it", async () => {
      await ipam.releasePool(pool);
      expect(await found()).to.deep.equal(["unknown-network 172.18.0.0/16"]);
    });

    it("leaves one with endpoints, one that Docker knows again, and those of a swarm", async () => {
      await check.check();
      now += graceMs;
      await state.saveEndpoint(endpointOf({ addresses: ["172.18.0.2/16"], leases: [] }));
      expect(await repair()).to.deep.equal([]);
      await state.forgetEndpoint(endpointOf().id);
      expect(await found()).to.deep.equal([`unknown-network ${pool} repairable`]);
      docker = [dockers(networkId, "172.18.0.0/16")];
      expect(await repair()).to.deep.equal([]);
      await state.saveNetwork({ ...networkOf(), id: "x0123456789012345678901yz" });
      expect(await found()).to.deep.equal([]);
    });

    it("finds nothing while Docker cannot be asked", async () => {
      docker = null;
      expect(await found()).to.deep.equal([]);
    });
  });

  it("finds an endpoint and a gateway whose addresses are not held for them", async () => {
    await state.saveEndpoint(endpointOf({ addresses: ["172.18.0.2/16"], leases: ["g"] }));
    await state.saveEndpoint(endpointOf({ id: idOf("e2"), addresses: ["172.18.0.3/16"], leases: [] }));
    ipam.hold(pool, "172.18.0.2", { grant: "of another" });
    await ipam.releaseGrant(pool, "172.18.0.1", "grant of 172.18.0.1");
    expect(await found()).to.deep.equal(["missing-lease 172.18.0.2", "missing-lease 172.18.0.1"]);
    expect((await check.check())[0]?.pool).to.equal(pool);
    state.removing.add(endpointOf().id);
    expect(await found()).to.deep.equal(["missing-lease 172.18.0.1"]);
  });

  it("does not miss an address whose pool is not known yet, as etcd has not answered", async () => {
    await state.saveEndpoint(endpointOf({ addresses: ["10.5.0.2/24", "172.18.0.2/16"], leases: ["g", "h"] }));
    ipam.hold(pool, "172.18.0.2", { grant: "h" });
    ipam.isComplete = false;
    expect(await found()).to.deep.equal([]);
    await state.saveEndpoint(endpointOf({ addresses: ["172.18.0.2/16"], leases: ["of another"] }));
    expect(await found()).to.deep.equal(["missing-lease 172.18.0.2"]);
    ipam.isComplete = true;
    await state.saveEndpoint(endpointOf({ addresses: ["10.5.0.2/24", "172.18.0.2/16"], leases: ["g", "h"] }));
    expect(await found()).to.deep.equal(["missing-lease 10.5.0.2"]);
  });

  it("finds a pool that is used up by 80 %", async () => {
    ipam.addPool("10.1.0.0/24", { network: networkId, size: 12n, used: 7n, resting: 1n, free: 2n });
    expect(await found()).to.deep.equal([]);
    ipam.addPool("10.1.0.0/24", { network: networkId, size: 12n, used: 8n, resting: 1n, free: 1n });
    expect(await found()).to.deep.equal(["nearly-full tsnet-local/10.1.0.0/24"]);
    now += graceMs;
    await check.sweep();
    expect(log.lines).to.deep.equal([]);
  });

  it("says of one that is used up who waits for it", async () => {
    const full = { size: 8n, used: 6n, resting: 0n, free: 0n };
    ipam.addPool("10.1.0.0/24", { network: networkId, ...full });
    ipam.addPool("10.6.0.0/24", { addressSpace: "tsnet-global", ...full });
    const texts = (await check.check()).map(({ text }) => text);
    expect(texts[0]).to.equal(
      "all of its 6 addresses are held: there is none for another container; remove some, or make the network with a larger subnet",
    );
    expect(texts[1]).to.include("all of its 6 addresses are held: further tasks and services wait");
  });

  describe("of addresses that a swarm's leader did not ask for again", () => {
    beforeEach(async () => {
      const global = ipam.addPool("10.6.0.0/24", { addressSpace: "tsnet-global" });
      for (const address of ["10.6.0.2", "10.6.0.3", "10.6.0.4"]) ipam.hold(global, address);
      for (const address of ["10.6.0.3", "10.6.0.4"]) ipam.stale.add(address);
      expect(await found()).to.deep.equal(["stale-lease 10.6.0.3", "stale-lease 10.6.0.4"]);
      now += graceMs;
    });

    it("gives those back by itself that no task and no service has", async () => {
      given = new Set(["10.6.0.2", "10.6.0.4"]);
      expect(await found()).to.deep.equal(["stale-lease 10.6.0.3 repairable", "stale-lease 10.6.0.4"]);
      await check.sweep();
      expect(ipam.held()).to.include.members(["10.6.0.2", "10.6.0.4"]).and.not.include("10.6.0.3");
      expect(await repair()).to.deep.equal([]);
      expect((await check.check())[0]?.text).to.include("Docker says that a task or a service has it");
      given = new Set();
      expect(await repair()).to.deep.equal(["10.6.0.4"]);
    });

    it("gives none back that is asked for at last", async () => {
      ipam.reads = 0;
      ipam.beforeRelease = () => ipam.stale.delete("10.6.0.4");
      expect(await repair()).to.deep.equal(["10.6.0.3"]);
      expect(ipam.reads, "two checks of two pools, and not one for each address that is given back").to.equal(4);
    });

    it("gives none back while Docker does not say who has them", async () => {
      given = null;
      await check.sweep();
      expect(await repair()).to.deep.equal([]);
      expect((await check.check())[0]?.text).to.include("Docker cannot be asked whether a task has it");
      expect(ipam.held()).to.include("10.6.0.3");
    });
  });

  it("finds a pool that a swarm's leader did not ask for again, and gives it back when it is told to", async () => {
    const ids = ["10.6.0.0/24", "10.7.0.0/24"].map((subnet) => ipam.addPool(subnet, { addressSpace: "tsnet-global" }));
    for (const id of ids) ipam.stale.add(id);
    expect(await found()).to.deep.equal(ids.map((id) => `stale-pool ${id}`));
    now += graceMs;
    await check.sweep();
    expect(ipam.held()).to.include("10.6.0.0/24");
    ipam.beforeRelease = () => ipam.stale.delete(ids[1] ?? ""); // asked for at last
    expect(await repair()).to.deep.equal([ids[0]]);
  });

  describe("of a pool that this host has given out as a swarm's leader", () => {
    let left: string;
    const swarms = (subnet: string, ipamDriver = "tsnet-plugin:latest") => ({
      ...dockers("k2d3xyzcarhsmwbp7fa5qtn91", subnet),
      ...{ driver: "tsnet-plugin:latest", ipamDriver },
    });
    const others = () => dockers(networkId, "172.18.0.0/16");
    const isKept = () => ipam.held().includes("10.6.0.0/24");
    beforeEach(() => {
      left = ipam.addPool("10.6.0.0/24", { addressSpace: "tsnet-global" });
      ipam.hold(left, "10.6.0.2");
    });

    for (const is of ["none", "worker", "manager"] as const) {
      it(`gives it back by itself, with its addresses, after the grace time, where it is ${is} of a swarm`, async () => {
        role = is;
        expect(await found()).to.deep.equal([`left-pool ${left}`]);
        now += graceMs - 1;
        await check.sweep();
        expect(isKept()).to.equal(true);
        now += 1;
        await check.sweep();
        expect(ipam.held()).to.deep.equal(["172.18.0.0/16", "172.18.0.1"]);
        expect(log.lines).to.have.length(1);
        expect(log.lines[0]).to.match(/^warn: gave back what nobody uses: tsnet-global\/10\.6\.0\.0\/24/);
      });
    }

    it("leaves it to a network of the swarm, as far as its managers know them all, and to one of this host", async () => {
      role = "manager";
      docker = [others(), swarms("10.6.0.0/24")];
      expect(await found()).to.deep.equal([]);
      docker = [others(), swarms("10.6.0.0/24", "default")];
      expect(await found()).to.deep.equal([`left-pool ${left}`]);
      role = "worker";
      docker = [others(), swarms("10.6.0.0/24")];
      expect(await found()).to.deep.equal([`left-pool ${left}`]);
      docker = [others(), dockers(idOf("b"), "10.6.0.0/24")];
      expect(await found()).to.deep.equal([]);
    });

    it("does nothing while Docker cannot be asked, or has no leader, and begins anew then", async () => {
      role = "manager";
      await check.check();
      now += graceMs;
      docker = null;
      expect(await found()).to.deep.equal([]);
      docker = [others()];
      role = null;
      expect(await found()).to.deep.equal([]);
      role = "manager";
      roles = [null];
      expect(await found(), "before the networks were told").to.deep.equal([]);
      roles = ["manager", null];
      expect(await found(), "after it").to.deep.equal([]);
      roles = ["worker", "manager"];
      expect(await found(), "another one").to.deep.equal([]);
      await check.sweep();
      expect(isKept()).to.equal(true);
    });

    it("looks again before it gives it back", async () => {
      role = "manager";
      await check.check();
      now += graceMs;
      roles = ["manager", "manager", "worker"];
      await check.sweep();
      expect(isKept()).to.equal(true);
    });

    it("leaves it to a leader that asks for it again, and counts from then", async () => {
      role = "worker";
      await check.check();
      now += graceMs;
      ipam.ask(left);
      await check.sweep();
      expect(isKept()).to.equal(true);
      now += graceMs - 1;
      await check.sweep();
      expect(isKept()).to.equal(true);
      let asked = 0;
      const refresh = async () => {
        if (++asked === 3) ipam.ask(left); // by then it has been decided
        return [others()];
      };
      const late = new IpamCheck({
        ...{ ipam, state, log, graceMs: 0, hostId: "host-1", now: () => now, deleteNetwork },
        docker: {
          ...{ refresh, containersIn: async () => null, swarmRole: async () => "worker" as const },
          swarmAddresses: async () => null,
        },
      });
      await late.check();
      await late.sweep();
      expect([asked, isKept()]).to.deep.equal([3, true]);
    });

    it("leaves what is in etcd: another leader goes on with it", async () => {
      role = "worker";
      await ipam.releasePool(left);
      const shared = ipam.addPool("10.7.0.0/24", { addressSpace: "tsnet-global", lastRequest: null });
      expect(await found()).to.deep.equal([]);
      expect(ipam.held()).to.include(shared.split("/").slice(1).join("/"));
    });
  });

  it("logs once what it cannot mend, and that it could not give something back", async () => {
    docker = [];
    for (let n = 0; n < 3; n++) {
      await check.sweep();
      now += graceMs;
    }
    expect(log.lines).to.have.length(1);
    expect(log.lines[0]).to.match(/^warn: addresses do not agree: tsnet-local.* is not known to Docker/);
    ipam.hold(pool, "172.18.0.2");
    await check.sweep();
    now += graceMs;
    ipam.beforeRelease = () => {
      throw new TsnetError("store", "the disk is full");
    };
    await check.sweep();
    expect(log.lines.at(-1)).to.match(/^error: .*the disk is full/);
  });

  it("goes through 100,000 addresses in turns", async () => {
    await state.saveNetwork({ ...networkOf(), id: idOf("b") });
    docker?.push(dockers(idOf("b"), "10.0.0.0/8"));
    const large = ipam.addPool("10.0.0.0/8", { network: idOf("b"), size: 1n << 24n, free: 1n << 24n });
    for (let n = 0; n < 100_000; n++) ipam.hold(large, `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`);
    const { meanMs, value } = await turnsOf(() => check.check());
    expect(value).to.have.length(100_000);
    expect(meanMs).to.be.below(mostMs);
  });
});
