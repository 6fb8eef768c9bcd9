/** What becomes of those who follow when etcd is restored from a backup, or made anew. */
import { expect } from "chai";
import { EtcdServer } from "../../support/etcd.ts";
import { useEtcdFollowers } from "../../support/etcd-followers.ts";
import { EtcdProxy } from "../../support/etcd-proxy.ts";
import { until } from "../../support/poll.ts";
import { put } from "../../support/store-changes.ts";

/** More than the longest pause between two attempts. */
const backMs = 5_000;

describe("A follower of an EtcdStore", () => {
  const followers = useEtcdFollowers("restored");
  const { openStore } = followers;
  let { server, mirror, reported } = followers;
  beforeEach(() => {
    ({ server, mirror, reported } = followers);
  });

  it("does not wait for a revision that etcd will not have for long, once it has been made anew", async () => {
    await using anew = await EtcdServer.start();
    await using proxy = await EtcdProxy.start(server.url);
    const writer = await openStore();
    for (let n = 0; n < 20; n++) await writer.commit([put("old", { n })]);
    const other = await openStore({ endpoints: [anew.url] });
    const { ready } = (await openStore({ endpoints: [proxy.url] })).follow("network", mirror);
    await ready;
    proxy.decide = (path) => {
      if (path === "/v3/watch") proxy.target = anew.url;
      return "pass";
    };
    proxy.cut();
    await until("etcd is another one", backMs, () => proxy.target === anew.url);
    await other.commit([put("new", {})]);
    await until("it is told", backMs, () => mirror.values.has("new") && !mirror.values.has("old"));
    expect(reported.map((error) => error?.message).join()).to.contain("etcd has gone back");
  });

  it("says that etcd has gone back, and has what it has then", async () => {
    await using anew = await EtcdServer.start();
    await using proxy = await EtcdProxy.start(server.url);
    const writer = await openStore();
    for (let n = 0; n < 20; n++) await writer.commit([put("old", { n })]);
    await (await openStore({ endpoints: [anew.url] })).commit([put("new", {})]);
    await (await openStore({ endpoints: [proxy.url] })).follow("network", mirror).ready;
    await writer.commit([put("watched", {})]);
    await until("it watches", backMs, () => mirror.values.has("watched"));
    proxy.target = anew.url;
    proxy.cut();
    await until("it is told", backMs, () => mirror.values.has("new") && !mirror.values.has("old"));
    await until("it goes on", backMs, () => reported.at(-1) === null);
    const [lost = "", gone = "", ...more] = reported.map((error) => error?.message ?? "back");
    expect(more).to.deep.equal(["back"]);
    expect(lost).to.contain("etcd cannot be reached");
    expect(gone).to.match(/^etcd has gone back from revision \d+ to 2: it was restored from a backup, or made anew/);
  });
});
