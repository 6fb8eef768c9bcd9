import { execFileSync, spawn } from "node:child_process";
import { expect } from "chai";
import { HostAccess } from "../../../src/driver/host-access.ts";
import { State } from "../../../src/driver/state.ts";
import { KernelClient } from "../../../src/kernel/kernel-client.ts";
import type { LanNetwork } from "../../../src/plan/network.ts";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import { exitOf } from "../../support/commands.ts";
import { TestLog } from "../../support/driver.ts";
import { answersToArp } from "../../support/host-access.ts";
import { expectNoLeftovers, ip, linkJson } from "../../support/netns.ts";
import { endpointOf, macvlanOf } from "../../support/values.ts";

const shim = "tsh-a1000000000";
const mac = "02:42:c0:a8:01:0a";
const access = { "tsnet.host_access": "true", "tsnet.duplicate_check": "false" };

/** A host (this namespace), a stranger and another host's container on a switch; a container of the host's own. */
const segment = `
  for name in switch stranger container; do ip netns add $name; ip -n $name link set lo up; done
  ip -n switch link add br0 type bridge; ip -n switch link set br0 up
  ip link add eth0 type veth peer name port1 netns switch
  ip -n stranger link add eth0 type veth peer name port2 netns switch
  for port in port1 port2; do ip -n switch link set $port master br0 up; done
  ip addr add 192.168.1.2/24 dev eth0; ip link set eth0 up
  ip -n stranger addr add 192.168.1.7/24 dev eth0; ip -n stranger link set eth0 up
  ip link add c0 link eth0 address ${mac} type macvlan mode bridge; ip link set c0 netns container
  ip -n container addr add 192.168.1.10/24 dev c0; ip -n container link set c0 up
  ip link add second type dummy 2>/dev/null || ip link add second type veth peer name second-peer
  ip addr add 10.9.9.9/24 dev second; ip link set second up
  ip -n stranger route add 10.9.9.9 dev eth0`;

describe("host access on a segment", () => {
  let client: KernelClient;
  let hostAccess: HostAccess;
  let network: LanNetwork;
  const endpoint = endpointOf({ addresses: ["192.168.1.10/24"], mac });
  const sh = (script: string) => execFileSync("sh", ["-ec", script], { stdio: "pipe" });
  const place = (name: string) => ({ enter: (words: readonly string[]) => ["ip", "netns", "exec", name, ...words] });
  const echoes = async (from: string | null, to: string): Promise<boolean> => {
    const words = ["busybox", "ping", "-c", "1", "-W", "1", to];
    const [file = "", ...args] = from === null ? words : place(from).enter(words);
    return (await exitOf(spawn(file, args, { stdio: "ignore" }))) === 0;
  };
  const answers = async (asked: string): Promise<string[]> => [
    ...new Set(await answersToArp(place("stranger"), "eth0", asked)),
  ];
  const macOf = (name: string): string => linkJson(name).address;

  expectNoLeftovers(async () => {
    await hostAccess.removeEndpoint(network, endpoint);
    await hostAccess.removeNetwork(network);
    await client.flushRemovedLinks();
    await client.close();
    sh("ip link del second; ip link del eth0; for name in switch stranger container; do ip netns del $name; done");
    sh("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.all.arp_ignore=0");
  });
  beforeEach(async () => {
    sh(segment);
    client = await KernelClient.open({ mark: 0x01000000 });
  });
  const start = async (options: Readonly<Record<string, string>>) => {
    network = macvlanOf({ ...access, ...options });
    const state = new State(new MemoryStore());
    hostAccess = new HostAccess({ kernel: client, state, log: new TestLog() });
    await state.saveNetwork(network);
    await hostAccess.ensureNetwork(network);
    await state.saveEndpoint(endpoint);
    await hostAccess.ensureEndpoint(network, endpoint);
    state.removing.add(network.id).add(endpoint.id); // as it will be at the end
  };

  it("works both ways, and others are answered as before", async () => {
    expect(await echoes(null, "192.168.1.10"), "without it").to.equal(false);
    expect(await echoes("container", "192.168.1.2"), "without it").to.equal(false);
    sh("ip neigh flush dev eth0; ip -n container neigh flush dev c0"); // who has just asked in vain waits to ask again
    await start({});
    expect(await echoes(null, "192.168.1.10")).to.equal(true);
    expect(await echoes("container", "192.168.1.2")).to.equal(true);
    for (const [from, to] of [
      ["container", "192.168.1.7"],
      ["stranger", "192.168.1.10"],
      ["stranger", "192.168.1.2"],
      ["stranger", "10.9.9.9"],
    ] as const) {
      expect(await echoes(from, to), `${from} to ${to}`).to.equal(true);
    }
    for (const own of ["192.168.1.2", "10.9.9.9"]) expect(await answers(own)).to.deep.equal([macOf("eth0")]);
    expect(await answers("192.168.1.10")).to.deep.equal([mac]);
  });

  it("keeps the shim from answering others by the table, also where reverse paths are not checked", async () => {
    await start({});
    sh(`sysctl -qw net.ipv4.conf.${shim}.rp_filter=0`);
    expect(await answers("192.168.1.2")).to.deep.equal([macOf("eth0")]);
    execFileSync("nft", ["flush", "chain", "arp", "tsnet", "input"]);
    expect(await answers("192.168.1.2"), "without its rules").to.have.members([macOf("eth0"), macOf(shim)]);
  });

  it("works where reverse paths are checked strictly", async () => {
    sh("sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.default.rp_filter=1");
    await start({ "tsnet.host_address": "192.168.1.250" });
    sh("sysctl -qw net.ipv4.conf.default.rp_filter=0");
    expect(await echoes(null, "192.168.1.10")).to.equal(true);
    for (const to of ["192.168.1.2", "192.168.1.250"]) {
      expect(await echoes("container", to), to).to.equal(true);
      expect(await echoes("stranger", to), to).to.equal(true);
    }
  });

  it("answers for an address of its own by the shim alone, whatever arp_ignore says", async () => {
    await start({ "tsnet.host_address": "192.168.1.250" });
    for (const value of ["0", "1"]) {
      sh(`sysctl -qw net.ipv4.conf.all.arp_ignore=${value}`);
      expect(await answers("192.168.1.250"), `arp_ignore=${value}`).to.deep.equal([macOf(shim)]);
      expect(await answers("192.168.1.2"), `arp_ignore=${value}`).to.deep.equal([macOf("eth0")]);
      sh("ip -n container neigh flush all");
      expect(await echoes("container", "192.168.1.250")).to.equal(true);
      expect(await echoes(null, "192.168.1.10")).to.equal(true);
      expect(await echoes("stranger", "192.168.1.250")).to.equal(true);
    }
    ip("neigh flush dev eth0");
    sh("ip -n stranger neigh flush all");
    expect(await echoes("stranger", "192.168.1.250")).to.equal(true);
    const learned = JSON.parse(ip("-n stranger -j neigh show 192.168.1.250"))[0].lladdr;
    expect(learned, "after the host has asked for the stranger").to.equal(macOf(shim));
  });

  it("leaves the shim without IPv6, and without the LAN's routes", async () => {
    await start({});
    expect(ip(`-6 addr show dev ${shim}`)).to.equal("");
    expect(ip(`-6 route show dev ${shim}`)).to.equal("");
    expect(ip(`-4 route show dev ${shim}`).trim()).to.equal("192.168.1.10 proto kernel scope link src 192.168.1.2");
  });
});
