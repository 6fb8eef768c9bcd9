import { expect } from "chai";
import type { PortMapping } from "../../../src/plan/network.ts";
import type { How } from "../../support/agent.ts";
import { FirewallLab } from "../../support/firewall-lab.ts";
import { ipJson } from "../../support/netns.ts";
import { endpointOf, idOf, mappingOf, networkOf, requestedSubnet } from "../../support/values.ts";

/** Networks by number: 1 publishes by sockets alone, 2 has IPv4 only, 3 is internal, 4 is neither. */
const ipv4 = (n: number) => [requestedSubnet(`10.${n}.0.0/24`, `10.${n}.0.1/24`)];
const ipv6 = (n: number) => [requestedSubnet(`fd00:${n}::/64`, `fd00:${n}::1/64`)];
const networks = [1, 2, 3, 4].map((n) =>
  networkOf({
    id: idOf(`b${n}`),
    ipv4: ipv4(n),
    ipv6: n === 2 ? [] : ipv6(n),
    options: n === 1 ? { "tsnet.publish_policy": "host" } : {},
    internal: n === 3,
  }),
);
const protocols = ["tcp", "udp"] as const;
const published = (hostPort: number, ...hostAddresses: string[]): PortMapping[] =>
  hostAddresses.flatMap((hostAddress) =>
    protocols.map((protocol) => mappingOf({ protocol, hostAddress, hostPort, containerPort: hostPort })),
  );
const ports: Readonly<Record<number, readonly PortMapping[]>> = {
  1: [
    ...published(8080, "0.0.0.0", "::"),
    ...published(8081, "10.3.0.1", "fd00:3::1"),
    mappingOf({ hostAddress: "::", hostPort: 8082, count: 2 }),
  ],
  2: published(8090, "0.0.0.0", "::"),
};

/** What listens on the host stands for the plugin's sockets, but for the last, which belongs to nobody's container. */
const hostPorts = [8080, 8081, 8082, 8083, 8090, 8099];

describe("ports that a socket of the host passes on, with real packets", () => {
  let lab: FirewallLab;
  before(async () => {
    lab = new FirewallLab();
    networks.forEach((network, index) => {
      const n = index + 1;
      lab.addNetwork(network);
      const addresses = [`10.${n}.0.2/24`, ...(n === 2 ? [] : [`fd00:${n}::2/64`])];
      const values = { id: idOf(`e${n}`), network: network.id, addresses, ports: ports[n] ?? [] };
      lab.addContainer(`c${n}`, endpointOf(values), [8090]);
    });
    await lab.start(hostPorts);
  });
  after(() => lab[Symbol.asyncDispose]());

  interface Asked {
    readonly how: How;
    readonly address: string;
    readonly port: number;
  }
  const texts = (asked: readonly Asked[]): string[] =>
    asked.map(({ how, address, port }) => `${how} ${address} ${port}`);
  /**
   * Those that get an answer, with the answer if it is none of a server; all are asked at once, since silence takes a while.
   * @param open what is to be answered
   * @param shut what is not
   */
  const answered = async (origin: string, open: readonly Asked[], shut: readonly Asked[] = []): Promise<string[]> => {
    const asked = [...open, ...shut];
    const agent = lab.agent(origin);
    const answers = await Promise.all(
      asked.map(({ how, address, port }, index) => agent.ask(how, address, port, index < open.length)),
    );
    return texts(asked).flatMap((text, index) => {
      const answer = answers[index] ?? "";
      if (answer === "silence") return [];
      return answer === "pong" || answer.endsWith(` ${asked[index]?.port}`) ? text : `${text}: ${answer}`;
    });
  };
  const each = (addresses: readonly string[], ...wanted: number[]): Asked[] =>
    addresses.flatMap((address) => wanted.flatMap((port) => protocols.map((how) => ({ how, address, port }))));
  /** The host's addresses on the bridge of a network, as its containers write them. */
  const gateways = (n: number): string[] => {
    const [link] = ipJson(`-6 address show dev ${networks[n - 1]?.bridge} scope link`);
    const { local } = link.addr_info.find((one: { local?: string }) => one.local?.startsWith("fe80:"));
    return [`10.${n}.0.1`, `fd00:${n}::1`, `${local}%eth0`];
  };

  it("are out of reach for an internal network, at each address of its bridge; the host's own services are not", async () => {
    const own = gateways(3);
    const services = each(own, 8099);
    expect(await answered("c3", services, each(own, 8080, 8090))).to.deep.equal(texts(services));
    const ping = own.map((address) => ({ how: "ping", address, port: 0 }) as const);
    expect(await answered("c3", ping)).to.deep.equal(texts(ping));
  });

  it("answer other networks there", async () => {
    const asked = each(gateways(4), 8080, 8090, 8099);
    expect(await answered("c4", asked)).to.deep.equal(texts(asked));
  });

  it("are out of reach at the one address that has them", async () => {
    const there = each(["10.3.0.1", "fd00:3::1"], 8081);
    const elsewhere = ["10.4.0.1", "fd00:4::1"].map((address) => ({ how: "tcp", address, port: 8081 }) as const);
    expect(await answered("c3", elsewhere, there)).to.deep.equal(texts(elsewhere));
    const byTcp = there.filter(({ how }) => how === "tcp");
    expect(await answered("c4", byTcp)).to.deep.equal(texts(byTcp));
  });

  it("are out of reach in a block, of its protocol and family alone", async () => {
    const tcp6 = [8082, 8083].map((port) => ({ how: "tcp", address: "fd00:3::1", port }) as const);
    const others = [
      ...[8082, 8083].map((port) => ({ how: "udp", address: "fd00:3::1", port }) as const),
      ...each(["10.3.0.1"], 8082, 8083),
    ];
    expect(await answered("c3", others, tcp6)).to.deep.equal(texts(others));
    expect(await answered("c4", tcp6)).to.deep.equal(texts(tcp6));
  });
});
