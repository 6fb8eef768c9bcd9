import { expect } from "chai";
import { type Drivers, type Method, methodsOf } from "../../../src/api/methods.ts";
import { TestLog } from "../../support/driver.ts";
import { idOf } from "../../support/values.ts";
import { openPlugin, type Plugin, post } from "../../support/wire.ts";

const NetworkID = idOf("a1");
const EndpointID = idOf("e1");
const both = { NetworkID, EndpointID };

/** Use cases that must not be reached. */
const reached: string[] = [];
const trap = (): unknown => new Proxy({}, { get: (_, name) => () => Promise.resolve(reached.push(String(name))) });
const methods: Readonly<Record<string, Method>> = methodsOf({
  networks: trap(),
  endpoints: trap(),
  ipam: trap(),
  allocations: trap(),
  nodes: trap(),
  scope: "local",
  requiresMacAddress: false,
} as Drivers);
const checked = Object.keys(methods).filter((name) => methods[name]?.isImmediate === false);

const idText = (got: string): string => `expected an ID of Docker's: 12 to 64 of the characters 0-9 a-z, got ${got}`;
const addressText = (got: string): string => `Address: expected an IP address, got ${JSON.stringify(got)}`;
const subnet = { AddressSpace: "x", Pool: "172.18.0.0/16" };
const network = (values: object): object => ({ NetworkID, Options: {}, IPv4Data: [subnet], IPv6Data: [], ...values });
const binding = (values: object): object => ({
  ...both,
  Options: { "com.docker.network.portmap": [{ Proto: 6, Port: 80, HostPort: 80, HostPortEnd: 80, ...values }] },
});
const portmap = "Options.com.docker.network.portmap[0]";

const cases: [method: string, body: unknown, text: string][] = [
  ["NetworkDriver.CreateNetwork", {}, "NetworkID: expected string, got nothing"],
  ["NetworkDriver.CreateNetwork", network({ NetworkID: 5 }), "NetworkID: expected string, got 5"],
  ["NetworkDriver.CreateNetwork", network({ NetworkID: "../../etc" }), `NetworkID: ${idText('"../../etc"')}`],
  ["NetworkDriver.CreateNetwork", network({ NetworkID: "" }), `NetworkID: ${idText('""')}`],
  [
    "NetworkDriver.CreateNetwork",
    network({ NetworkID: `${NetworkID}\n` }),
    `NetworkID: ${idText(`"${NetworkID.slice(0, 56)}…`)}`,
  ],
  ["NetworkDriver.CreateNetwork", network({ IPv4Data: {} }), "IPv4Data: expected array, got {}"],
  ["NetworkDriver.CreateNetwork", network({ IPv4Data: [{}] }), "IPv4Data[0].Pool: expected string, got nothing"],
  [
    "NetworkDriver.CreateNetwork",
    network({ IPv4Data: [{ Pool: "172.18.0.0" }] }),
    'IPv4Data[0].Pool: expected an address in CIDR form, such as 172.18.0.2/16, got "172.18.0.0"',
  ],
  [
    "NetworkDriver.CreateNetwork",
    network({ IPv4Data: [{ Pool: "172.18.0.1/16" }] }),
    "IPv4Data[0].Pool: 172.18.0.1/16 has host bits set: it should be 172.18.0.0/16",
  ],
  [
    "NetworkDriver.CreateNetwork",
    network({ IPv4Data: [{ ...subnet, Gateway: "x" }] }),
    'IPv4Data[0].Gateway: expected an address in CIDR form, such as 172.18.0.2/16, got "x"',
  ],
  [
    "NetworkDriver.CreateNetwork",
    network({ IPv4Data: [{ ...subnet, Gateway: 5 }] }),
    "IPv4Data[0].Gateway: expected string, got 5",
  ],
  [
    "NetworkDriver.CreateNetwork",
    network({ IPv4Data: [{ ...subnet, AuxAddresses: { a: 1 } }] }),
    "IPv4Data[0].AuxAddresses.a: expected string, got 1",
  ],
  [
    "NetworkDriver.CreateNetwork",
    network({ Options: { "com.docker.network.generic": { mode: 1 } } }),
    "Options.com.docker.network.generic.mode: expected string, got 1",
  ],
  [
    "NetworkDriver.CreateNetwork",
    network({ Options: { "com.docker.network.internal": "true" } }),
    'Options.com.docker.network.internal: expected boolean, got "true"',
  ],
  ["NetworkDriver.CreateNetwork", network({ Options: 5 }), "Options: expected object, got 5"],
  ["NetworkDriver.AllocateNetwork", { NetworkID, Options: { a: [] } }, "Options.a: expected string, got []"],
  [
    "NetworkDriver.AllocateNetwork",
    { NetworkID, Options: {}, IPv4Data: [{ Pool: "10.0.0.0" }] },
    'IPv4Data[0].Pool: expected an address in CIDR form, such as 172.18.0.2/16, got "10.0.0.0"',
  ],
  ["NetworkDriver.GwAllocCheck", { Options: [] }, "Options: expected object, got []"],
  ["NetworkDriver.DeleteNetwork", { NetworkID: null }, "NetworkID: expected string, got null"],
  ["NetworkDriver.FreeNetwork", {}, "NetworkID: expected string, got nothing"],
  ["NetworkDriver.CreateEndpoint", { NetworkID }, "EndpointID: expected string, got nothing"],
  [
    "NetworkDriver.CreateEndpoint",
    { ...both, Interface: { Address: "172.18.0.2" } },
    'Interface.Address: expected an address in CIDR form, such as 172.18.0.2/16, got "172.18.0.2"',
  ],
  [
    "NetworkDriver.CreateEndpoint",
    { ...both, Interface: { MacAddress: "01:00:5e:00:00:01" } },
    'Interface.MacAddress: expected a unicast MAC address, such as 02:42:ac:12:00:02, got "01:00:5e:00:00:01"',
  ],
  ["NetworkDriver.CreateEndpoint", { ...both, Interface: [] }, "Interface: expected object, got []"],
  [
    "NetworkDriver.CreateEndpoint",
    { ...both, Options: { "tsnet.speed": "1" } },
    "Options: unknown endpoint option tsnet.speed=1; tsnet has none of its own",
  ],
  ["NetworkDriver.Join", both, "SandboxKey: expected string, got nothing"],
  [
    "NetworkDriver.Join",
    { ...both, SandboxKey: "netns/x" },
    'SandboxKey: expected the absolute path of a network namespace, got "netns/x"',
  ],
  [
    "NetworkDriver.Join",
    { ...both, SandboxKey: "/a b;c" },
    'SandboxKey: expected the absolute path of a network namespace, got "/a b;c"',
  ],
  ["NetworkDriver.EndpointOperInfo", { NetworkID, EndpointID: [] }, "EndpointID: expected string, got []"],
  [
    "NetworkDriver.ProgramExternalConnectivity",
    binding({ Proto: 1 }),
    `${portmap}.Proto: expected 6 (tcp), 17 (udp) or 132 (sctp), got 1: unknown protocol`,
  ],
  [
    "NetworkDriver.ProgramExternalConnectivity",
    binding({ HostPort: 9, HostPortEnd: 8 }),
    `${portmap}: invalid port range: 9-8`,
  ],
  [
    "NetworkDriver.ProgramExternalConnectivity",
    binding({ HostIP: "localhost" }),
    `${portmap}.HostIP: expected an IP address, got "localhost"`,
  ],
  [
    "NetworkDriver.ProgramExternalConnectivity",
    binding({ HostPort: 70000 }),
    `${portmap}.HostPort: Too big: expected number to be <=65535, got 70000`,
  ],
  [
    "NetworkDriver.ProgramExternalConnectivity",
    binding({ Port: 0 }),
    `${portmap}.Port: Too small: expected number to be >=1, got 0`,
  ],
  [
    "NetworkDriver.ProgramExternalConnectivity",
    { ...both, Options: { "com.docker.network.driver.private.no_proxy_6to4": "yes" } },
    'Options.com.docker.network.driver.private.no_proxy_6to4: expected boolean, got "yes"',
  ],
  [
    "NetworkDriver.Join",
    { ...binding({ Proto: 1 }), SandboxKey: "/run/x" },
    `${portmap}.Proto: expected 6 (tcp), 17 (udp) or 132 (sctp), got 1: unknown protocol`,
  ],
  ["NetworkDriver.ProgramExternalConnectivity", binding({ Port: "80" }), `${portmap}.Port: expected number, got "80"`],
  ["NetworkDriver.DiscoverNew", {}, "DiscoveryType: expected number, got nothing"],
  [
    "NetworkDriver.DiscoverNew",
    { DiscoveryType: 1, DiscoveryData: { Address: "node-2" } },
    `DiscoveryData.${addressText("node-2")}`,
  ],
  ["NetworkDriver.DiscoverDelete", { DiscoveryType: 1, DiscoveryData: 5 }, "DiscoveryData: expected object, got 5"],
  ["IpamDriver.RequestPool", {}, "AddressSpace: expected string, got nothing"],
  ["IpamDriver.RequestPool", { AddressSpace: "x", V6: 1 }, "V6: expected boolean, got 1"],
  ["IpamDriver.ReleasePool", { PoolID: "" }, 'PoolID: expected the ID of a pool, got ""'],
  ["IpamDriver.RequestAddress", { PoolID: "x", Address: 1 }, "Address: expected string, got 1"],
  ["IpamDriver.RequestAddress", { PoolID: "x", Address: "10.0.0.010" }, addressText("10.0.0.010")],
  ["IpamDriver.ReleaseAddress", { PoolID: "x", Address: "fe80::1%eth0" }, addressText("fe80::1%eth0")],
  ["IpamDriver.ReleaseAddress", { Address: "1.2.3.4" }, "PoolID: expected string, got nothing"],
];

/** The largest body of a method, KiB: where many small values would hold everybody up, it is small. */
function limitKiB(method: string): number {
  if (method.startsWith("IpamDriver.")) return 16;
  const mayHavePorts = /\.(CreateEndpoint|Join|ProgramExternalConnectivity)$/.test(method);
  return mayHavePorts ? 16 * 1024 : 1024;
}

/** What Docker is answered to a body that cannot be read: `Err` and a status for the one driver, `Error` and 200 for the other. */
const answerTo = (method: string, text: string, status = 400): object =>
  method.startsWith("IpamDriver.")
    ? { status: 200, body: { Error: `${method}: ${text}` } }
    : { status, body: { Err: `${method}: ${text}` } };

describe("bodies that are not what a method takes", () => {
  let plugin: Plugin;
  before(async () => {
    plugin = await openPlugin({ methods, ready: Promise.resolve(), log: new TestLog() });
  });
  after(() => plugin.close());
  beforeEach(() => {
    reached.length = 0;
  });
  afterEach(() => {
    expect(reached).to.deep.equal([]);
  });
  const send = (method: string, text: string) => post(plugin.socket, `/${method}`, text);

  it("are of every method but those without arguments", () => {
    const constant = [
      "Plugin.Activate",
      "NetworkDriver.GetCapabilities",
      "IpamDriver.GetCapabilities",
      "IpamDriver.GetDefaultAddressSpaces",
    ];
    expect(Object.keys(methods)).to.have.length(22);
    expect([...checked, ...constant].toSorted()).to.deep.equal(Object.keys(methods).toSorted());
  });

  for (const method of checked) {
    it(`${method}: nothing, null, a list, a text, broken JSON, too much`, async () => {
      const empty = "the body is empty: expected a JSON object";
      expect(await send(method, "")).to.deep.equal(answerTo(method, empty));
      for (const text of ["null", "[]", '"x"', "5"]) {
        expect(await send(method, text)).to.deep.equal(answerTo(method, `expected object, got ${text}`));
      }
      const broken = await send(method, '{"NetworkID": ');
      expect(broken).to.deep.equal(answerTo(method, "the body is not JSON: Unexpected end of JSON input"));
      const kib = limitKiB(method);
      const large = JSON.stringify({ NetworkID: "x".repeat(kib * 1024) });
      const tooLarge = `the body is larger than ${kib < 1024 ? `${kib} KiB` : `${kib / 1024} MiB`}`;
      expect(await send(method, large)).to.deep.equal(answerTo(method, tooLarge, 413));
    });
  }

  for (const [method, body, text] of cases) {
    it(`${method}: ${text}`, async () => {
      expect(await send(method, JSON.stringify(body))).to.deep.equal(answerTo(method, text));
    });
  }
});
