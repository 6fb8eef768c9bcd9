/** The command tsnet against the plugin on a real Docker host; who reaches what is judged by who reaches it. */
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { client } from "../support/outside.ts";
import { driver } from "../support/plugin.ts";
import { until } from "../support/poll.ts";
import { answers, ask } from "../support/probe.ts";

const program = fileURLToPath(new URL("../../src/cli/tsnet", import.meta.url));

describe("the command tsnet on a Docker host", () => {
  const host = useHost();
  /** Runs it on the host. @throws Error if it fails */
  const tsnet = (words: string): Promise<string> =>
    host().sh(`DOCKER_HOST=unix://${host().socket} ${program} ${words}`);
  const create = (...args: string[]) => host().docker("network", "create", "-d", driver, ...args);
  const verdictOf = async (words: string): Promise<string> => {
    const { answers: found } = JSON.parse(await tsnet(`firewall explain ${words} --json`));
    expect(found).to.have.length(1);
    return found[0].verdict.result;
  };
  beforeEach(() => create("--subnet", "10.70.0.0/24", "web"));

  it("shows a published port with its names, connections, packets and bytes", async () => {
    await Container.run(
      host(),
      { network: "web", serve: true },
      "--name",
      "one",
      "-p",
      "8080:80",
      "-p",
      "9000-9004:9000-9004",
    );
    const cells = async () => (await tsnet("ports")).split("\n").map((line) => line.trim().split(/ {3,}/));
    const nothing = ["0", "0", "0B"];
    expect(await cells()).to.include.deep.members([
      ["0.0.0.0:8080", "tcp", "10.70.0.2:80", "one", "web", "kernel", ...nothing],
      ["[::]:8080", "tcp", "10.70.0.2:80", "one", "web", "proxy", ...nothing],
      ["0.0.0.0:9000-9004", "tcp", "10.70.0.2:9000-9004", "one", "web", "kernel", ...nothing],
    ]);
    for (let times = 0; times < 3; times++) {
      expect(await ask(host().outside.client, "tcp", host().ipv4, 8080)).to.equal(client.ipv4);
    }
    const { ports } = JSON.parse(await tsnet("ports --json"));
    const [port] = ports; // sorted by port, and for one port by address
    expect(port).to.deep.include({ containerName: "one", networkName: "web", connections: 3 });
    // each connection: SYN, SYN+ACK, ACK, an answer of some bytes, and two FINs, at least
    expect(port.packets).to.be.within(18, 60);
    expect(port.bytes).to.be.within(18 * 40, 60 * 100);
  });

  it("counts a connection once, in the family that it came by", async () => {
    await create("--subnet", "10.73.0.0/24", "--ipv6", "--subnet", "fd00:73::/64", "dual");
    await Container.run(host(), { network: "dual", serve: true }, "-p", "8080:80");
    expect(await ask(host().outside.client, "tcp", host().ipv6, 8080)).to.equal(client.ipv6);
    const { ports } = JSON.parse(await tsnet("ports --json"));
    const counts = ports.map((port: Record<string, unknown>) => [port["hostAddress"], port["connections"]]);
    expect(counts).to.deep.equal([
      ["0.0.0.0", 0],
      ["::", 1],
    ]);
  });

  it("explains ports that are published and that are not, as they are", async () => {
    await Container.run(
      host(),
      { network: "web", serve: true },
      "--name",
      "one",
      "-p",
      "8080:80",
      "-p",
      "127.0.0.1:8081:80",
    );
    const from = `--from ${client.ipv4}`;
    await ask(host().outside.client, "tcp", host().ipv4, 8080);
    expect(await verdictOf(`8080 ${from}`)).to.equal("reaches");
    const text = await tsnet(`firewall explain 8080/tcp ${from}`);
    expect(text)
      .to.contain("container one of network web")
      .and.match(/\nReaches: the container, at 10\.70\.0\.2:80$/);

    expect(await answers(host().outside.client, "tcp", host().ipv4, 8081)).to.equal(false);
    expect(await verdictOf(`8081 ${from}`)).to.equal("dropped");
    expect(await verdictOf("8081 --from 127.0.0.1")).to.equal("reaches");
    expect(await verdictOf(`8082 ${from}`)).to.equal("host");
    expect(await tsnet("firewall explain 8082")).to.contain("Nobody listens on this port here.");
  });

  it("explains restricted sources", async () => {
    await create("--subnet", "10.72.0.0/24", "-o", `tsnet.publish_from=${client.ipv4}/32`, "closed");
    await Container.run(host(), { network: "closed", serve: true }, "-p", "8083:80");
    const stranger = await Container.run(host(), { network: "web" });
    const address = await stranger.ipv4("web");
    await ask(host().outside.client, "tcp", host().ipv4, 8083);
    expect(await verdictOf(`8083 --from ${client.ipv4}`)).to.equal("reaches");
    expect(await answers(stranger, "tcp", host().ipv4, 8083)).to.equal(false);
    expect(await verdictOf(`8083 --from ${address}`)).to.equal("dropped");
    expect(await tsnet(`firewall explain 8083 --from ${address}`)).to.contain(
      `${address} is not in tsnet.publish_from of network closed, ${client.ipv4}/32\n`,
    );
  });

  it("lists a rule of DOCKER-USER that drops", async () => {
    await Container.run(host(), { network: "web", serve: true }, "-p", "8080:80");
    await host().sh(`iptables -w -I DOCKER-USER -s ${client.ipv4} -j DROP`);
    try {
      expect(await answers(host().outside.client, "tcp", host().ipv4, 8080)).to.equal(false);
      expect(await verdictOf(`8080 --from ${client.ipv4}`)).to.equal("may reach");
      expect(await tsnet("firewall explain 8080")).to.match(
        new RegExp(`chain DOCKER-USER +these rules come first.*\n +-A DOCKER-USER -s ${client.ipv4}/32 -j DROP\n`),
      );
    } finally {
      await host().sh(`iptables -w -D DOCKER-USER -s ${client.ipv4} -j DROP`);
    }
  });

  it("shows the firewall's state, and what was repaired", async () => {
    expect(await tsnet("firewall")).to.match(/^Table: +inet tsnet: in place/);
    const repaired = async (): Promise<number> => {
      const { repairs } = JSON.parse(await tsnet("firewall --json"));
      return repairs.find(({ kind }: { kind: string }) => kind === "firewall")?.count ?? 0;
    };
    const before = await repaired();
    await host().sh("nft add element inet tsnet port4 '{ tcp . 1 : 10.70.0.9 . 1 }'");
    await until("the element is removed, and counted", 5_000, async () => (await repaired()) > before);
    expect(await host().sh("nft list map inet tsnet port4")).not.to.contain("10.70.0.9");
    const status = JSON.parse(await tsnet("firewall --json"));
    expect(status.table).to.deep.include({ name: "inet tsnet", state: "in place" });
    expect(status.docker.bridges).to.include("docker0");
    expect(status.forward[0]).to.deep.include({ program: "iptables-nft", rule: "in place" });
  });

  it("has a socket for root only, and says what to do where there is none", async () => {
    expect(await host().sh("stat -c %a /run/docker/tsnet /run/docker/tsnet/admin.sock")).to.match(/^700\n600\n?$/);
    await host().plugin.stop();
    const error = await tsnet("ports").then(String, String);
    await host().plugin.start();
    expect(error).to.contain("/run/docker/tsnet/admin.sock: ").and.contain("start the plugin (systemctl start tsnet, ");
  });
});
