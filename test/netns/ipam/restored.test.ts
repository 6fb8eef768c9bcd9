import { readFileSync } from "node:fs";
import { expect } from "chai";
import { Caller } from "../../support/caller.ts";
import { EtcdServer } from "../../support/etcd.ts";
import { EtcdProxy } from "../../support/etcd-proxy.ts";
import { IpamHost } from "../../support/ipam-host.ts";
import { until } from "../../support/poll.ts";

const waitMs = 10_000;
const pool = { AddressSpace: "tsnet-local", Pool: "10.5.0.0/24", Options: { "tsnet.shared": "true" }, V6: false };

describe("hosts that share pools in etcd", function () {
  this.timeout(60_000);

  it("say that two have the same ID", async () => {
    await using etcd = await EtcdServer.start();
    await using one = await IpamHost.start("twin", etcd.url);
    await using other = await IpamHost.start("twin", etcd.url);
    for (const { logFile } of [one, other]) {
      await until("it is said", waitMs, () => readFileSync(logFile, "utf8").includes("by the same host ID"));
    }
  });

  it("put back what they hold when etcd was made anew", async () => {
    await using etcd = await EtcdServer.start();
    await using anew = await EtcdServer.start();
    await using proxy = await EtcdProxy.start(etcd.url);
    await using host = await IpamHost.start("a", proxy.url);
    using caller = await Caller.open(host.socket);
    const take = async () =>
      (await caller.call("IpamDriver.RequestAddress", { PoolID: "tsnet-shared/10.5.0.0/24", Address: "" })) as object;
    await caller.call("IpamDriver.RequestPool", pool);
    expect(await take()).to.include({ Address: "10.5.0.1/24" });
    proxy.target = anew.url;
    proxy.cut();
    const key = btoa("/tsnet/lease/tsnet-shared/10.5.0.1");
    await until("it is put back", waitMs, async () => (await anew.call("/v3/kv/range", { key }))["kvs"] !== undefined);
    expect(await take()).to.include({ Address: "10.5.0.2/24" });
    expect(readFileSync(host.logFile, "utf8")).to.contain("etcd has lost what this host holds");
  });
});
