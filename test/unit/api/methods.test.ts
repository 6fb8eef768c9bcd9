import { expect } from "chai";
import { methodsOf } from "../../../src/api/methods.ts";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import { type Driver, expectAgreement, startDriver, stopDriver } from "../../support/driver.ts";
import { idOf } from "../../support/values.ts";
import { type Answer, openPlugin, type Plugin, post } from "../../support/wire.ts";
import { World } from "../../support/world.ts";

const NetworkID = idOf("a1");
const EndpointID = idOf("e1");
const SandboxKey = "/var/run/docker/netns/0123456789ab";
const created = {
  NetworkID,
  Options: { "com.docker.network.enable_ipv6": false, "com.docker.network.generic": {} },
  IPv4Data: [{ AddressSpace: "LocalDefault", Pool: "172.18.0.0/16", Gateway: "172.18.0.1/16", AuxAddresses: {} }],
  IPv6Data: [],
};
const endpoint = {
  NetworkID,
  EndpointID,
  Interface: { Address: "172.18.0.2/16", AddressIPv6: "", MacAddress: "" },
  Options: {},
};
const ok = (body: object = {}): Answer => ({ status: 200, body });
const refused = (Err: string): Answer => ({ status: 200, body: { Err } });

describe("the methods, over the socket", () => {
  let world: World;
  let driver: Driver;
  let plugin: Plugin;
  const call = (method: string, body?: unknown): Promise<Answer> => plugin.call(`NetworkDriver.${method}`, body);

  beforeEach(async () => {
    world = new World();
    driver = await startDriver(world, new MemoryStore());
    const methods = methodsOf({ ...driver, scope: "local", requiresMacAddress: false });
    plugin = await openPlugin({ methods, ready: Promise.resolve(), log: driver.log });
  });
  afterEach(async () => {
    await plugin.close();
    await stopDriver(driver);
  });

  it("say what they are, to a body that is empty", async () => {
    const answers: [method: string, answer: object][] = [
      ["Plugin.Activate", { Implements: ["NetworkDriver", "IpamDriver"] }],
      ["NetworkDriver.GetCapabilities", { Scope: "local", ConnectivityScope: "global", GwAllocChecker: true }],
      ["IpamDriver.GetCapabilities", { RequiresMACAddress: false, RequiresRequestReplay: false }],
      [
        "IpamDriver.GetDefaultAddressSpaces",
        { LocalDefaultAddressSpace: "tsnet-local", GlobalDefaultAddressSpace: "tsnet-global" },
      ],
    ];
    for (const [method, answer] of answers) expect(await plugin.call(method)).to.deep.equal(ok(answer));
  });

  it("take a container through its life, each call twice", async () => {
    const twice = async (method: string, body: object): Promise<Answer> => {
      const first = await call(method, body);
      expect(await call(method, body)).to.deep.equal(first);
      return first;
    };
    const portmap = [{ Proto: 6, IP: "", Port: 80, HostIP: "", HostPort: 8080, HostPortEnd: 8080 }];
    const Options = { "com.docker.network.portmap": portmap };
    const both = { NetworkID, EndpointID };
    expect(await twice("GwAllocCheck", { Options: created.Options })).to.deep.equal(
      ok({ SkipIPv4: false, SkipIPv6: false }),
    );
    expect(await twice("CreateNetwork", created)).to.deep.equal(ok());
    expect(await twice("CreateEndpoint", endpoint)).to.deep.equal(
      ok({ Interface: { MacAddress: "02:42:ac:12:00:02" } }),
    );
    const InterfaceName = { SrcName: "tsc-e1000000000", DstPrefix: "eth" };
    expect(await twice("Join", { ...both, SandboxKey, Options })).to.deep.equal(
      ok({ InterfaceName, Gateway: "172.18.0.1", GatewayIPv6: "", StaticRoutes: [] }),
    );
    expect(await twice("ProgramExternalConnectivity", { ...both, Options })).to.deep.equal(ok());
    expect([...world.heldPorts]).to.deep.equal(["tcp 0.0.0.0 8080", "tcp :: 8080"]);
    await expectAgreement(driver, new World());
    expect(await twice("EndpointOperInfo", both)).to.deep.equal(
      ok({ Value: { "com.docker.network.endpoint.macaddress": "02:42:ac:12:00:02" } }),
    );
    for (const method of ["RevokeExternalConnectivity", "Leave", "DeleteEndpoint"])
      expect(await twice(method, both)).to.deep.equal(ok());
    expect(await twice("DeleteNetwork", { NetworkID })).to.deep.equal(ok());
    await driver.removals.flush();
    expect(world.dump()).to.deep.equal({ ...new World().dump(), elements: {} });
  });

  it("tell dockerd the way from one subnet of a network to the others", async () => {
    const second = { AddressSpace: "LocalDefault", Pool: "10.0.0.0/24", Gateway: "10.0.0.1/24" };
    await call("CreateNetwork", { ...created, IPv4Data: [...created.IPv4Data, second] });
    await call("CreateEndpoint", endpoint);
    const { body } = await call("Join", { NetworkID, EndpointID, SandboxKey, Options: {} });
    expect(body).to.deep.include({
      Gateway: "172.18.0.1",
      StaticRoutes: [{ Destination: "10.0.0.0/24", RouteType: 1 }],
    });
  });

  it("answer no MAC address to dockerd if it has sent one", async () => {
    await call("CreateNetwork", created);
    const Interface = { ...endpoint.Interface, MacAddress: "02:42:AC:12:00:09" };
    expect(await call("CreateEndpoint", { ...endpoint, Interface })).to.deep.equal(ok({ Interface: {} }));
    expect(driver.state.endpoint(EndpointID)?.mac).to.equal("02:42:ac:12:00:09");
  });

  it("say what is wrong in `Err`, with status 200, so that Docker shows it as it is", async () => {
    const both = { NetworkID, EndpointID };
    expect(await call("CreateEndpoint", endpoint)).to.deep.equal(refused(`network ${NetworkID} is unknown to tsnet`));
    await call("CreateNetwork", created);
    expect(await call("Join", { ...both, SandboxKey, Options: null })).to.deep.equal(
      refused(`endpoint ${EndpointID} is unknown to tsnet`),
    );
    expect(await call("ProgramExternalConnectivity", { ...both, Options: {} })).to.deep.equal(
      refused(`endpoint ${EndpointID} is unknown to tsnet`),
    );
    expect(await call("EndpointOperInfo", both)).to.deep.equal(refused(`endpoint ${EndpointID} is unknown to tsnet`));
    const generic = { "com.docker.network.bridge.enable_ic": "false", moed: "x" };
    expect(await call("GwAllocCheck", { Options: { "com.docker.network.generic": generic } })).to.deep.equal(
      refused("unknown option moed=x for mode bridge: did you mean mode?"),
    );
    const other = { ...created, Options: { "com.docker.network.internal": true } };
    expect(await call("CreateNetwork", other)).to.deep.equal(
      refused(`network ${NetworkID} exists, and its internal is false, not true`),
    );
  });

  it("name the step, the object and the errno of what the kernel refused", async () => {
    void driver.faults.arm({ kind: "before", at: 5, errno: "EPERM" });
    expect(await call("CreateNetwork", created)).to.deep.equal(
      refused(`create network ${NetworkID}: ensure-bridge: EPERM`),
    );
    expect(driver.log.lines.at(-1)).to.contain("warn: refused").and.contain("ensure-bridge: EPERM");
  });

  it("take everything about something unknown that is to be removed", async () => {
    for (const method of ["DeleteNetwork", "Leave", "DeleteEndpoint", "RevokeExternalConnectivity"]) {
      expect(await call(method, { NetworkID, EndpointID }), method).to.deep.equal(ok());
    }
    expect(await call("FreeNetwork", { NetworkID })).to.deep.equal(ok());
    for (const method of ["DiscoverNew", "DiscoverDelete"]) {
      expect(
        await call(method, { DiscoveryType: 1, DiscoveryData: { Address: "10.0.0.5", BindAddress: "", Self: false } }),
      ).to.deep.equal(ok());
    }
  });

  it("take what a swarm's leader asks for again after it has asked for the capabilities", async () => {
    const body = { AddressSpace: "tsnet-global", Pool: "10.1.0.0/24", SubPool: "", Options: null, V6: false };
    const made = ok({ PoolID: "tsnet-global/10.1.0.0/24", Pool: "10.1.0.0/24", Data: {} });
    for (let leader = 0; leader < 2; leader++) {
      await plugin.call("IpamDriver.GetCapabilities");
      expect(await plugin.call("IpamDriver.RequestPool", body)).to.deep.equal(made);
      expect(JSON.stringify(await plugin.call("IpamDriver.RequestPool", body))).to.contain("Pool overlaps");
    }
  });

  it("say of a swarm's network what all nodes are to have, and make it so", async () => {
    world.peers = ["192.0.2.2"];
    await stopDriver(driver);
    driver = await startDriver(world, new MemoryStore());
    const methods = methodsOf({ ...driver, scope: "global", requiresMacAddress: false });
    const run = (method: string, body: object) =>
      methods[`NetworkDriver.${method}`]?.run(body, new AbortController().signal);
    const Pool = { Pool: "10.5.0.0/24", Gateway: "10.5.0.1/24" };
    const asked = {
      NetworkID,
      Options: { "tsnet.flood": "true" },
      IPv4Data: [{ AddressSpace: "", ...Pool }],
      IPv6Data: null,
    };
    const answer = (await run("AllocateNetwork", asked)) as { Options: Record<string, string> };
    expect(answer.Options).to.include({ "tsnet.flood": "true", mode: "overlay" });
    const IPv4Data = [{ AddressSpace: "LocalDefault", ...Pool }];
    const Options = { "com.docker.network.enable_ipv6": false, "com.docker.network.generic": answer.Options };
    for (let time = 0; time < 2; time++) await run("CreateNetwork", { NetworkID, Options, IPv4Data, IPv6Data: [] });
    const [network] = driver.state.networks();
    expect(network).to.include({ mode: "overlay", vni: Number(answer.Options["tsnet.vni"]) });
    expect(await run("AllocateNetwork", { ...asked, Options: answer.Options })).to.deep.equal(answer);
    await run("DeleteNetwork", { NetworkID });
    expect(await run("FreeNetwork", { NetworkID })).to.deep.equal({});
    expect([...(await driver.store.list("allocation"))]).to.deep.equal([]);
  });

  it("refuse on each node the options that the swarm's leader could not refuse, in the same words", async () => {
    const Options = { "tsnet.vnii": "5" };
    const IPv4Data = [{ AddressSpace: "", Pool: "10.5.0.0/24", Gateway: "10.5.0.1/24" }];
    const answer = await call("AllocateNetwork", { NetworkID, Options, IPv4Data, IPv6Data: null });
    expect(answer).to.deep.equal(ok({ Options: { ...Options, mode: "overlay" } }));
    const [failed] = driver.allocations.failed();
    const generic = { "com.docker.network.generic": (answer.body as { Options: object }).Options };
    const onNode = await call("CreateNetwork", { NetworkID, Options: generic, IPv4Data, IPv6Data: [] });
    expect(onNode).to.deep.equal(refused(failed?.error ?? "nothing"));
  });

  it("tell of the swarm's other nodes", async () => {
    const tell = (method: string, Address: string, Self = false) =>
      call(method, { DiscoveryType: 1, DiscoveryData: { Address, BindAddress: "", Self } });
    for (const answer of [await tell("DiscoverNew", "10.0.0.5"), await tell("DiscoverNew", "10.0.0.9", true)]) {
      expect(answer).to.deep.equal(ok());
    }
    expect(await call("DiscoverNew", { DiscoveryType: 2, DiscoveryData: [{ Key: "x" }] })).to.deep.equal(ok());
    expect([driver.nodes.addresses(), driver.nodes.self()]).to.deep.equal([["10.0.0.5"], "10.0.0.9"]);
    expect(await tell("DiscoverDelete", "10.0.0.5")).to.deep.equal(ok());
    expect(await driver.store.get("node", "10.0.0.5")).to.deep.equal({ goneMs: driver.clock.now });
  });

  it("take the swarm's own name alone for a new leadership", async () => {
    const epochs: string[] = [];
    driver.allocations.newEpoch = () => void epochs.push("new");
    const registered = { scope: "global", requiresMacAddress: false } as const;
    for (const servesSwarm of [false, true]) {
      const methods = methodsOf({ ...driver, ...registered, servesSwarm });
      const answer = await methods["NetworkDriver.GetCapabilities"]?.run(undefined, new AbortController().signal);
      expect(answer).to.deep.equal({ Scope: "global", ConnectivityScope: "global", GwAllocChecker: true });
    }
    expect(epochs).to.deep.equal(["new"]);
  });

  it("keep a swarm's replay apart from what comes under a name that no swarm takes", async () => {
    const other = methodsOf({ ...driver, scope: "local", requiresMacAddress: false, servesSwarm: false });
    const under = (name: string, body?: object) => other[name]?.run(body, new AbortController().signal);
    const pool = { AddressSpace: "tsnet-global", Pool: "10.6.0.0/24", SubPool: "", Options: null, V6: false };
    const serial = { "com.docker.network.ipam.serial": "true" };
    const made = await plugin.call("IpamDriver.RequestPool", pool);
    const { PoolID } = made.body as { PoolID: string };
    const address = { PoolID, Address: "10.6.0.9", Options: serial };
    const given = await plugin.call("IpamDriver.RequestAddress", address);
    expect(given.body).to.have.property("Address", "10.6.0.9/24");

    await plugin.call("IpamDriver.GetCapabilities");
    expect(await plugin.call("IpamDriver.RequestPool", pool)).to.deep.equal(made);
    await under("IpamDriver.GetCapabilities"); // the other name is used for the first time
    expect(await plugin.call("IpamDriver.RequestAddress", address)).to.deep.equal(given);
    expect(JSON.stringify(await plugin.call("IpamDriver.RequestPool", pool))).to.contain("Pool overlaps");

    await plugin.call("IpamDriver.GetCapabilities");
    const error = await under("IpamDriver.RequestPool", pool)?.then(JSON.stringify, String);
    expect(error).to.contain("Pool overlaps");
    expect(await plugin.call("IpamDriver.RequestPool", pool)).to.deep.equal(made);
  });

  it("have Docker tell MAC addresses if that is set", async () => {
    const methods = methodsOf({ ...driver, scope: "local", requiresMacAddress: true });
    expect(await methods["IpamDriver.GetCapabilities"]?.run({}, new AbortController().signal)).to.deep.equal({
      RequiresMACAddress: true,
      RequiresRequestReplay: false,
    });
  });

  it("give pools and addresses, and IPAM's errors in `Error`", async () => {
    const ipam = (method: string, body: object): Promise<Answer> => plugin.call(`IpamDriver.${method}`, body);
    const pool = await ipam("RequestPool", {
      AddressSpace: "tsnet-local",
      Pool: "10.5.0.0/24",
      SubPool: "",
      Options: null,
      V6: false,
    });
    expect(pool).to.have.nested.property("body.Pool", "10.5.0.0/24");
    const { PoolID } = pool.body as { PoolID: string };
    expect(await ipam("RequestAddress", { PoolID, Address: "10.5.0.9", Options: {} })).to.have.nested.property(
      "body.Address",
      "10.5.0.9/24",
    );
    const again = await ipam("RequestAddress", { PoolID, Address: "10.5.0.9", Options: {} });
    expect(again.status).to.equal(200);
    expect(again.body).to.have.property("Error").that.is.a("string").and.contains("10.5.0.9");
    expect(again.body).to.not.have.property("Err");
    for (const n of [1, 2]) {
      expect(await ipam("ReleaseAddress", { PoolID, Address: "10.5.0.9" }), `${n}`).to.deep.equal(ok());
    }
    for (const n of [1, 2]) expect(await ipam("ReleasePool", { PoolID }), `${n}`).to.deep.equal(ok());
  });

  it("do not know others", async () => {
    const answer = { status: 404, body: { Err: "POST /NetworkDriver.Teleport is no method of tsnet" } };
    expect(await call("Teleport", {})).to.deep.equal(answer);
    expect(await post(plugin.socket, "/NetworkDriver.GetCapabilities", "", "GET")).to.have.property("status", 404);
    expect(await post(plugin.socket, "/", "")).to.have.property("status", 404);
  });
});
