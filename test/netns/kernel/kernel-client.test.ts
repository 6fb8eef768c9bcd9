import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { Kernel } from "../../../src/driver/kernel.ts";
import { explain, TsnetError } from "../../../src/errors.ts";
import { KernelClient } from "../../../src/kernel/kernel-client.ts";
import { Rtnetlink } from "../../../src/kernel/netlink/rtnetlink.ts";
import { Thread } from "../../../src/kernel/thread.ts";
import type { ObservedRoutes } from "../../../src/plan/observed.ts";
import type { Op } from "../../../src/plan/op.ts";
import { expectNoLeftovers, ip, ipJson } from "../../support/netns.ts";

const mark = 0x01000000;
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

async function errorOf(promise: Promise<unknown>): Promise<TsnetError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).to.be.instanceOf(TsnetError);
  return error as TsnetError;
}

describe("KernelClient", () => {
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
  });

  it("observes links as ip shows them", async () => {
    await kernel.apply([bridge, veth(1), { op: "ensure-address", link: "tsb-1", address: "fd00:9::1/64" }, address]);
    ip("link add other type veth peer name other2 mtu 1300");
    ip("link add on-other link other type macvlan mode bridge");
    const { links } = await kernel.observe();
    const all = ipJson("link show");
    const indexOf = (name: unknown): number => all.find(({ ifname }) => ifname === name)?.ifindex ?? 0;
    const shown = all.map((link) => ({
      ...{ index: link.ifindex, name: link.ifname, kind: link.linkinfo?.info_kind ?? "", alias: link.ifalias ?? "" },
      ...{ mac: link.address, mtuBytes: link.mtu, up: link.flags.includes("UP"), group: 0 },
      ...{ carrier: link.flags.includes("LOWER_UP"), master: indexOf(link.master) },
      lower: link.ifname === "on-other" ? indexOf("other") : 0,
      ...(link.ifname === "tsb-1" ? { nfCall: true } : {}),
      ...(link.ifname === "tsv-1" ? { hairpin: true } : {}),
    }));
    expect(links).to.have.deep.members(shown);
    for (const link of shown) expect(await kernel.observeLink(link.name)).to.deep.equal(link);
    expect(await kernel.observeLink("tsv-9")).to.equal(undefined);
  });

  it("observes addresses, and unicast routes of all tables but the local one", async () => {
    await kernel.apply([bridge, address, { op: "ensure-address", link: "tsb-1", address: "fd00:9::1/64" }]);
    ip("route add 10.7.0.0/16 via 10.9.0.2 table 1000");
    ip("route add default dev tsb-1");
    ip("route add blackhole 10.8.0.0/16");
    const { addresses, routes, links } = await kernel.observe();
    const link = links.find(({ name }) => name === "tsb-1")?.index ?? 0;
    expect(addresses).to.deep.include.members([
      { link, address: "10.9.0.1/16" },
      { link, address: "fd00:9::1/64" },
      { link: 1, address: "127.0.0.1/8" },
      { link: 1, address: "::1/128" },
    ]);
    expect(routes.filter((one) => !one.destination.startsWith("fe80"))).to.have.deep.members([
      { destination: "10.9.0.0/16", link, table: 254, protocol: 2, source: "10.9.0.1" },
      { destination: "0.0.0.0/0", link, table: 254, protocol: 3, source: "" },
      { destination: "10.7.0.0/16", link, table: 1000, protocol: 3, source: "" },
      { destination: "fd00:9::/64", link, table: 254, protocol: 2, source: "" },
    ]);
    ip("route del blackhole 10.8.0.0/16");
  });

  it("observes routes by other links than bridges only if all are asked for: there may be 100,000", async () => {
    await kernel.apply([bridge, address]);
    ip("route add 10.6.0.0/16 dev lo");
    const found = async (routes?: ObservedRoutes): Promise<string[]> =>
      (await kernel.observe(routes)).routes.map(({ destination }) => destination).filter((to) => to.startsWith("10."));
    expect(await found()).to.deep.equal(["10.9.0.0/16"]);
    expect(await found("all")).to.have.members(["10.9.0.0/16", "10.6.0.0/16"]);
    ip("route del 10.6.0.0/16");
  });

  it("stops at the first operation that fails, and says which it was", async () => {
    const error = await errorOf(kernel.apply([bridge, { ...address, address: "10.9.0.1/99" } as Op, veth(1)]));
    expect(error).to.include({ code: "kernel", errno: "EINVAL" });
    expect(error.message).to.match(/^ensure-address tsb-1 10\.9\.0\.1\/99: RTM_NEWADDR: EINVAL Invalid argument/);
    expect(ipJson("link show").map((link) => link.ifname)).to.have.members(["lo", "tsb-1"]);
  });

  it("writes a sysctl, of a link with dots in its name too, and takes a missing one only where that is said", async () => {
    ip("link add br-user type bridge");
    ip("link set br-user name a.b");
    try {
      const key = ["net", "ipv4", "conf", "a.b", "route_localnet"];
      await kernel.apply([{ op: "set-sysctl", key, value: "1", optional: false }]);
      expect(readFileSync("/proc/sys/net/ipv4/conf/a.b/route_localnet", "utf8")).to.equal("1\n");
    } finally {
      ip("link del a.b");
    }
    await kernel.apply([{ op: "set-sysctl", key: ["net", "nothing"], value: "1", optional: true }]);
    const missing = await errorOf(
      kernel.apply([{ op: "set-sysctl", key: ["net", "nothing"], value: "1", optional: false }]),
    );
    expect(missing.errno).to.equal("ENOENT");
    expect(missing.message).to.match(/^set-sysctl net\/nothing = 1: /);
  });

  for (const part of ["..", ".", "", "a/b"]) {
    it(`refuses ${JSON.stringify(part)} as a part of a sysctl's path, also of an optional one`, async () => {
      const key = ["net", part, "ip_forward"];
      const error = await errorOf(kernel.apply([{ op: "set-sysctl", key, value: "1", optional: true }]));
      expect(error.code).to.equal("invalid");
    });
  }

  it("counts only mounted namespaces as sandboxes", async () => {
    const directory = mkdtempSync(join(tmpdir(), "tsnet-sandboxes-"));
    const [live, dead, gone] = ["live", "dead", "gone"].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    try {
      for (const path of [live, dead]) writeFileSync(path, "");
      execFileSync("mount", ["--bind", "/proc/self/ns/net", live]);
      try {
        expect(await kernel.observeSandboxes([gone, live, dead, `${dead}/x`])).to.deep.equal([live]);
      } finally {
        execFileSync("umount", [live]);
      }
      expect(await kernel.observeSandboxes([live])).to.deep.equal([]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it("reads the range of ephemeral ports", async () => {
    writeFileSync("/proc/sys/net/ipv4/ip_local_port_range", "40000 41000");
    try {
      expect(await kernel.observeEphemeralPorts()).to.deep.equal({ first: 40000, last: 41000 });
    } finally {
      writeFileSync("/proc/sys/net/ipv4/ip_local_port_range", "32768 60999");
    }
  });

  it("passes the index of a refused port through unchanged", async () => {
    const port = { protocol: "tcp", address: "127.0.0.1", port: 8099, count: 1, target: null, sources: [] } as const;
    await kernel.reservePorts([port]);
    const error = await errorOf(kernel.reservePorts([{ ...port, port: 8098 }, port]));
    expect(error).to.include({ code: "conflict", message: "1" });
    await kernel.releasePorts([port]);
    await kernel.reservePorts([port]);
  });

  it("rejects every call after it was closed, and closes twice", async () => {
    const before = kernel.observe();
    await Promise.all([client.close(), client.close()]);
    expect((await before).links).not.to.deep.equal([]);
    expect((await errorOf(kernel.observe())).message).to.contain("closed");
  });

  it("rejects all calls, and says so once, when its thread dies", async () => {
    const program = new URL("../../support/dying-kernel-worker.ts", import.meta.url);
    const dying = await KernelClient.open({ mark }, { kernel: program });
    const exits: TsnetError[] = [];
    dying.onExit((error) => exits.push(error));
    const [first, second] = await Promise.all([errorOf(dying.observe()), errorOf(dying.apply([]))]);
    for (const error of [first, second, await errorOf(dying.observe())]) {
      expect(explain(error)).to.equal("the kernel thread has ended: restart tsnet: out of luck");
    }
    expect(exits).to.deep.equal([first]);
    await dying.close();
  });

  it("is closed, too, when its thread dies meanwhile", async () => {
    const program = new URL("../../support/dying-kernel-worker.ts", import.meta.url);
    const options = { settings: undefined, resourceLimits: {}, onEnd: () => {} };
    const thread = new Thread<{ observe(): void }>({ name: "a thread", program, ...options });
    const last = errorOf(thread.call("observe"));
    await thread.close(last.then(() => {}));
    expect(explain(await last)).to.equal("a thread has ended: restart tsnet: out of luck");
  });

  it("does not open a second time on one host", async () => {
    const error = await errorOf(KernelClient.open({ mark }));
    expect(error.code).to.equal("conflict");
    expect(error.message).to.contain("another tsnet runs on this host").and.contain("inet tsnet-hold");
  });
});

describe("Rtnetlink in another namespace", () => {
  expectNoLeftovers();

  it("works there, and leaves this thread where it was", () => {
    ip("netns add box");
    try {
      const inside = new Rtnetlink("/run/netns/box");
      inside.createLink("only-there", { attributes: [[18, [[1, Buffer.from("bridge\0")]]]] });
      inside.close();
      expect(ip("-n box -br link show only-there")).to.contain("only-there");
      expect(ipJson("link show").map((link) => link.ifname)).to.deep.equal(["lo"]);
      const here = new Rtnetlink();
      expect(here.listLinks().map(({ name }) => name)).to.deep.equal(["lo"]);
      here.close();
    } finally {
      ip("netns del box");
    }
  });

  it("names the file that is no namespace", () => {
    expect(() => new Rtnetlink("/run/netns/nothing")).to.throw("open /run/netns/nothing: ENOENT");
    expect(() => new Rtnetlink("/etc/passwd")).to.throw("setns: EINVAL");
  });
});
