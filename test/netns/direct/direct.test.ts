/**
 * The short way with real packets: this process's namespace is a host with a container in an overlay network, whose neighbor on a segment
 * has an endpoint of it, and no tunnel: what is not answered went into one.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { expect } from "chai";
import { KernelClient } from "../../../src/kernel/kernel-client.ts";
import { containerVethName, gatewayPortName, namespaceName } from "../../../src/net/names.ts";
import { directElements, localElements, planDirectEndpoint, wayTo } from "../../../src/plan/direct.ts";
import { compareDirect, type DirectState, planDirectChange } from "../../../src/plan/direct-change.ts";
import { planLeftRoutes } from "../../../src/plan/direct-left.ts";
import { wantedElements } from "../../../src/plan/firewall.ts";
import { tableScript } from "../../../src/plan/firewall-script.ts";
import { planInnerVeth, planOverlay, planOverlayRemoval } from "../../../src/plan/overlay.ts";
import { ensurePlaces, remotePlace } from "../../../src/plan/overlay-places.ts";
import { makeNeighbor, sh } from "../../support/direct-neighbor.ts";
import { expectNoLeftovers, ip, ipJson } from "../../support/netns.ts";
import { until } from "../../support/poll.ts";
import { answers, echoes, type Place } from "../../support/probe.ts";
import { endpointOf, idOf, overlayOf, requestedSubnet } from "../../support/values.ts";

const mark = 0x0100_0000;
const table = 7631726;
const soonMs = 2_000;
const network = overlayOf(
  { "tsnet.vni": "4242" },
  { id: idOf("d1"), ipv6: [requestedSubnet("fd00:5::/64", "fd00:5::1/64")] },
);
const mac = "02:42:0a:05:00:0a";
const endpoint = endpointOf({ network: network.id, mac, addresses: ["10.5.0.10/24", "fd00:5::10/64"] });
const remote = { mac: "02:42:0a:05:00:14", ips: ["10.5.0.20", "fd00:5::20"], vtep: "192.168.77.2" };
const namespace = namespaceName(network.id);

const at = (name: string): Place => ({ enter: (command) => ["ip", "netns", "exec", name, ...command] });
/** Forwarding is on, as it is with a network; no link waits until it knows that its addresses are its alone. */
const sysctls = [
  ["net/ipv4/ip_forward", "1"],
  ["net/ipv6/conf/all/forwarding", "1"],
  ["net/ipv6/conf/default/accept_dad", "0"],
  ["net/ipv4/conf/all/rp_filter", "1"],
] as const;

const nothing: DirectState = { local: [], endpoints: new Map() };
const way = wayTo(remote.vtep, { source: "", link: "up0", mtuBytes: 1500, gateway: "" }, { mac }, "fd00:77::2");
const direct: DirectState = {
  local: localElements([endpoint]),
  endpoints: new Map([[remote.mac, planDirectEndpoint(remote, way, () => true)]]),
};

/** As dockerd does it with a container's end. */
function startContainer(): void {
  ip("netns add c1");
  ip(`link set ${containerVethName(endpoint.id)} netns c1 name eth0 address ${mac}`);
  sh("c1", "echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad; ip link set lo up; ip link set eth0 up");
  for (const address of endpoint.addresses) ip(`-n c1 address add ${address} dev eth0`);
  ip("-n c1 route add default via 10.5.0.1");
}

describe("the short way, in the kernel", () => {
  let kernel: KernelClient;
  const before = new Map<string, string>();

  expectNoLeftovers(async () => {
    await kernel.apply([
      ...planOverlayRemoval(network),
      ...planDirectChange(network, compareDirect(direct, nothing)).slice(-1),
    ]);
    execFileSync("nft", ["add table inet tsnet; delete table inet tsnet"]);
    for (const name of ["peer", "c1", "other"]) if (ip("netns list").includes(name)) ip(`netns delete ${name}`);
    await until("links are gone", soonMs, () => !ip("link show").includes("veth"));
    for (const [path, value] of before) writeFileSync(`/proc/sys/${path}`, value);
    await kernel.close();
  });
  beforeEach(async () => {
    for (const [path, value] of sysctls) {
      before.set(path, readFileSync(`/proc/sys/${path}`, "utf8"));
      writeFileSync(`/proc/sys/${path}`, value);
    }
    kernel = await KernelClient.open({ mark });
    makeNeighbor();
    const underlay = { local: "192.168.77.1", port: 4789, mtuBytes: 1500, knowsPlaces: true };
    await kernel.apply([
      ...planOverlay(network, underlay),
      ...planInnerVeth(network, endpoint, underlay),
      ensurePlaces(network, [remotePlace(network, remote)]),
    ]);
    startContainer();
    const firewall = { networks: [network], endpoints: [endpoint], dockerLinks: [] };
    const elements = wantedElements({ ...firewall, direct: directElements(network, ["up0"]) });
    await kernel.apply([{ op: "run-nft", script: tableScript(elements, mark) }]);
    for (const gateway of ["10.5.0.1", "fd00:5::1"]) {
      await until(`${gateway} answers`, soonMs, () => echoes(at("c1"), gateway));
    }
  });

  const change = async (from: DirectState, to: DirectState): Promise<void> =>
    kernel.apply(planDirectChange(network, compareDirect(from, to)));
  const reached = async (from = at("c1")): Promise<string[]> => {
    const found = await Promise.all(
      remote.ips.map(async (address) => ((await echoes(from, address)) ? [address] : [])),
    );
    return found.flat();
  };
  const routes = (): string[] =>
    [...ipJson(`route show table ${table}`), ...ipJson(`-6 route show table ${table}`)].map(({ dst }) => dst);

  it("leads to a neighbor's endpoints and back, untranslated, where the reverse path is looked at; and no more when it is taken back", async () => {
    expect(await reached()).to.deep.equal([]);
    await change(nothing, direct);
    expect(await reached()).to.deep.equal(remote.ips);
    expect(await echoes(at("peer"), "10.5.0.10")).to.equal(false);
    sh("peer", "ip route replace 10.5.0.0/24 via 192.168.77.1 src 10.5.0.20");
    expect(await echoes(at("peer"), "10.5.0.10")).to.equal(true);
    await change(direct, nothing);
    expect(await reached()).to.deep.equal([]);
    expect(routes()).to.deep.equal([]);
    expect(ip("rule")).not.to.include(`${table}`);
    expect(sh(namespace, "nft list ruleset")).to.equal("");
  });

  it("is for what containers send in their own names, and would not notice", async () => {
    await change(nothing, direct);
    const ping = (words: string): boolean =>
      sh("c1", `busybox ping -c 1 -W 1 ${words} 10.5.0.20 || true`).includes("1 packets received");
    expect(ping("-t 64")).to.equal(true);
    expect(ping("-t 3")).to.equal(true);
    expect([ping("-t 2"), ping("-t 255")]).to.deep.equal([false, false]);
    ip("-n c1 address add 10.5.0.77/32 dev eth0");
    expect([ping("-I 10.5.0.10"), ping("-I 10.5.0.77")]).to.deep.equal([true, false]);
  });

  it("is not for containers of other networks", async () => {
    await change(nothing, direct);
    ip("netns add other");
    ip("link add veth-other type veth peer name eth0 netns other");
    ip("address add 172.30.0.1/24 dev veth-other");
    ip("link set veth-other up");
    sh("other", "ip link set eth0 up; ip addr add 172.30.0.2/24 dev eth0; ip route add default via 172.30.0.1");
    expect(await echoes(at("other"), "172.30.0.1")).to.equal(true);
    expect(await echoes(at("other"), "10.5.0.20")).to.equal(false);
    // in another's name, of whom an answer would come to that one: nothing leaves the host
    sh("other", "ip addr add 10.5.0.10/32 dev lo");
    sh(
      "peer",
      "nft add chain inet t seen '{ type filter hook prerouting priority -300; }'; nft add rule inet t seen ip saddr 10.5.0.10 counter",
    );
    sh("other", "busybox ping -c 1 -W 1 -I 10.5.0.10 10.5.0.20 || true");
    expect(sh("peer", "nft list chain inet t seen")).to.include("packets 0");
    await reached();
    expect(sh("peer", "nft list chain inet t seen")).not.to.include("packets 0");
    ip("link delete veth-other");
  });

  it("lets in what comes from the segment only from within the network, to its containers", async () => {
    await change(nothing, direct);
    sh("peer", "ip addr add 10.9.0.9/32 dev lo");
    const from = (address: string): boolean =>
      sh("peer", `busybox ping -c 1 -W 1 -I ${address} 10.5.0.10 || true`).includes("1 packets received");
    expect([from("10.5.0.20"), from("10.9.0.9")]).to.deep.equal([true, false]);
    expect(await answers(at("peer"), "tcp", "10.5.0.10")).to.equal(false);
  });

  it("is tried by echo requests that go it before anything else does", async () => {
    const probe = (targets: readonly string[], source: string) =>
      kernel.probeWays({
        ...{ namespace, port: gatewayPortName(network.id), gatewayMac: network.mac },
        ...{ source: { mac, ip: source }, targets, waitMs: 400 },
      });
    expect(await probe(["10.5.0.20"], "10.5.0.10")).to.deep.equal([]);
    const untried: DirectState = {
      local: [],
      endpoints: new Map([[remote.mac, planDirectEndpoint(remote, way, () => false)]]),
    };
    await change(nothing, untried);
    expect(await reached()).to.deep.equal([]);
    expect(await probe(["10.5.0.20", "10.5.0.21"], "10.5.0.10")).to.deep.equal(["10.5.0.20"]);
    expect(await probe(["fd00:5::20"], "fd00:5::10")).to.deep.equal(["fd00:5::20"]);
    sh("peer", "nft add rule inet t c ip saddr 10.5.0.10 drop");
    expect(await probe(["10.5.0.20"], "10.5.0.10")).to.deep.equal([]);
  });

  it("is repaired, and what an earlier process has left is removed; others' routes are not touched", async () => {
    await change(nothing, direct);
    ip(`route add 10.5.0.99/32 via 192.168.77.2 table ${table} proto static`);
    ip(`route flush table ${table} proto 116`);
    ip("-6 rule delete priority 116");
    sh(namespace, "nft flush set bridge tsnet direct4");
    expect(await kernel.repairDirect([namespace], true)).to.have.members([
      "table bridge tsnet was changed",
      "route to 10.5.0.20 is gone",
      "rule of IPv6 for what comes by lo is gone",
    ]);
    expect(await reached()).to.deep.equal(remote.ips);
    expect(await kernel.repairDirect([namespace], true)).to.deep.equal([]);
    sh(namespace, "nft flush ruleset");
    expect(await kernel.repairDirect([namespace], true)).to.deep.equal(["table bridge tsnet is gone"]);

    await kernel.close();
    kernel = await KernelClient.open({ mark });
    expect(await kernel.repairDirect([namespace], false)).to.deep.equal([]);
    await change(nothing, { ...direct, endpoints: new Map() });
    expect(await kernel.repairDirect([namespace], false), "with no way proven yet").to.deep.equal([]);
    expect(await reached()).to.deep.equal(remote.ips);
    expect(await kernel.repairDirect([namespace], true, false)).to.deep.equal(["table bridge tsnet is nobody's"]);
    expect(routes()).to.have.members(["10.5.0.99", ...remote.ips]);
    expect(await kernel.repairDirect([namespace], true)).to.have.length(6);
    expect(await reached()).to.deep.equal([]);
    expect(routes()).to.deep.equal(["10.5.0.99"]);
    ip(`route flush table ${table}`);
  });

  it("is left as it is by a process that knows of no other hosts, for the networks that there are, and for no others", async () => {
    await change(nothing, direct);
    await kernel.close();
    kernel = await KernelClient.open({ mark });
    ip(`route add 10.9.0.7/32 via 192.168.77.2 dev up0 table ${table} proto 116`);
    ip(`-6 route add fd00:9::7/128 via fd00:77::2 dev up0 table ${table} proto 116`);
    ip(`rule add iif tsg-gone lookup ${table} priority 116 protocol 116`);
    ip(`route add 10.9.0.8/32 via 192.168.77.2 dev up0 table ${table} proto static`);
    const rules = (): string[] =>
      [...ipJson("rule show priority 116"), ...ipJson("-6 rule show priority 116")].map(({ iif }) => iif).sort();
    expect(rules()).to.deep.equal(["lo", "lo", "tsg-gone", network.bridge, network.bridge].sort());
    await kernel.apply([planLeftRoutes([network])]);
    expect(routes()).to.deep.equal(["10.5.0.20", "10.9.0.8", "fd00:5::20"]);
    expect(rules()).to.deep.equal(["lo", "lo", network.bridge, network.bridge].sort());
    expect(await reached()).to.deep.equal(remote.ips);
    await change(nothing, direct);
    await kernel.apply([planLeftRoutes([])]);
    expect(routes()).to.deep.equal(["10.9.0.8"]);
    expect(rules()).to.deep.equal([]);
    expect(await kernel.repairDirect([namespace], true)).to.deep.equal([]);
    ip(`route flush table ${table}`);
  });
});
