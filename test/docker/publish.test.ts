import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { listMappings, mappedPorts } from "../support/mappings.ts";
import { client } from "../support/outside.ts";
import { driver } from "../support/plugin.ts";
import { until } from "../support/poll.ts";
import { ask, type Place } from "../support/probe.ts";
import { sendSctpInit, targetPortOf } from "../support/sctp.ts";
import { type Question, surveyAll } from "../support/survey.ts";

const subnets = {
  web: ["10.75.0.0/24", "fd00:75::/64"],
  four: ["10.76.0.0/24"],
  other: ["10.77.0.0/24", "fd00:77:1::/64"],
} as const;
type Network = keyof typeof subnets;

const gateway4 = { web: "10.75.0.1", four: "10.76.0.1", other: "10.77.0.1" };
const gateway6 = { web: "fd00:75::1", other: "fd00:77:1::1" };

/** From one place to one address of the host, by tcp and by udp. */
const toBoth = (address: string, port: number, expected: boolean | string): Question[] =>
  (["tcp", "udp"] as const).map((protocol) => ({ what: `${protocol} ${address}`, protocol, address, port, expected }));

const toPort = (from: string, address: string, port: number, expected: boolean | string): Question => ({
  what: `${from} → ${address} port ${port}`,
  protocol: "tcp",
  address,
  port,
  expected,
});

/** Names where the questions come from, so that they differ. */
const from = (name: string, place: Place, ...questions: Question[][]): [Place, Question[]] => [
  place,
  questions.flat().map((question) => ({ ...question, what: `${name} → ${question.what}` })),
];

describe("where published ports answer", () => {
  const host = useHost();
  beforeEach(async () => {
    for (const [name, [ipv4, ipv6]] of Object.entries(subnets)) {
      const inIpv6 = ipv6 === undefined ? [] : ["--ipv6", "--subnet", ipv6];
      await host().docker("network", "create", "-d", driver, "--subnet", ipv4, ...inIpv6, name);
    }
  });
  const serve = (network: Network, ...args: string[]) => Container.run(host(), { network, serve: true }, ...args);
  const idle = (network: Network) => Container.run(host(), { network });
  const both = ["-p", "8080:80/tcp", "-p", "8080:80/udp"];

  async function expectSurvey(...places: [Place, Question[]][]): Promise<void> {
    const { expected, seen } = await surveyAll(places);
    expect(seen).to.deep.equal(expected);
  }

  it("answers everybody in both families, and the container sees the client where the kernel translates", async () => {
    const [server, neighbor, other] = await Promise.all([serve("web", ...both), idle("web"), idle("other")]);
    const port = 8080;
    const own = { ipv4: await other.ipv4("other"), ipv6: await other.ipv6("other") };
    const asGateway = [toBoth(host().ipv4, port, gateway4.web), toBoth(host().ipv6, port, gateway6.web)];
    const toGateway = [toBoth(gateway4.web, port, gateway4.web), toBoth(gateway6.web, port, gateway6.web)];
    await expectSurvey(
      from(
        "outside",
        host().outside.client,
        toBoth(host().ipv4, port, client.ipv4),
        toBoth(host().ipv6, port, client.ipv6),
      ),
      from("other network", other, toBoth(host().ipv4, port, own.ipv4), toBoth(host().ipv6, port, own.ipv6)),
      from("same network", neighbor, ...asGateway, ...toGateway),
      from("itself", server, ...asGateway, ...toGateway),
      from("host", host(), toBoth(host().ipv4, port, true), toBoth(host().ipv6, port, true)),
      from("host's loopback", host(), toBoth("127.0.0.1", port, gateway4.web), toBoth("::1", port, gateway6.web)),
    );
  });

  it("answers IPv6 for a container with IPv4 only, by a proxy", async () => {
    const [, other] = await Promise.all([serve("four", ...both), idle("other")]);
    const port = 8080;
    await expectSurvey(
      from(
        "outside",
        host().outside.client,
        toBoth(host().ipv4, port, client.ipv4),
        toBoth(host().ipv6, port, gateway4.four),
      ),
      from("other network", other, toBoth(host().ipv6, port, gateway4.four)),
      from("host", host(), toBoth(host().ipv6, port, gateway4.four), toBoth("::1", port, gateway4.four)),
    );
  });

  for (const network of ["web", "four"] as const) {
    it(`answers at the host address that -p names, and at no other, on network ${network}`, async () => {
      const { ipv4, ipv6 } = host();
      const bound = { 8081: ipv4, 8082: "::1", 8083: "127.0.0.1", 8084: ipv6, 8085: "127.0.0.2" };
      const options = Object.entries(bound).map(([port, address]) =>
        address.includes(":") ? `[${address}]:${port}:80` : `${address}:${port}:80`,
      );
      await serve(network, ...options.flatMap((option) => ["-p", option]));
      const ports = Object.entries(bound).map(([port, address]) => ({ port: Number(port), address }));
      const ask = (name: string, ...addresses: string[]) =>
        ports.flatMap(({ port, address }) => addresses.map((target) => toPort(name, target, port, target === address)));
      await expectSurvey(
        [host().outside.client, ask("outside", ipv4, ipv6)],
        [host(), ask("host", ipv4, ipv6, "127.0.0.1", "127.0.0.2", "::1")],
      );
    });
  }

  it("answers at addresses that the host gets later, and serves two containers at two addresses of one port", async () => {
    await serve("web", "-p", "8080:80");
    await host().exec("ip addr add 192.168.77.99/24 dev eth0");
    expect(await ask(host().outside.client, "tcp", "192.168.77.99", 8080)).to.equal(client.ipv4);
    await host().exec("ip addr del 192.168.77.99/24 dev eth0");
    await serve("web", "-p", "127.0.0.1:8090:80");
    await serve("other", "-p", "127.0.0.2:8090:80");
    expect(await ask(host(), "tcp", "127.0.0.1", 8090)).to.equal(gateway4.web);
    expect(await ask(host(), "tcp", "127.0.0.2", 8090)).to.equal(gateway4.other);
  });

  it("translates sctp in both families", async () => {
    const server = await serve("web", "-p", "8080:9000/sctp");
    const addresses = { "IP4-RECVFROM": host().ipv4, "IP6-RECVFROM": host().ipv6 };
    for (const [listen, address] of Object.entries(addresses)) {
      const arrived = server.exec(`timeout 5 socat -u ${listen}:132 - | od -An -v -tx1 -w4096`);
      await until("the container listens", 5_000, async () => (await server.exec("ss -Hanw")).stdout.includes(":132"));
      await sendSctpInit(host().outside.client, address, 8080);
      expect(targetPortOf((await arrived).stdout)).to.equal(9000);
    }
  });

  /** Makes the container answer on these ports of its own what it answers on port 80. */
  const answerOn = async (server: Container, ports: readonly number[]) => {
    const rule = `tcp dport { ${ports.join(", ")} } redirect to :80`;
    const table = ["table ip answer {", "chain answer {", "type nat hook prerouting priority -100;", rule, "}", "}"];
    expect((await server.exec(`nft '${table.join("\n")}'`)).stderr).to.equal("");
  };

  it("publishes a range as one element, and each port of it leads to its own", async () => {
    const server = await serve("web", "-p", "8000-8199:8000-8199");
    expect(await listMappings(host(), "port4")).to.deep.equal([]);
    expect(await listMappings(host(), "range4")).to.deep.equal([`tcp 8000-8199 ${await server.ipv4("web")}`]);
    await answerOn(server, [8000, 8100, 8199]);
    const ports = [7999, 8000, 8001, 8099, 8100, 8101, 8198, 8199, 8200];
    const asked = ports.map((port) => toPort("outside", host().ipv4, port, [8000, 8100, 8199].includes(port)));
    await expectSurvey([host().outside.client, asked]);
    await server.remove();
    expect(await listMappings(host(), "range4")).to.deep.equal([]);
  });

  it("publishes a range at other ports than the container's", async () => {
    await answerOn(await serve("web", "-p", "9000-9010:5000-5010", "-p", "127.0.0.1:9100-9110:5000-5010"), [5005]);
    const ask = (name: string, address: string, ...ports: number[]) =>
      ports.map((port) => toPort(name, address, port, port % 100 === 5));
    await expectSurvey(
      [host().outside.client, ask("outside", host().ipv4, 9000, 9004, 9005, 9006, 9010)],
      [host(), ask("host", "127.0.0.1", 9104, 9105, 9106)],
    );
  });

  it("publishes all exposed ports with -P", async () => {
    await serve("web", "-P", "--expose", "80/tcp", "--expose", "80/udp");
    const mappings = (await listMappings(host())).map((text) => text.split(" "));
    expect(mappings.map(([protocol, , , port]) => `${port}/${protocol}`)).to.have.members(["80/tcp", "80/udp"]);
    for (const [protocol = "", port] of mappings) {
      for (const address of [host().ipv4, host().ipv6])
        expect(await ask(host().outside.client, protocol as "tcp" | "udp", address, Number(port))).to.be.oneOf([
          client.ipv4,
          client.ipv6,
        ]);
    }
  });

  it("takes ephemeral ports in turn, and leaves out those that the host reserves", async () => {
    await host().sh(
      "sysctl -qw net.ipv4.ip_local_port_range='40000 40004' net.ipv4.ip_local_reserved_ports=40001-40002",
    );
    try {
      const taken: number[] = [];
      for (let n = 0; n < 6; n++) {
        const server = await serve("web", "-p", "80");
        taken.push(...(await mappedPorts(host())));
        await server.remove();
      }
      const inTurn = [40000, 40003, 40004];
      const first = inTurn.indexOf(taken[0] ?? 0);
      expect(taken).to.deep.equal(taken.map((_, n) => inTurn[(first + n) % inTurn.length]));
    } finally {
      await host().sh("sysctl -qw net.ipv4.ip_local_port_range='32768 60999' net.ipv4.ip_local_reserved_ports=");
    }
  });

  it("takes one ephemeral port for both families and for all host addresses of a container port", async () => {
    await serve("web", "-p", "80", "-p", "127.0.0.1::90", "-p", "127.0.0.2::90");
    const [port] = await mappedPorts(host(), "port4");
    expect(await mappedPorts(host(), "port6")).to.deep.equal([port]);
    const bound = (await listMappings(host(), "bound4")).map((text) => text.split(" "));
    expect(bound.map(([address]) => address)).to.have.members(["127.0.0.1", "127.0.0.2"]);
    expect(new Set(bound.map(([, , hostPort]) => hostPort)).size).to.equal(1);
  });

  it("frees a port with its container, although connections to it have just been closed", async () => {
    for (let n = 0; n < 3; n++) {
      const server = await serve("four", ...both);
      for (const address of ["127.0.0.1", "::1", host().ipv6]) await ask(host(), "tcp", address, 8080);
      expect((await host().exec("ss -Htan state time-wait")).stdout).to.include(":8080");
      await server.remove();
    }
  });

  it("leaves the ports to Docker with tsnet.publish=engine, and docker ps shows them", async () => {
    await host().docker("network", "create", "-d", driver, "-o", "tsnet.publish=engine", "shown");
    const server = await Container.run(host(), { network: "shown", serve: true }, ...both, "-p", "127.0.0.1:8081:80");
    const ports = await host().docker("ps", "--filter", `id=${server.id}`, "--format", "{{.Ports}}");
    for (const text of ["0.0.0.0:8080->80/tcp", "0.0.0.0:8080->80/udp", "127.0.0.1:8081->80/tcp"])
      expect(ports).to.include(text);
    for (const map of ["port4", "bound4"]) expect(await listMappings(host(), map)).to.deep.equal([]);
    for (const protocol of ["tcp", "udp"] as const)
      expect(await ask(host().outside.client, protocol, host().ipv4, 8080)).to.equal(client.ipv4);
    const neighbor = await Container.run(host(), { network: "shown" });
    expect(await ask(neighbor, "tcp", await server.ipv4("shown"))).to.equal(await neighbor.ipv4("shown"));
  });
});
