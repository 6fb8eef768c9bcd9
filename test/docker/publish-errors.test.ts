import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import type { Host } from "../support/host.ts";
import { image } from "../support/image.ts";
import { listMappings } from "../support/mappings.ts";
import { client } from "../support/outside.ts";
import { driver } from "../support/plugin.ts";
import { until } from "../support/poll.ts";
import { ask } from "../support/probe.ts";

const settleMs = 2_000;

/** What stands in the way of a container's ports: it is set up, and taken away by what that returns. */
interface Obstacle {
  readonly words: string;
  readonly args: readonly string[];
  readonly setUp?: (host: Host, bystander: Container) => Promise<() => Promise<unknown>>;
}

/** A process of the host that answers on a port. */
const process_ = (listen: string) => async (host: Host) => {
  const daemon = await host.namespace.start(["socat", listen, "SYSTEM:'read _; echo host'"], "/dev/null", process.env);
  await until("the process listens", 5_000, async () => (await host.exec("ss -Hltun")).stdout.includes(":8084 "));
  return async () => {
    process.kill(daemon.pid, "SIGKILL");
    await daemon.ended;
  };
};

const addressLater = (address: string) => async (host: Host) => () => host.sh(`ip addr add ${address} dev lo`);

const takeBystanderAway = async (_: Host, bystander: Container) => () => bystander.remove();

/** Ports of the host that the kernel hands out by itself. */
const ephemeral = (first: number, last: number) => async (host: Host) => {
  const range = (from: number, to: number) => host.sh(`sysctl -qw net.ipv4.ip_local_port_range='${from} ${to}'`);
  await range(first, last);
  return () => range(32768, 60999);
};

const obstacles: Readonly<Record<string, Obstacle>> = {
  "a port of another container": {
    words: "Bind for 0.0.0.0:8080 failed: port is already allocated",
    args: ["-p", "8080:80"],
    setUp: takeBystanderAway,
  },
  "a port of another container, at one address": {
    words: "Bind for 127.0.0.1:8080 failed: port is already allocated",
    args: ["-p", "127.0.0.1:8080:80"],
    setUp: takeBystanderAway,
  },
  "a range with a port of another container in it": {
    words: "Bind for 0.0.0.0:8080 failed: port is already allocated",
    args: ["-p", "8071-8090:8071-8090"],
    setUp: takeBystanderAway,
  },
  "a range of which all ports are another container's": {
    words: "all ports are allocated",
    args: ["-p", "8091-8092:80"],
    setUp: takeBystanderAway,
  },
  "a tcp port of a process": {
    words: "address already in use",
    args: ["-p", "8084:80"],
    setUp: process_("TCP4-LISTEN:8084,fork,reuseaddr"),
  },
  "a tcp port of a process that listens for IPv6 only": {
    words: "address already in use",
    args: ["-p", "8084:80"],
    setUp: process_("TCP6-LISTEN:8084,fork,reuseaddr,ipv6only=1"),
  },
  "a udp port of a process": {
    words: "address already in use",
    args: ["-p", "8084:80/udp"],
    setUp: process_("UDP4-RECVFROM:8084,fork"),
  },
  "a range with a port of a process in it": {
    words: "8084",
    args: ["-p", "8081-8090:8081-8090"],
    setUp: process_("TCP4-LISTEN:8084,fork,reuseaddr"),
  },
  "an IPv4 address that the host does not have": {
    words: "cannot assign requested address",
    args: ["-p", "10.99.99.99:8085:80"],
    setUp: addressLater("10.99.99.99/32"),
  },
  "an IPv6 address that the host does not have": {
    words: "cannot assign requested address",
    args: ["-p", "[fd00:99::99]:8085:80"],
    setUp: addressLater("fd00:99::99/128"),
  },
  "more ephemeral ports than there are": {
    words: "all ports are allocated",
    args: ["-p", "80/tcp", "-p", "81/tcp", "-p", "82/tcp"],
    setUp: ephemeral(40000, 40001),
  },
  "65,535 ports, of which one is another container's": {
    words: "Bind for 0.0.0.0:8080 failed: port is already allocated",
    args: ["-p", "1-65535:1-65535"],
  },
};

describe("ports that cannot be published", () => {
  const host = useHost();
  let bystander: Container;
  let before: { sockets: string; mappings: string };
  beforeEach(async () => {
    const subnets = ["--ipv6", "--subnet", "10.78.0.0/24", "--subnet", "fd00:78::/64"];
    await host().docker("network", "create", "-d", driver, ...subnets, "web");
    const ports = ["-p", "8080:80", "-p", "8091-8092:8091-8092"];
    bystander = await Container.run(host(), { network: "web", serve: true }, ...ports);
  });

  /** What is held, by the kernel's words: sockets, and elements. */
  const held = async () => ({
    sockets: (await host().exec("ss -Hltun | awk '{ print $1, $5 }' | sort")).stdout,
    mappings: (
      await Promise.all(
        ["port4", "port6", "bound4", "bound6", "range4", "range6"].map((map) => listMappings(host(), map)),
      )
    ).join(),
  });

  const expectUnharmed = async () => {
    await until(
      "all ports are free again",
      settleMs,
      async () => JSON.stringify(await held()) === JSON.stringify(before),
    );
    for (const address of [host().ipv4, host().ipv6])
      expect(await ask(host().outside.client, "tcp", address, 8080)).to.be.oneOf([client.ipv4, client.ipv6]);
  };

  for (const [what, { words, args, setUp }] of Object.entries(obstacles)) {
    it(`${what}: the start fails and takes nothing, and succeeds later`, async () => {
      const clear = await setUp?.(host(), bystander);
      before = await held();
      const id = await host().docker(
        "create",
        "--network",
        "web",
        "-p",
        "8300:80",
        "-p",
        "8310-8319:8310-8319",
        ...args,
        image,
        "serve",
      );
      const error = await host().dockerError("start", id);
      expect(error).to.include("driver failed programming external connectivity on endpoint").and.include(words);
      await expectUnharmed();
      if (clear === undefined) return;
      await clear();
      await host().docker("start", id);
      await new Container(host(), id).listens();
      expect(await ask(host().outside.client, "tcp", host().ipv4, 8300)).to.equal(client.ipv4);
    });
  }

  it("8,000 ports of one container are published by one element a family, and are free when it is gone", async () => {
    before = await held();
    const server = await Container.run(host(), { network: "web" }, "-p", "20000-27999:20000-27999");
    expect(await listMappings(host(), "range4")).to.include(`tcp 20000-27999 ${await server.ipv4("web")}`);
    expect(await listMappings(host(), "range6")).to.include(`tcp 20000-27999 ${await server.ipv6("web")}`);
    await server.remove();
    await expectUnharmed();
  });

  const port = { Proto: 6, IP: "", Port: 80, HostIP: "", HostPort: 8500, HostPortEnd: 8500 };
  const malformed: Readonly<Record<string, [object, RegExp]>> = {
    "container port 0": [{ ...port, Port: 0 }, /port.*\b0\b/i],
    "container port 65536": [{ ...port, Port: 65536 }, /port.*65536/i],
    "host port 65536": [{ ...port, HostPort: 65536, HostPortEnd: 65536 }, /port.*65536/i],
    "host port -1": [{ ...port, HostPort: -1 }, /port.*-1/i],
    "a range that ends after 65535": [{ ...port, HostPort: 65535, HostPortEnd: 65536 }, /port.*65536/i],
    "a range with reversed bounds": [{ ...port, HostPort: 8510, HostPortEnd: 8500 }, /invalid port range: 8510-8500/],
    "an unknown protocol": [{ ...port, Proto: 33 }, /\b33\b.*unknown protocol/],
    "a host address that is none": [{ ...port, HostIP: "10.0.0.256" }, /10\.0\.0\.256/],
  };

  it("what no Docker should send is refused by name, with what stands beside it", async () => {
    before = await held();
    const { EndpointID, NetworkID } = await bystander.endpoint("web");
    const call = (entry: object) => {
      const Options = { "com.docker.network.portmap": [{ ...port, HostPort: 8501, HostPortEnd: 8501 }, entry] };
      return host().plugin.call("NetworkDriver.ProgramExternalConnectivity", { NetworkID, EndpointID, Options });
    };
    for (const [what, [entry, words]] of Object.entries(malformed)) {
      expect((await call(entry)).Err, what).to.match(words);
      await expectUnharmed();
    }
  });

  it("what the docker command itself refuses never reaches the plugin", async () => {
    before = await held();
    for (const option of ["70000:80", "8500:70000", "8510-8500:80", "8500:80/xyz"]) {
      const command = ["run", "-d", "--network", "web", "-p", option, image];
      expect(await host().dockerError(...command)).to.match(/invalid|unknown|range/i);
    }
    await expectUnharmed();
  });
});
