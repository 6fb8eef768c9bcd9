import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect } from "chai";
import type { Kernel, KernelChange } from "../../../src/driver/kernel.ts";
import { KernelClient } from "../../../src/kernel/kernel-client.ts";
import type { Op } from "../../../src/plan/op.ts";
import { expectNoLeftovers, ip, ipJson } from "../../support/netns.ts";
import { until } from "../../support/poll.ts";

const mark = 0x01000000;
const deadlineMs = 2000;

const bridge: Op = {
  ...{ op: "ensure-bridge", name: "tsb-1", alias: "tsnet:bridge:1", mac: "02:42:ac:12:00:01" },
  ...{ mtuBytes: null, nfCall: true },
};
const veth = (id: number): Op => ({
  ...{
    op: "ensure-veth",
    name: `tsv-${id}`,
    peer: `tsc-${id}`,
    alias: `tsnet:veth:${id}`,
    peerAlias: `tsnet:peer:${id}`,
  },
  ...{ master: "tsb-1", mtuBytes: null, hairpin: true },
});
const address: Op = { op: "ensure-address", link: "tsb-1", address: "10.9.0.1/16" };
const remove = (name: string, alias: string): Op => ({ op: "remove-links", links: [{ name, alias }] });

/** How many messages of rtnetlink the kernel has dropped, of all sockets there are: their readers were too slow. */
const lost = (): number =>
  readFileSync("/proc/net/netlink", "utf8")
    .trim()
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/ +/))
    .reduce((sum, [, protocol, , , , , , , drops]) => sum + (protocol === "0" ? Number(drops) : 0), 0);

describe("KernelClient.watch", () => {
  let client: KernelClient;
  let kernel: Kernel;
  expectNoLeftovers(async () => {
    await client.close();
    for (const name of ["tsv-1", "tsb-1", "br-user", "other"]) {
      if (ipJson("link show").some((link) => link.ifname === name)) ip(`link del ${name}`);
    }
  });
  beforeEach(async () => {
    client = await KernelClient.open({ mark });
    kernel = client;
    await kernel.apply([bridge, address, veth(1)]);
    changes = [];
    kernel.watch((change) => changes.push(change));
  });

  let changes: KernelChange[];
  const told = (what: KernelChange["what"], name = ""): Promise<KernelChange> =>
    until(`a change of ${what} ${name}`, deadlineMs, () =>
      changes.find((change) => change.what === what && (change.what !== "link" || change.link.name === name)),
    );

  it("tells of links of ours that others change or delete", async () => {
    ip("link set tsv-1 nomaster");
    expect(
      await until("no master", deadlineMs, () =>
        changes.find((one) => one.what === "link" && one.link.name === "tsv-1" && one.link.master === 0),
      ),
    ).to.include({ removed: false });
    ip("link del tsv-1");
    await until("removed", deadlineMs, () =>
      changes.some((one) => one.what === "link" && one.removed && one.link.name === "tsv-1"),
    );
  });

  it("tells of a bridge of others', and not of other links", async () => {
    ip("link add other type veth peer name other2");
    ip("link add br-user type bridge");
    expect(await told("link", "br-user")).to.deep.include({ removed: false });
    expect(changes.filter((one) => one.what === "link" && one.link.name.startsWith("other"))).to.deep.equal([]);
  });

  for (const [what, command] of [
    ["an address", "addr del 10.9.0.1/16 dev tsb-1"],
    ["the route of an address", "route del 10.9.0.0/16 dev tsb-1"],
  ] as const) {
    it(`tells that a bridge lost ${what}`, async () => {
      ip(command);
      await told("addresses");
    });
  }

  it("tells of links that it is to follow, whoever made them, and of their addresses", async () => {
    await kernel.follow(["other"]);
    ip("link add other type veth peer name other2");
    await told("link", "other");
    ip("addr add 192.0.2.1/24 dev other");
    await told("addresses");
  });

  it("tells which links of ours are in sandboxes, and which are none", async () => {
    ip("netns add box");
    try {
      ip("link set tsc-1 netns box name eth0");
      const [gone, inBox] = await kernel.observeSandboxLinks(["/run/netns/gone", "/run/netns/box"]);
      expect(gone).to.equal(null);
      expect(inBox?.map(({ name, alias }) => ({ name, alias }))).to.deep.equal([
        { name: "eth0", alias: "tsnet:peer:1" },
      ]);
    } finally {
      ip("link del tsv-1"); // the namespace would take it along some time later
      ip("netns del box");
    }
  });

  /** Makes an event behind all others: when it is told, so were they. */
  const passEvents = async (): Promise<void> => {
    ip("link add br-user type bridge");
    await told("link", "br-user");
    ip("link del br-user");
    await until("its deletion", deadlineMs, () => changes.some((one) => one.what === "link" && one.removed));
  };

  it("tells nothing of links that are taken out of use, nor of their deletion", async () => {
    await passEvents();
    changes.length = 0;
    await kernel.apply([remove("tsv-1", "tsnet:veth:1"), remove("tsb-1", "tsnet:bridge:1")]);
    await kernel.flushRemovedLinks();
    await passEvents();
    const others = changes.filter((one) => one.what !== "link" || !["br-user", "tsc-1"].includes(one.link.name));
    expect(others).to.deep.equal([]);
  });

  it("tells of others' changes to our table, and not of its own", async () => {
    await kernel.apply([{ op: "run-nft", script: "add table inet tsnet" }]);
    await passEvents();
    expect(changes.map(({ what }) => what)).not.to.include("firewall");
    execFileSync("nft", ["delete", "table", "inet", "tsnet"]);
    await told("firewall");
  });

  it("says that everything may have changed when messages were lost", async () => {
    const lines = Array.from({ length: 6000 }, (_, n) => `link set tsb-1 mtu ${1000 + (n % 400)}`);
    const before = lost();
    for (let round = 0; round < 5; round++) {
      // while it does this one long call, the thread cannot read events
      const busy = kernel.observeSandboxes(Array.from({ length: 400_000 }, () => "/nothing/here"));
      execFileSync("ip", ["-batch", "-"], { input: lines.join("\n") });
      const isEnough = lost() > before; // not if ip took longer than the call
      await busy;
      if (isEnough) break;
    }
    await told("everything");
  });
});
