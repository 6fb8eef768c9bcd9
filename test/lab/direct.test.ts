/** Packets between containers of hosts on one segment go without a tunnel, those to a host behind a router with one. */
import { readFileSync } from "node:fs";
import { expect } from "chai";
import type { Container } from "../support/container.ts";
import type { Host } from "../support/host.ts";
import { namespacesOf } from "../support/lab.ts";
import { Capture, type Tunnelled, tunnelled } from "../support/lab-capture.ts";
import { vniOf } from "../support/lab-places.ts";
import { useLab } from "../support/lab-suite.ts";
import { undisturbed } from "../support/lab-traffic.ts";
import { router } from "../support/outside.ts";
import { until } from "../support/poll.ts";
import { ask, everything, reachable, reached } from "../support/probe.ts";

/** A way is tried again after half a second, then more and more rarely, and at least every 30 s. */
const changeMs = 60_000;

/** The routing table of ours. */
const table = 7631726;

/** The addresses of endpoints that a host turns over to its routing, as nft lists them. */
async function direct(host: Host): Promise<string[]> {
  const namespaces = (await namespacesOf(host)).filter((name) => name !== "tsnet-probe");
  const lists = namespaces.map((name) => host.sh(`ip netns exec ${name} nft -j list ruleset`));
  return (await Promise.all(lists)).flatMap(elements).sort();
}

interface Listed {
  readonly set?: { readonly name: string; readonly elem?: readonly { readonly concat: readonly string[] }[] };
}

const elements = (json: string): string[] =>
  (JSON.parse(json).nftables as Listed[])
    .flatMap(({ set }) => (set?.name.startsWith("direct") ? (set.elem ?? []) : []))
    .map(({ concat }) => concat[1] ?? "");

/** The destinations in our routing table. */
async function routed(host: Host): Promise<string[]> {
  const families = await Promise.all(["-4", "-6"].map((family) => host.ip(`${family} route show table ${table}`)));
  return families
    .flat()
    .map(({ dst }) => dst)
    .sort();
}

const isDirect = (host: Host, addresses: readonly string[]): Promise<unknown> =>
  until(`host ${host.number} sends to ${addresses} without a tunnel`, changeMs, async () => {
    const now = await direct(host);
    return `${now}` === `${[...addresses].sort()}`;
  });

const addressesOf = async (...containers: readonly Container[]): Promise<string[]> =>
  (await Promise.all(containers.flatMap((one) => [one.ipv4("mesh"), one.ipv6("mesh")]))).sort();

/** What the plugin has said of the ways to hosts. */
const said = (host: Host): { level: number; host: string; reason?: string; msg: string }[] =>
  readFileSync(host.plugin.logFile, "utf8")
    .split("\n")
    .filter((line) => line.includes("packets to this host"))
    .map((line) => JSON.parse(line));

describe("the short way between hosts of one segment", () => {
  const lab = useLab({ plane: "etcd", third: "far" });

  /** Of the network: hosts also look at each other, by a VNI of their own. */
  const inTunnel = async (work: () => Promise<unknown>): Promise<Tunnelled[]> => {
    const vni = await vniOf(lab().host(1), "mesh");
    return (await tunnelled(lab(), work)).filter((frame) => frame.vni === vni);
  };
  const talk = async (from: Container, ...to: readonly Container[]): Promise<void> => {
    for (const address of await addressesOf(...to)) {
      expect(await reached(from, address), address).to.deep.equal(everything);
      expect(await ask(from, "tcp", address)).to.equal(
        address.includes(":") ? await from.ipv6("mesh") : await from.ipv4("mesh"),
      );
    }
  };
  const unicast = (frames: readonly Tunnelled[]): string[] =>
    frames.filter(({ frame }) => /ethertype IPv4|tcp|UDP/.test(frame)).map(({ from, to }) => `${from} > ${to}`);

  /** A server on each host, when hosts 1 and 2 send to each other without a tunnel. */
  const servers = async (): Promise<[Container, Container, Container]> => {
    await lab().network("mesh");
    const [one, two, three] = (await lab().servers("mesh")) as [Container, Container, Container];
    await isDirect(lab().host(1), await addressesOf(two));
    await isDirect(lab().host(2), await addressesOf(one));
    return [one, two, three];
  };

  it("is without a tunnel, and without NAT, in both families; to a host behind a router there is one", async () => {
    const [one, two, three] = await servers();
    const [near, far] = [lab().host(1), lab().host(3)];
    const [ip1, ip2] = [await one.ipv4("mesh"), await two.ipv4("mesh")];
    await using capture = await Capture.start(near, "eth0", `tcp and host ${ip1} and host ${ip2}`);
    expect(unicast(await inTunnel(() => talk(one, two)))).to.deep.equal([]);
    expect(capture.lines.filter((line) => line.includes("Flags [S]"))).to.have.length.greaterThan(0);
    const tracked = await near.exec(`conntrack -L 2>/dev/null | grep -c ${ip2}`);
    expect(tracked.stdout.trim()).to.equal("0");
    const pairs = new Set(unicast(await inTunnel(() => talk(one, three))));
    expect(pairs).to.deep.equal(new Set([`${near.ipv4} > ${far.ipv4}`, `${far.ipv4} > ${near.ipv4}`]));
    expect(await direct(far)).to.deep.equal([]);
    const reasons = (host: Host) => said(near).flatMap((line) => (line.host === host.ipv4 ? [line.reason] : []));
    expect(reasons(far)).to.deep.equal([`it is behind the router ${router.ipv4}`]);
    expect(reasons(lab().host(2)).at(-1)).to.equal(undefined);
  });

  it("changes over ten times and loses nothing", async () => {
    const [one, two] = await servers();
    const host = lab().host(1);
    const connections = [
      { from: one, to: two, address: await two.ipv4("mesh") },
      { from: two, to: one, address: await one.ipv6("mesh") },
    ];
    const addresses = await addressesOf(two);
    await undisturbed(connections, async () => {
      for (let n = 0; n < 10; n++) {
        await host.sh(`ip route add ${lab().host(2).ipv4}/32 via ${router.ipv4} dev eth0`);
        await isDirect(host, []);
        await until("no route is left", changeMs, async () => (await routed(host)).length === 0);
        await host.sh(`ip route del ${lab().host(2).ipv4}/32 via ${router.ipv4} dev eth0`);
        await isDirect(host, addresses);
      }
    });
  });

  it("is not taken where something in between stops it", async () => {
    const [one, two] = [lab().host(1), lab().host(2)];
    await two.sh("iptables -I DOCKER-USER -i eth0 -s 10.5.0.0/24 -j DROP");
    await lab().network("mesh");
    const [first, second] = (await lab().servers("mesh")) as [Container, Container];
    await isDirect(one, [await second.ipv6("mesh")]);
    await talk(first, second);
    expect(await direct(one)).to.deep.equal([await second.ipv6("mesh")]);
    await two.sh("iptables -D DOCKER-USER -i eth0 -s 10.5.0.0/24 -j DROP");
    await isDirect(one, await addressesOf(second));
    await talk(first, second);
  });

  it("is left, when something in between begins to stop it", async () => {
    const [one, two] = await servers();
    await lab().host(2).sh("iptables -I DOCKER-USER -i eth0 -s 10.5.0.0/24 -j DROP");
    expect(await reachable(one, await two.ipv4("mesh"))).to.deep.equal([]);
    await isDirect(lab().host(1), [await two.ipv6("mesh")]);
    await talk(one, two);
    await lab().host(2).sh("iptables -D DOCKER-USER -i eth0 -s 10.5.0.0/24 -j DROP");
  });

  it("is repaired", async () => {
    const [one, two] = await servers();
    const host = lab().host(1);
    const addresses = await addressesOf(two);
    const repaired = (): Promise<unknown> =>
      until("routes are back", changeMs, async () => `${await routed(host)}` === `${addresses}`);
    const flushed = await host.sh(`ip -s route flush table ${table}; ip -6 -s route flush table ${table}`);
    expect(flushed.match(/deleting 1 entries/g)).to.have.length(2);
    await repaired();
    await host.sh(`ip rule del priority 116; ip rule del priority 116`);
    await until("rules are back", changeMs, async () => (await host.sh("ip rule")).includes(`lookup ${table}`));
    const [name = ""] = (await namespacesOf(host)).filter((one) => one !== "tsnet-probe");
    await host.sh(`ip netns exec ${name} nft flush ruleset`);
    await isDirect(host, addresses);
    await talk(one, two);
  });

  it("is nobody else's: what comes from other networks is shut out as before", async () => {
    const [, two] = await servers();
    const host = lab().host(1);
    await host.docker("network", "create", "-d", "tsnet", "other");
    const other = await lab().run(1, { network: "other" });
    const address = await two.ipv4("mesh");
    expect(await reachable(other, address)).to.deep.equal([]);
    expect(await reachable(lab().outside.client, address)).to.deep.equal([]);
    await lab().outside.router.exec(`ip route add 10.5.0.0/24 via ${lab().host(2).ipv4}`);
    expect(await reachable({ enter: lab().outside.router.enter }, address)).to.deep.equal([]);
    await lab().outside.router.exec("ip route del 10.5.0.0/24");
  });

  it("is said not to be there, with tsnet.datapath=direct; and is none with tsnet.datapath=vxlan", async () => {
    await lab().network("mesh", "-o", "tsnet.datapath=direct");
    const [one, two, three] = (await lab().servers("mesh")) as [Container, Container, Container];
    await isDirect(lab().host(1), await addressesOf(two));
    await talk(one, two, three);
    const warned = said(lab().host(1)).filter(({ level }) => level === 40);
    expect(warned.map(({ host }) => host)).to.deep.equal([lab().host(3).ipv4]);
    for (const container of [one, two, three]) await container.remove();
    for (const host of lab().hosts) await host.docker("network", "rm", "mesh");
    await lab().network("mesh", "-o", "tsnet.datapath=vxlan");
    const [first, second] = (await lab().servers("mesh")) as [Container, Container];
    expect(unicast(await inTunnel(() => talk(first, second)))).to.have.length.greaterThan(0);
    expect(await routed(lab().host(1))).to.deep.equal([]);
    expect(await direct(lab().host(1))).to.deep.equal([]);
  });

  it("leaves no rule and no route", async () => {
    const [one, two, three] = await servers();
    const host = lab().host(1);
    expect(await routed(host)).to.deep.equal(await addressesOf(two));
    for (const container of [one, two, three]) await container.remove();
    await until("no route is left", changeMs, async () => (await routed(host)).length === 0);
    expect(await host.sh("ip rule; ip -6 rule")).not.to.include(`${table}`);
    expect(await host.sh("nft list set inet tsnet direct4")).not.to.include("elements");
  });
});
