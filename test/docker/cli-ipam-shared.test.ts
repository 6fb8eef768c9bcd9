/** The command tsnet ipam on two real Docker hosts that share a pool in etcd. */
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { Container } from "../support/container.ts";
import { expectNothingLeft, removeAll, useHost } from "../support/docker-suite.ts";
import { Host } from "../support/host.ts";
import { startEtcd } from "../support/host-etcd.ts";
import { until } from "../support/poll.ts";

const program = fileURLToPath(new URL("../../src/cli/tsnet", import.meta.url));

describe("the command tsnet ipam on Docker hosts that share a pool", () => {
  let beta: Host;
  // before the first host, whose network it is in; etcd ends with that
  after(() => beta?.[Symbol.asyncDispose]());
  const alpha = useHost();

  before("etcd, and a second host", async () => {
    const url = await startEtcd(alpha());
    beta = await Host.start([], { outside: alpha().outside, number: 2 });
    for (const [host, id] of [[alpha(), "alpha"] as const, [beta, "beta"] as const]) {
      await host.plugin.stop();
      await host.plugin.start({ TSNET_ETCD_ENDPOINTS: url, TSNET_HOST_ID: id });
    }
  });

  const rowsOf = async (host: Host, words: string): Promise<string[][]> =>
    (await host.sh(`DOCKER_HOST=unix://${host.socket} ${program} ${words}`))
      .split("\n")
      .map((line) => line.trim().split(/ {3,}/));

  it("shows the hosts of a pool, and which of them holds an address", async () => {
    const form = ["--subnet", "10.90.0.0/24", "--gateway", "10.90.0.1", "--ipam-opt", "tsnet.shared=true"];
    for (const host of [alpha(), beta]) {
      await host.docker("network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", ...form, "lan");
    }
    const one = await Container.run(alpha(), { network: "lan" }, "--name", "one");
    const two = await Container.run(beta, { network: "lan" }, "--name", "two");
    const [first, second] = [await one.ipv4("lan"), await two.ipv4("lan")];
    expect([first, second]).to.deep.equal(["10.90.0.2", "10.90.0.3"]);

    const id = "tsnet-shared/10.90.0.0/24";
    const pool = [id, "lan", "2", "256", "3", "0", "251", "1.1%"];
    const held = async (host: Host): Promise<string[][]> =>
      (await rowsOf(host, "ipam show lan"))
        .slice(3, 6)
        .map(([address = "", holder = "", , where = ""]) => [address, holder, where]);
    const nameOf = async (host: Host) => (await host.sh("hostname")).trim();
    const [a, b] = [`${await nameOf(alpha())} (alpha)`, `${await nameOf(beta)} (beta)`];
    for (const [host, holders] of [
      [alpha(), ["one", `host ${b}`]],
      [beta, [`host ${a}`, "two"]],
    ] as const) {
      // a host sees what another one did a moment later
      await until("both hosts have the pool", 5_000, async () => (await rowsOf(host, "ipam"))[1]?.[4] === "3");
      expect(await rowsOf(host, "ipam")).to.deep.include(pool);
      expect(await held(host)).to.deep.equal([
        ["10.90.0.1", "gateway", `${a}, ${b}`],
        [first, holders[0], a],
        [second, holders[1], b],
      ]);
    }
    await removeAll(beta);
    await expectNothingLeft(beta);
    await until("beta is gone from it", 5_000, async () => (await rowsOf(alpha(), "ipam"))[1]?.[2] === "1");
    expect(await held(alpha())).to.deep.include(["10.90.0.1", "gateway", a]);
  });
});
