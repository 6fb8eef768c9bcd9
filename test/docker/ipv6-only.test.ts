import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { client } from "../support/outside.ts";
import { driver } from "../support/plugin.ts";
import { answers, ask, everything, ping, reached } from "../support/probe.ts";

/** Docker 28, the first version that can leave IPv4 out of a network. */
const firstApiVersion = 1.48;

describe("networks with IPv6 only", () => {
  const host = useHost();
  before(async function () {
    const { ApiVersion } = await host().dockerd.api("GET", "/version");
    if (Number(ApiVersion) < firstApiVersion) this.skip();
  });
  const create = (name: string, ...args: string[]) =>
    host().docker("network", "create", "-d", driver, "--ipv4=false", "--ipv6", ...args, name);

  it("connect containers with each other, the outside and whoever asks for a published port", async () => {
    await host().outside.serve();
    await create("six", "--subnet", "fd00:86::/64");
    const a = await Container.run(host(), { network: "six", serve: true }, "--name", "alpha", "-p", "8080:80");
    const b = await Container.run(host(), { network: "six" });
    expect(await b.ipv4("six")).to.equal("");
    expect(await reached(b, await a.ipv6("six"))).to.deep.equal(everything);
    expect((await b.execInside("ping", "-c", "1", "-W", "2", "alpha")).stdout).to.include("1 packets received");
    expect(await ask(b, "tcp", client.ipv6)).to.equal(host().ipv6);
    expect(await ask(host().outside.client, "tcp", host().ipv6, 8080)).to.equal(client.ipv6);
    expect(await ask(host(), "tcp", "::1", 8080)).to.equal("fd00:86::1");
    expect(await ask(a, "tcp", host().ipv6, 8080)).to.equal("fd00:86::1");
    expect(await answers(host().outside.client, "tcp", host().ipv4, 8080)).to.equal(false);
  });

  it("get a subnet of their own from the plugin's IPAM", async () => {
    await create("pool", "--ipam-driver", "tsnet");
    const a = await Container.run(host(), { network: "pool" });
    const b = await Container.run(host(), { network: "pool" });
    await ping(b, await a.ipv6("pool"));
  });
});
