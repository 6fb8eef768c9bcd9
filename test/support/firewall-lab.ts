/**
 * The rules of the firewall under real packets: this process's namespace is a host that forwards, with bridges, containers and
 * neighbors that are namespaces. Docker's FORWARD is there as a chain that drops what does not carry the mark.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { hostVethName } from "../../src/net/names.ts";
import { bridgeAddresses } from "../../src/plan/bridge.ts";
import { wantedElements } from "../../src/plan/firewall.ts";
import { tableScript } from "../../src/plan/firewall-script.ts";
import type { BridgeNetwork, Endpoint } from "../../src/plan/network.ts";
import { Agent } from "./agent.ts";
import { ip, snapshot } from "./netns.ts";
import { patience } from "./patience.ts";

const mark = 0x0100_0000;

/** Docker's bridges: an ordinary one, and that of an internal network. */
const dockerBridge = "docker0";
const dockerInternalBridge = "br-0123456789ab";

/** As Docker's iptables backend leaves the chain: a bridge may send, and receive what belongs to a connection; an internal one not. */
const dockerForward = `
table inet docker {
  chain forward {
    type filter hook forward priority filter; policy drop;
    meta mark & ${mark} == ${mark} accept
    oifname "${dockerBridge}" ct state established,related accept
    iifname "${dockerBridge}" accept
  }
}
`;

/** The host forwards, and no new link waits a second until its IPv6 addresses are known to be its alone. */
const sysctls = [
  ["/proc/sys/net/ipv4/ip_forward", "1"],
  ["/proc/sys/net/ipv6/conf/all/forwarding", "1"],
  ["/proc/sys/net/ipv6/conf/default/accept_dad", "0"],
] as const;

export class FirewallLab implements AsyncDisposable {
  readonly #before = snapshot();
  readonly #sysctls = sysctls.map(([path]) => [path, readFileSync(path, "utf8")] as const);
  readonly #agents = new Map<string, Agent>();
  readonly #bridges: string[] = [];
  readonly #namespaces: string[] = [];
  readonly #networks: BridgeNetwork[] = [];
  readonly #endpoints: Endpoint[] = [];

  constructor() {
    for (const [path, value] of sysctls) writeFileSync(path, value);
    this.#nft(dockerForward);
  }

  /** A machine behind the link `name` of the host, which is .1 and ::1 there and its default gateway; the machine is .2 and ::2. */
  addNeighbor(name: string, subnet4: string, subnet6: string, ports: readonly number[] = []): void {
    this.#addNamespace(name, name, [`${subnet4}.2/24`, `${subnet6}::2/64`], [`${subnet4}.1`, `${subnet6}::1`], ports);
    for (const address of [`${subnet4}.1/24`, `${subnet6}::1/64`]) this.#addAddress(name, address);
  }

  /** Docker's bridges, each with a container; `internal` has a default route all the same. */
  addDocker(name: string, internal: string): void {
    for (const [container, bridge, net] of [
      [name, dockerBridge, "172.17.0"] as const,
      [internal, dockerInternalBridge, "172.19.0"] as const,
    ]) {
      const link = `veth-${container}`;
      this.#addBridge(bridge, [`${net}.1/24`]);
      this.#addNamespace(container, link, [`${net}.2/24`], [`${net}.1`], [80]);
      ip(`link set ${link} master ${bridge}`);
    }
  }

  /** A bridge as the plugin makes it. */
  addNetwork(network: BridgeNetwork): void {
    this.#networks.push(network);
    this.#addBridge(network.bridge, bridgeAddresses(network));
    writeFileSync(`/proc/sys/net/ipv4/conf/${network.bridge}/route_localnet`, "1");
  }

  /** A container that listens on these ports, tcp and udp. Its agent has its name. */
  addContainer(name: string, endpoint: Endpoint, ports: readonly number[]): void {
    const network = this.#networks.find(({ id }) => id === endpoint.network);
    if (network === undefined) throw new Error(`no network ${endpoint.network}`);
    this.#endpoints.push(endpoint);
    const link = hostVethName(endpoint.id);
    // also on an internal network: a container with CAP_NET_ADMIN could do the same
    const gateways = bridgeAddresses(network).map((address) => address.replace(/\/.*/, ""));
    this.#addNamespace(name, link, endpoint.addresses, gateways, ports);
    ip(`link set ${link} master ${network.bridge}`);
    ip(`link set ${link} type bridge_slave hairpin on`);
  }

  /**
   * Puts the table in place, as the plugin does it, and waits for the agents.
   * @param ports on which the host itself listens, tcp and udp
   */
  async start(ports: readonly number[] = []): Promise<void> {
    const input = {
      networks: this.#networks,
      endpoints: this.#endpoints,
      dockerLinks: [dockerBridge, dockerInternalBridge],
    };
    this.#nft(tableScript(wantedElements(input), mark));
    this.#agents.set("host", new Agent("", ports));
    await Promise.all([...this.#agents.values()].map((agent) => agent.ready()));
  }

  /** A neighbor that routes 127.0.0.0/8 to the host, and takes itself for something else. */
  routeLoopback(name: string, host: string): void {
    ip(`-n ${name} address delete 127.0.0.1/8 dev lo`);
    ip(`-n ${name} route add 127.0.0.0/8 via ${host} dev eth0`);
    this.#setSysctl(name, "net/ipv4/conf/eth0/route_localnet", "1");
  }

  agent(name: string): Agent {
    const agent = this.#agents.get(name);
    if (agent === undefined) throw new Error(`no agent ${name}`);
    return agent;
  }

  #addBridge(name: string, addresses: readonly string[]): void {
    ip(`link add ${name} type bridge`);
    this.#bridges.push(name);
    for (const address of addresses) this.#addAddress(name, address);
    ip(`link set ${name} up`);
  }

  #addNamespace(
    name: string,
    link: string,
    addresses: readonly string[],
    gateways: readonly string[],
    ports: readonly number[],
  ): void {
    ip(`netns add ${name}`);
    this.#namespaces.push(name);
    this.#setSysctl(name, "net/ipv6/conf/default/accept_dad", "0");
    ip(`link add ${link} type veth peer name eth0 netns ${name}`);
    ip(`link set ${link} up`);
    ip(`-n ${name} link set lo up`);
    for (const address of addresses) ip(`-n ${name} address add ${address} dev eth0`);
    ip(`-n ${name} link set eth0 up`);
    for (const gateway of gateways) ip(`-n ${name} route add default via ${gateway} dev eth0`);
    this.#agents.set(name, new Agent(name, ports));
  }

  #addAddress(link: string, address: string): void {
    ip(`address add ${address} dev ${link}`);
  }

  #setSysctl(namespace: string, path: string, value: string): void {
    execFileSync("ip", ["netns", "exec", namespace, "sh", "-c", `echo ${value} >/proc/sys/${path}`]);
  }

  #nft(script: string): void {
    execFileSync("nft", ["-f", "-"], { input: script });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#agents.values()].map((agent) => agent[Symbol.asyncDispose]()));
    for (const name of this.#namespaces) ip(`netns delete ${name}`);
    for (const bridge of this.#bridges) ip(`link delete ${bridge}`);
    this.#nft("delete table inet docker\nadd table inet tsnet\ndelete table inet tsnet\n");
    for (const [path, value] of this.#sysctls) writeFileSync(path, value);
    const end = performance.now() + 2000 * patience;
    while (snapshot() !== this.#before) {
      if (performance.now() > end) throw new Error(`left behind:\n${snapshot()}\nbefore:\n${this.#before}`);
      await sleep(20); // a namespace dies a moment after its last process
    }
  }
}
