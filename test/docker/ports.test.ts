import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { image } from "../support/image.ts";
import { mappedPorts } from "../support/mappings.ts";
import { client } from "../support/outside.ts";
import { driver } from "../support/plugin.ts";
import { until } from "../support/poll.ts";
import { answers, ask, type Protocol, SteadySender } from "../support/probe.ts";

const protocols: readonly Protocol[] = ["tcp", "udp"];

describe("docker run -p on tsnet networks", () => {
  const host = useHost();
  beforeEach(async () => {
    await host().docker("network", "create", "-d", driver, "--subnet", "10.70.0.0/24", "web");
  });
  const serve = (...args: string[]) => Container.run(host(), { network: "web", serve: true }, ...args);
  const both = ["-p", "8080:80/tcp", "-p", "8080:80/udp"];

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
    const ports = await mappedPorts(host());
    expect(ports).to.have.length(3).and.include.members([9000, 9001]);
    for (const port of ports) expect(await ask(host().outside.client, "tcp", host().ipv4, port)).to.equal(client.ipv4);
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
});
