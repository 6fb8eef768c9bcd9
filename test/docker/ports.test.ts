import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { image } from "../support/image.ts";
import { client } from "../support/outside.ts";
import { driver } from "../support/plugin.ts";
import { until } from "../support/poll.ts";
import { answers, ask, type Protocol, SteadySender } from "../support/probe.ts";

const protocols: readonly Protocol[] = ["tcp", "udp"];

/** What tsnet's maps hold, by nft's own words: "tcp . 8080 : 10.0.0.2 . 80". */
const mappings = (listing: string): string[] => listing.match(/(tcp|udp|sctp) \. \d+ : [\d.]+ \. \d+/g) ?? [];

describe("docker run -p on tsnet networks", () => {
  const host = useHost();
  beforeEach(async () => {
    await host().docker("network", "create", "-d", driver, "--subnet", "10.70.0.0/24", "web");
    await host().docker("network", "create", "-d", driver, "--subnet", "10.71.0.0/24", "other");
  });
  const serve = (...args: string[]) => Container.run(host(), { network: "web", serve: true }, ...args);
  const both = ["-p", "8080:80/tcp", "-p", "8080:80/udp"];

  for (const protocol of protocols) {
    it(`answers ${protocol} from outside, and the container sees who asks`, async () => {
      await serve(...both);
      expect(await ask(host().outside.client, protocol, host().ipv4, 8080)).to.equal(client.ipv4);
    });

    it(`answers ${protocol} from the host, at its own address and at 127.0.0.1`, async () => {
      await serve(...both);
      expect(await ask(host(), protocol, host().ipv4, 8080)).to.be.oneOf([host().ipv4, "10.70.0.1"]);
      expect(await ask(host(), protocol, "127.0.0.1", 8080)).to.equal("10.70.0.1");
    });

    it(`answers ${protocol} from the same network, from another one and from the container itself`, async () => {
      const server = await serve(...both);
      const neighbor = await Container.run(host(), { network: "web" });
      const stranger = await Container.run(host(), { network: "other" });
      expect(await ask(neighbor, protocol, host().ipv4, 8080)).to.equal("10.70.0.1");
      expect(await ask(stranger, protocol, host().ipv4, 8080)).to.equal(await stranger.ipv4("other"));
      expect(await ask(server, protocol, host().ipv4, 8080)).to.equal("10.70.0.1");
    });
  }

  it("binds to the host address that -p names", async () => {
    await serve("-p", "127.0.0.1:8081:80", "-p", `${host().ipv4}:8082:80`);
    expect(await ask(host(), "tcp", "127.0.0.1", 8081)).to.equal("10.70.0.1");
    expect(await answers(host().outside.client, "tcp", host().ipv4, 8081)).to.equal(false);
    expect(await ask(host().outside.client, "tcp", host().ipv4, 8082)).to.equal(client.ipv4);
    expect(await answers(host(), "tcp", "127.0.0.1", 8082)).to.equal(false);
  });

  it("binds to host_binding_ipv4 where -p names none", async () => {
    const option = "com.docker.network.bridge.host_binding_ipv4=127.0.0.1";
    await host().docker("network", "create", "-d", driver, "-o", option, "local");
    await Container.run(host(), { network: "local", serve: true }, "-p", "8083:80");
    expect(await ask(host(), "tcp", "127.0.0.1", 8083)).to.be.a("string");
    expect(await answers(host().outside.client, "tcp", host().ipv4, 8083)).to.equal(false);
  });

  it("answers a udp client that sends all the time, from before its port was published, also after a change of containers", async () => {
    await using sender = await SteadySender.start(host().outside.client, host().ipv4, 8080);
    for (const address of ["10.70.0.20", "10.70.0.30"]) {
      const container = await serve("-p", "8080:80/udp", "--ip", address);
      await sender.isAnswered();
      expect((await host().exec("conntrack -L -p udp --orig-port-dst 8080")).stdout).to.contain(`src=${address} `);
      await container.remove();
    }
  });

  it("finds a free port for -p 80 and for a range", async () => {
    await serve("-p", "80", "-p", "9000-9002:80");
    await serve("-p", "9000-9002:80");
    const ports = mappings((await host().exec("nft list map inet tsnet port4")).stdout).map((text) =>
      Number(text.split(" ")[2]),
    );
    expect(ports).to.have.length(3).and.include.members([9000, 9001]);
    for (const port of ports) expect(await ask(host().outside.client, "tcp", host().ipv4, port)).to.equal(client.ipv4);
  });

  it("refuses a port that another container has, in Docker's words, and gives it out when that is gone", async () => {
    const first = await serve(...both);
    const error = await host().dockerError("run", "-d", "--network", "web", "-p", "8080:80", image);
    expect(error).to.include("driver failed programming external connectivity on endpoint");
    expect(error).to.include("Bind for 0.0.0.0:8080 failed: port is already allocated");
    await first.remove();
    await serve(...both);
    expect(await ask(host().outside.client, "tcp", host().ipv4, 8080)).to.equal(client.ipv4);
  });

  for (const protocol of protocols) {
    it(`refuses a ${protocol} port that a process of the host has, and leaves the process alone`, async () => {
      const listen = protocol === "tcp" ? "TCP4-LISTEN:8084,fork,reuseaddr" : "UDP4-RECVFROM:8084,fork";
      const command = ["socat", listen, "SYSTEM:'read _; echo host'"];
      const process_ = await host().namespace.start(command, "/dev/null", process.env);
      await until("the host's process listens", 5_000, async () =>
        (await host().exec(`ss -Hln --${protocol} 'sport = :8084'`)).stdout.includes(":8084"),
      );
      const error = await host().dockerError("run", "-d", "--network", "web", "-p", `8084:80/${protocol}`, image);
      expect(error).to.include("8084").and.include("address already in use");
      expect(await ask(host().outside.client, protocol, host().ipv4, 8084)).to.equal("host");
      process.kill(process_.pid, "SIGKILL");
      await process_.ended;
    });
  }

  it("keeps others off a published port", async () => {
    await serve(...both);
    const listen = await host().exec(
      "timeout 1 socat TCP4-LISTEN:8080,reuseaddr -; timeout 1 socat UDP4-RECV:8080,reuseaddr -",
    );
    expect(listen.stderr.match(/Address already in use/g)).to.have.length(2);
  });

  it("publishes many ports with one container, and takes them all back", async () => {
    const container = await serve("-p", "20000-20099:20000-20099");
    const list = async () => mappings((await host().exec("nft list map inet tsnet port4")).stdout);
    expect(await list())
      .to.have.length(100)
      .and.include("tcp . 20050 : 10.70.0.2 . 20050");
    await container.remove();
    expect(await list()).to.deep.equal([]);
  });

  it("does not let a neighbor with a route reach the container past its published ports", async () => {
    const container = await serve(...both);
    await host().outside.route("10.70.0.0/24", 1);
    expect(await answers(host().outside.client, "tcp", await container.ipv4("web"), 80)).to.equal(false);
    expect(await answers(host().outside.client, "tcp", await container.ipv4("web"), 7)).to.equal(false);
  });
});
