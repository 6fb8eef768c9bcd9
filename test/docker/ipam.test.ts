import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { image } from "../support/image.ts";
import { driver } from "../support/plugin.ts";
import { everything, ping, reached } from "../support/probe.ts";

describe("docker network create --ipam-driver tsnet", () => {
  const host = useHost();
  const create = (name: string, ...args: string[]) =>
    host().docker("network", "create", "-d", driver, "--ipam-driver", "tsnet", ...args, name);
  const subnetOf = async (name: string): Promise<string> => {
    const [{ IPAM }] = JSON.parse(await host().docker("network", "inspect", name));
    return IPAM.Config[0].Subnet;
  };

  it("gives each network a subnet of its own, and each container an address of it", async () => {
    await create("one");
    await create("two");
    expect(await subnetOf("one")).to.not.equal(await subnetOf("two"));
    const [a, b] = await Promise.all([
      Container.run(host(), { network: "one", serve: true }),
      Container.run(host(), { network: "one" }),
    ]);
    expect(await reached(b, await a.ipv4("one"))).to.deep.equal(everything);
    await ping(b, "203.0.113.10");
  });

  it("gives the subnet, the gateway and the addresses that were asked for", async () => {
    await create("asked", "--subnet", "10.74.0.0/24", "--gateway", "10.74.0.254", "--ip-range", "10.74.0.128/25");
    const a = await Container.run(host(), { network: "asked" }, "--ip", "10.74.0.7");
    const b = await Container.run(host(), { network: "asked" });
    expect(await a.ipv4("asked")).to.equal("10.74.0.7");
    expect(await b.ipv4("asked")).to.match(/^10\.74\.0\.1(2[89]|[3-9]\d)$/);
    expect((await b.ip("route")).find(({ dst }: { dst: string }) => dst === "default")?.gateway).to.equal(
      "10.74.0.254",
    );
    const taken = await host().dockerError("run", "-d", "--network", "asked", "--ip", "10.74.0.7", image);
    expect(taken).to.include("10.74.0.7");
  });

  it("gives IPv6 addresses too", async () => {
    await create("dual", "--ipv6", "--subnet", "10.75.0.0/24", "--subnet", "fd00:75::/64");
    const a = await Container.run(host(), { network: "dual" });
    const b = await Container.run(host(), { network: "dual" });
    await ping(b, await a.ipv6("dual"));
    await ping(b, await a.ipv4("dual"));
  });

  it("refuses a subnet that overlaps with another, and names it", async () => {
    await create("first", "--subnet", "10.76.0.0/16");
    const error = await host().dockerError(
      "network",
      "create",
      "-d",
      driver,
      "--ipam-driver",
      "tsnet",
      "--subnet",
      "10.76.3.0/24",
      "x",
    );
    expect(error).to.include("10.76.0.0/16").and.include("10.76.3.0/24");
  });

  it("remembers pools and addresses when the plugin restarts", async () => {
    await create("kept", "--subnet", "10.77.0.0/29");
    const a = await Container.run(host(), { network: "kept" });
    await host().plugin.restart();
    const b = await Container.run(host(), { network: "kept" });
    expect(await b.ipv4("kept")).to.not.equal(await a.ipv4("kept"));
    const error = await host().dockerError(
      "network",
      "create",
      "-d",
      driver,
      "--ipam-driver",
      "tsnet",
      "--subnet",
      "10.77.0.0/24",
      "x",
    );
    expect(error).to.include("10.77.0.0/29");
    await ping(b, await a.ipv4("kept"));
  });

  it("says which pool is full, and gives an address out again that came back", async () => {
    await create("small", "--subnet", "10.78.0.0/30");
    const a = await Container.run(host(), { network: "small" });
    expect(await host().dockerError("run", "-d", "--network", "small", image)).to.include("10.78.0.0/30");
    const address = await a.ipv4("small");
    await a.remove();
    const b = await Container.run(host(), { network: "small" });
    expect(await b.ipv4("small")).to.equal(address);
  });

  it("serves Docker's own bridge driver as well", async () => {
    await host().docker(
      "network",
      "create",
      "-d",
      "bridge",
      "--ipam-driver",
      "tsnet",
      "--subnet",
      "10.79.0.0/24",
      "theirs",
    );
    const a = await Container.run(host(), { network: "theirs" });
    expect(await a.ipv4("theirs")).to.match(/^10\.79\.0\.\d+$/);
  });
});
