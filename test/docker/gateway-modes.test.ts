import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { client } from "../support/outside.ts";
import { driver } from "../support/plugin.ts";
import type { Place } from "../support/probe.ts";
import { type Question, surveyAll } from "../support/survey.ts";

const modes = ["nat", "nat-unprotected", "routed", "internal", "isolated"] as const;
type Mode = (typeof modes)[number];

/** For each way to a container, the modes in which it is open. */
const ways = {
  "same bridge": modes,
  "same bridge, icc=false": [],
  "same bridge, icc=false, ping": [],
  "other network, published port": ["nat-unprotected", "routed"],
  "other network, other port": ["nat-unprotected"],
  "other network, ping": ["nat-unprotected", "routed"],
  "outside, published port": ["nat-unprotected", "routed"],
  "outside, other port": ["nat-unprotected"],
  "outside, ping": ["nat-unprotected", "routed"],
  host: ["nat", "nat-unprotected", "routed", "internal"],
  "port of the host": ["nat", "nat-unprotected"],
  "port of the host's loopback, from the host": ["nat", "nat-unprotected"],
  "port of the host's loopback, from a neighbor": [],
  outgoing: ["nat", "nat-unprotected", "routed"],
} satisfies Record<string, readonly Mode[]>;
type Way = keyof typeof ways;

/** Docker's own driver before 29 shuts nat-unprotected networks off from other networks, and lets ping past icc=false if routed. */
const waysOfDocker28: Partial<Record<Way, readonly Mode[]>> = {
  "same bridge, icc=false, ping": ["routed"],
  "other network, published port": ["routed"],
  "other network, other port": [],
  "other network, ping": ["routed"],
};

function isOpen(way: Way, mode: Mode): boolean {
  const open: readonly Mode[] = (driver === "bridge" && waysOfDocker28[way]) || ways[way];
  return open.includes(mode);
}

const families = ["ipv4", "ipv6"] as const;
type Family = (typeof families)[number];

/** A network's mode, in each family: --internal holds for both. */
type Modes = Readonly<Record<Family, Mode>>;

const echoPort = 7;
const ports = { host: 8080, loopback: 8081, ofOther: 8082, loopbackService: 8083 };

function networkArgs(mode: Modes, number: number, ...options: string[]): string[] {
  const isInternal = families.some((family) => ["internal", "isolated"].includes(mode[family]));
  const gateways = families.flatMap((family) =>
    mode[family] === "internal" ? [] : ["-o", `com.docker.network.bridge.gateway_mode_${family}=${mode[family]}`],
  );
  const subnets = ["--ipv6", "--subnet", `10.74.${number}.0/24`, "--subnet", `fd00:74:${number}::/64`];
  return [...subnets, ...(isInternal ? ["--internal"] : []), ...gateways, ...options];
}

/** All of them in both families, and networks whose families differ. */
const cases: readonly Modes[] = [
  ...modes.map((mode) => ({ ipv4: mode, ipv6: mode })),
  { ipv4: "nat", ipv6: "routed" },
  { ipv4: "routed", ipv6: "nat-unprotected" },
];

describe("gateway modes", () => {
  const host = useHost();
  before("a server outside, and a neighbor who sends to 127.0.0.1, which the host answers", async function () {
    const version = await host().docker("version", "--format", "{{.Server.Version}}");
    if (driver === "bridge" && Number.parseInt(version, 10) < 28) this.skip(); // these modes are new in 28
    await host().outside.serve();
    await host().sh("sysctl -qw net.ipv4.conf.eth0.route_localnet=1");
    await host().outside.routeLoopback(1);
    const service = ["socat", `TCP4-LISTEN:${ports.loopbackService},bind=127.0.0.1,fork,reuseaddr`, "PIPE"];
    await host().namespace.start(service, "/dev/null", process.env);
  });

  const create = (name: string, ...args: string[]) => host().docker("network", "create", "-d", driver, ...args, name);

  /** A network's containers, and one of another network. */
  async function setUp(mode: Modes, ...options: string[]) {
    for (const [number, subnet] of [10, 11].entries()) {
      const icc = number === 0 ? [] : ["-o", "com.docker.network.bridge.enable_icc=false"];
      await create(["open", "shut"][number] ?? "", ...networkArgs(mode, subnet, ...icc, ...options));
      await host().outside.route(`10.74.${subnet}.0/24`, 1);
      await host().outside.route(`fd00:74:${subnet}::/64`, 1);
    }
    await create("other", ...networkArgs({ ipv4: "nat", ipv6: "nat" }, 12));
    const published = ["tcp", "udp"].flatMap((protocol) => ["-p", `${ports.host}:80/${protocol}`]);
    const loopback = ["-p", `127.0.0.1:${ports.loopback}:80`];
    const run = (network: string, ...args: string[]) => Container.run(host(), { network, serve: true }, ...args);
    const [server, neighbor, other, shutServer, shutNeighbor] = await Promise.all([
      run("open", ...published, ...loopback),
      Container.run(host(), { network: "open" }),
      run("other", "-p", `${ports.ofOther}:80`),
      run("shut"),
      Container.run(host(), { network: "shut" }),
    ]);
    return { server, neighbor, other, shutServer, shutNeighbor };
  }
  type Containers = Awaited<ReturnType<typeof setUp>>;

  for (const mode of cases) {
    it(`${mode.ipv4} for IPv4, ${mode.ipv6} for IPv6: each way is open or shut as the mode says`, async () => {
      const containers = await setUp(mode);
      const surveys = await Promise.all(families.map((family) => askAll(family, mode[family], containers)));
      const { expected, seen } = await surveyAll([...surveys.flat(), [host().outside.router, loopbackQuestions(mode)]]);
      expect(seen).to.deep.equal(expected);
    });
  }

  it("nat with trusted_host_interfaces: the outside reaches published ports at the containers' own addresses", async () => {
    const trusted = "com.docker.network.bridge.trusted_host_interfaces=nothing0:eth0";
    const { server, other } = await setUp({ ipv4: "nat", ipv6: "nat" }, "-o", trusted);
    const addresses = await addressesOf(server, "open");
    const ask = (from: string, published: boolean) =>
      families.flatMap((family) => direct(from, addresses[family], published, false, false));
    const { expected, seen } = await surveyAll([
      [host().outside.client, ask("outside", true)],
      [other, ask("other network", false)],
    ]);
    expect(seen).to.deep.equal(expected);
  });

  /** Every way to the containers in one family. */
  async function askAll(family: Family, mode: Mode, containers: Containers): Promise<[Place, Question[]][]> {
    const { server, neighbor, other, shutServer, shutNeighbor } = containers;
    const address = (await addressesOf(server, "open"))[family];
    const shut = (await addressesOf(shutServer, "shut"))[family];
    const to = (from: string, target: string, ...way: [Way, Way, Way]) =>
      direct(from, target, ...(way.map((name) => isOpen(name, mode)) as [boolean, boolean, boolean]));
    const port = (from: string) => portOfHost(from, host()[family], isOpen("port of the host", mode));
    const away = ["outside", "other network"].map((from) =>
      to(
        from,
        address,
        ...(["published port", "other port", "ping"].map((what) => `${from}, ${what}`) as [Way, Way, Way]),
      ),
    );
    const same: [Way, Way, Way] = ["same bridge", "same bridge", "same bridge"];
    const shutWay = "same bridge, icc=false" as const;
    return [
      [neighbor, [...to("same bridge", address, ...same), ...port("same bridge")]],
      [shutNeighbor, to(shutWay, shut, shutWay, shutWay, `${shutWay}, ping`)],
      [host().outside.client, [...(away[0] ?? []), ...port("outside")]],
      [other, [...(away[1] ?? []), ...port("other network")]],
      [
        host(),
        [
          ...to("host", address, "host", "host", "host"),
          ...port("host"),
          ...(family === "ipv4" ? [loopback(mode)] : []),
        ],
      ],
      [server, [...port("itself"), ...outgoing(family, mode, address)]],
    ];
  }

  /** Who goes out, and with which source. */
  function outgoing(family: Family, mode: Mode, own: string): Question[] {
    const isAllowed = isOpen("outgoing", mode);
    const expected = isAllowed && (mode === "routed" ? own : host()[family]);
    const what = `${family} outgoing`;
    const target = client[family];
    return [
      { what: `${what}, tcp`, protocol: "tcp", address: target, port: 80, expected },
      { what: `${what}, udp`, protocol: "udp", address: target, port: 80, expected },
      { what: `${what}, ping`, protocol: "icmp", address: target, port: 0, expected: isAllowed },
      {
        what: `${what}, to another network's port of the host`,
        protocol: "tcp",
        address: host()[family],
        port: ports.ofOther,
        expected: isAllowed,
      },
    ];
  }
});

/** A container's address: its published port over tcp and udp, another port, and ping. */
function direct(from: string, address: string, published: boolean, other: boolean, ping: boolean): Question[] {
  const what = `${from} → ${address}`;
  return [
    { what: `${what}, published tcp`, protocol: "tcp", address, port: 80, expected: published },
    { what: `${what}, published udp`, protocol: "udp", address, port: 80, expected: published },
    { what: `${what}, other port`, protocol: "tcp", address, port: echoPort, expected: other },
    { what: `${what}, ping`, protocol: "icmp", address, port: 0, expected: ping },
  ];
}

const portOfHost = (from: string, address: string, expected: boolean): Question[] =>
  (["tcp", "udp"] as const).map((protocol) => ({
    what: `${from} → port of the host ${address}, ${protocol}`,
    protocol,
    address,
    port: ports.host,
    expected,
  }));

const loopback = (mode: Mode): Question => ({
  what: "host → port of 127.0.0.1",
  protocol: "tcp",
  address: "127.0.0.1",
  port: ports.loopback,
  expected: isOpen("port of the host's loopback, from the host", mode),
});

/** The host's own service shows that what the neighbor sends arrives. */
const loopbackQuestions = (mode: Modes): Question[] => [
  {
    what: "neighbor → service on 127.0.0.1",
    protocol: "tcp",
    address: "127.0.0.1",
    port: ports.loopbackService,
    expected: true,
  },
  {
    what: "neighbor → port of 127.0.0.1",
    protocol: "tcp",
    address: "127.0.0.1",
    port: ports.loopback,
    expected: isOpen("port of the host's loopback, from a neighbor", mode.ipv4),
  },
];

async function addressesOf(container: Container, network: string): Promise<Record<Family, string>> {
  return { ipv4: await container.ipv4(network), ipv6: await container.ipv6(network) };
}
