import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { expect } from "chai";
import type { Endpoint, PortMapping } from "../../../src/plan/network.ts";
import type { How } from "../../support/agent.ts";
import { FirewallLab } from "../../support/firewall-lab.ts";
import { bridgeKey, endpointOf, idOf, mappingOf, networkOf, requestedSubnet } from "../../support/values.ts";

/** Networks by number: 1 publishes for everybody, 2 for some sources, 3 has routed ports for some sources, 4 is internal. */
const idOfNetwork = (n: number): string => idOf(`b${n}`);
const ipv4 = (n: number) => [requestedSubnet(`10.${n}.0.0/24`, `10.${n}.0.1/24`)];
const ipv6 = (n: number) => [requestedSubnet(`fd00:${n}::/64`, `fd00:${n}::1/64`)];
const container = (n: number, values: Partial<Endpoint>): Endpoint =>
  endpointOf({
    id: idOf(`e${n}`),
    network: idOfNetwork(n),
    addresses: [`10.${n}.0.2/24`, `fd00:${n}::2/64`],
    ...values,
  });

const block = { hostPort: 8000, containerPort: 8000, count: 3 };
const shifted = { hostPort: 9000, containerPort: 8000, count: 3 };
const ports: readonly PortMapping[] = [
  ...["0.0.0.0", "::"].flatMap((hostAddress) => [
    mappingOf({ hostAddress }),
    mappingOf({ hostAddress, protocol: "udp" }),
    mappingOf({ hostAddress, ...block }),
    mappingOf({ hostAddress, ...shifted }),
  ]),
  mappingOf({ hostAddress: "192.0.2.1", protocol: "udp", ...block }),
  mappingOf({ hostAddress: "2001:db8:2::1", protocol: "udp", ...block }),
  mappingOf({ hostAddress: "127.0.0.1", hostPort: 7000 }),
  mappingOf({ hostAddress: "127.0.0.2", hostPort: 7000, count: 2 }),
];

const only = { "tsnet.publish_from": "198.51.100.0/24,2001:db8:51::2" };
const routed = { [bridgeKey("gateway_mode_ipv4")]: "routed", [bridgeKey("gateway_mode_ipv6")]: "routed" };
const trusted = { [bridgeKey("trusted_host_interfaces")]: "friend" };

describe("published ports, with real packets", () => {
  let lab: FirewallLab;
  const asked = new Map<unknown, Promise<string>>();
  before(async () => {
    lab = new FirewallLab();
    lab.addNeighbor("outside", "192.0.2", "2001:db8:2");
    lab.addNeighbor("friend", "198.51.100", "2001:db8:51");
    lab.addDocker("docker", "docker-int");
    const add = (n: number, options: Record<string, string>, values: Partial<Endpoint>, internal = false): void => {
      lab.addNetwork(networkOf({ id: idOfNetwork(n), ipv4: ipv4(n), ipv6: ipv6(n), options, internal }));
      lab.addContainer(`c${n}`, container(n, values), [80, 81, 8000, 8001, 8002]);
    };
    const both = (hostPort: number) => ["0.0.0.0", "::"].map((hostAddress) => mappingOf({ hostAddress, hostPort }));
    add(1, trusted, { ports, openPorts: [{ protocol: "tcp", port: 80, count: 1 }] });
    add(2, only, { ports: both(8082) });
    add(3, { ...routed, ...only }, { openPorts: [{ protocol: "tcp", port: 80, count: 1 }] });
    add(4, {}, {}, true);
    await lab.start();
    // all at once: silence takes a while
    for (const one of answered) asked.set(one, ask(one[0], one[1], one[2], one[3], one[4] !== "silence"));
  });
  after(() => lab[Symbol.asyncDispose]());

  const ask = (origin: string, how: How, address: string, port: number, isAnswered = true): Promise<string> =>
    lab.agent(origin).ask(how, address, port, isAnswered);
  const [outside4, outside6] = ["192.0.2.2", "2001:db8:2::2"];
  const [friend4, friend6] = ["198.51.100.2", "2001:db8:51::2"];

  const answered: [origin: string, how: How, address: string, port: number, answer: string][] = [
    ["outside", "tcp", "192.0.2.1", 8080, `${outside4} 80`],
    ["outside", "udp", "192.0.2.1", 8080, `${outside4} 80`],
    ["outside", "tcp", "2001:db8:2::1", 8080, `${outside6} 80`],
    ["outside", "udp", "2001:db8:2::1", 8080, `${outside6} 80`],
    ["outside", "tcp", "198.51.100.1", 8000, `${outside4} 8000`],
    ["outside", "tcp", "192.0.2.1", 8002, `${outside4} 8002`],
    ["outside", "tcp", "192.0.2.1", 8003, "ECONNREFUSED"],
    ["outside", "tcp", "2001:db8:2::1", 8001, `${outside6} 8001`],
    ["outside", "tcp", "192.0.2.1", 9002, `${outside4} 8002`],
    ["outside", "tcp", "2001:db8:2::1", 9000, `${outside6} 8000`],
    ["outside", "udp", "192.0.2.1", 8001, `${outside4} 8001`],
    ["outside", "udp", "198.51.100.1", 8001, "ECONNREFUSED"],
    ["outside", "udp", "2001:db8:2::1", 8002, `${outside6} 8002`],
    ["host", "tcp", "127.0.0.1", 8080, "10.1.0.1 80"],
    ["host", "tcp", "127.0.0.1", 7000, "10.1.0.1 80"],
    ["host", "tcp", "127.0.0.2", 7001, "10.1.0.1 81"],
    ["host", "tcp", "192.0.2.1", 8002, "192.0.2.1 8002"],
    ["c2", "tcp", "192.0.2.1", 8080, "10.2.0.2 80"],
    ["c2", "tcp", "fd00:2::1", 8080, "fd00:2::2 80"],
    ["c1", "tcp", "10.1.0.1", 8001, "10.1.0.1 8001"],
    ["c1", "tcp", "fd00:1::1", 8080, "fd00:1::1 80"],
    ["docker", "tcp", "192.0.2.1", 8080, "172.17.0.2 80"],
    ["docker", "tcp", "192.0.2.1", 8082, "silence"],
    ["docker-int", "tcp", "172.19.0.1", 8080, "silence"],
    ["c4", "tcp", "10.4.0.1", 8080, "silence"],
    ["c4", "tcp", "fd00:4::1", 8080, "silence"],
    ["friend", "tcp", "198.51.100.1", 8082, `${friend4} 80`],
    ["friend", "tcp", "2001:db8:51::1", 8082, `${friend6} 80`],
    ["outside", "tcp", "192.0.2.1", 8082, "silence"],
    ["outside", "tcp", "2001:db8:2::1", 8082, "silence"],
    ["c1", "tcp", "10.1.0.1", 8082, "silence"],
    ["host", "tcp", "192.0.2.1", 8082, "192.0.2.1 80"],
    ["friend", "tcp", "10.3.0.2", 80, `${friend4} 80`],
    ["friend", "tcp", "fd00:3::2", 80, `${friend6} 80`],
    ["friend", "tcp", "10.3.0.2", 81, "silence"],
    ["outside", "tcp", "10.3.0.2", 80, "silence"],
    ["outside", "tcp", "fd00:3::2", 80, "silence"],
    ["outside", "ping", "fd00:3::2", 0, "pong"],
    ["friend", "tcp", "10.1.0.2", 80, `${friend4} 80`],
    ["friend", "tcp", "fd00:1::2", 80, `${friend6} 80`],
    ["friend", "tcp", "10.1.0.2", 81, "silence"],
    ["friend", "ping", "fd00:1::2", 0, "silence"],
    ["friend", "tcp", "10.2.0.2", 80, "silence"],
    ["outside", "tcp", "10.1.0.2", 80, "silence"],
  ];
  for (const one of answered) {
    const [origin, how, address, port, answer] = one;
    it(`${origin} asks ${address} ${how} ${port}: ${answer}`, async () => {
      expect(await asked.get(one)).to.equal(answer);
    });
  }

  interface Counted {
    readonly elem: { readonly val: unknown; readonly counter?: { readonly packets: number; readonly bytes: number } };
  }
  /** The counter of a set's or a map's element whose key has this text in nft's own JSON. */
  const counted = (kind: "set" | "map", name: string, key: readonly unknown[]): { packets: number; bytes: number } => {
    const text = execFileSync("nft", ["-j", "list", kind, "inet", "tsnet", name], { encoding: "utf8" });
    const entries: unknown[] = JSON.parse(text).nftables.find((one: object) => kind in one)[kind].elem;
    const elements = entries.map((entry) => (kind === "map" ? (entry as unknown[])[0] : entry) as Counted);
    const found = elements.find(({ elem }) => JSON.stringify(elem.val) === JSON.stringify({ concat: key }));
    if (found?.elem.counter === undefined) throw new Error(`no counter ${key.join(" ")} in ${text}`);
    return found.elem.counter;
  };

  it("counts the connections of a mapping, and packets and bytes of the container's port, both ways", async () => {
    const mapping = (): number => counted("map", "port4", ["tcp", 8080]).packets;
    const range = (): number => counted("map", "range6", ["tcp", { range: [8000, 8002] }]).packets;
    const traffic = () => counted("set", "traffic4", ["10.1.0.2", "tcp", 80]);
    const [mappedBefore, rangeBefore, trafficBefore] = [mapping(), range(), traffic()];
    for (let i = 0; i < 3; i++) await ask("outside", "tcp", "192.0.2.1", 8080);
    await ask("outside", "tcp", "2001:db8:2::1", 8001);
    expect([mapping() - mappedBefore, range() - rangeBefore]).to.deep.equal([3, 1]);
    // each connection: a handshake of three packets, one with data, two FINs and their acknowledgements
    const { packets, bytes } = traffic();
    expect(packets - trafficBefore.packets).to.be.within(3 * 6, 3 * 10);
    expect(bytes - trafficBefore.bytes).to.be.greaterThan((packets - trafficBefore.packets) * 40);
  });

  it("does not count what publish_from keeps out as traffic", async () => {
    const traffic = () => counted("set", "traffic4", ["10.2.0.2", "tcp", 80]).packets;
    const before = traffic();
    expect(await ask("outside", "tcp", "192.0.2.1", 8082, false)).to.equal("silence");
    expect(traffic()).to.equal(before);
  });

  describe("on 127.0.0.1, where the host takes such packets from a neighbor", () => {
    const routeLocalnet = "/proc/sys/net/ipv4/conf/outside/route_localnet";
    const servers: Server[] = [];
    before(async () => {
      writeFileSync(routeLocalnet, "1");
      lab.routeLoopback("outside", "192.0.2.1");
      for (const port of [7000, 7777]) {
        const server = createServer((socket) => socket.end("host"));
        servers.push(server);
        await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
      }
    });
    after(() => {
      for (const server of servers) server.close();
    });

    it("are out of its reach, a socket of the plugin's included; what others listen on is none of ours", async () => {
      expect(await ask("outside", "tcp", "127.0.0.1", 7777)).to.equal("host");
      expect(await ask("outside", "tcp", "127.0.0.1", 7000, false)).to.equal("silence");
      expect(await ask("outside", "tcp", "127.0.0.1", 8080)).to.equal("ECONNREFUSED");
    });
  });
});
