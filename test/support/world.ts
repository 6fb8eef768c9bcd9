/**
 * A host's kernel in memory, for the use cases: links, addresses, routes, sysctls, our nft table, ports, sandboxes. It keeps
 * state and refuses as the kernel does; it records no calls. A process of tsnet is opened on it, may fail at any step or die,
 * and the world goes on.
 */
import type { AddressAnnouncement, Kernel, KernelChange } from "../../src/driver/kernel.ts";
import type { DockerNetwork } from "../../src/plan/docker-network.ts";
import type { Elements, ObservedForward, ObservedLink, ObservedPath } from "../../src/plan/observed.ts";
import { removedGroup } from "../../src/plan/reconcile.ts";
import type { MemoryStore } from "../../src/store/memory-store.ts";
import type { FakeGossip } from "./fake-gossip.ts";
import { Faults } from "./faults.ts";
import { openKernel } from "./world-kernel.ts";
import { type WorldLink, WorldLinks } from "./world-links.ts";
import { WorldNft } from "./world-nft.ts";
import { destroyNamespace, dumpNamespaces, type WorldEntries, type WorldNamespace } from "./world-overlay.ts";
import { WorldPorts } from "./world-ports.ts";

/** A UDP flow under way. */
export interface WorldFlow {
  /** Of the host, that its client sends to. */
  readonly port: number;
  /** Address of the container that it reaches, or of the host if it is not translated. */
  readonly target: string;
}

export class World {
  readonly links = new WorldLinks();
  readonly nft = new WorldNft();
  /** Paths of the namespaces that exist. */
  readonly sandboxes = new Set<string>();
  /** Network namespaces of ours, by name. */
  readonly namespaces = new Map<string, WorldNamespace>();
  /** What the living process has asked for in them. */
  readonly asked = new Map<string, WorldEntries>();
  /** The tables of virtual IPs that it has asked for; null for none. */
  readonly askedTables = new Map<string, Elements | null>();
  /** Ports that other programs of the host listen on: "tcp 0.0.0.0 80". */
  readonly foreignPorts = new Set<string>();
  readonly ports = new WorldPorts(this.foreignPorts);
  readonly sysctls = new Map<string, string>([
    ["net/ipv4/ip_forward", "0"],
    ["net/ipv6/conf/default/forwarding", "0"],
    ["net/ipv6/conf/all/forwarding", "0"],
  ]);
  /** Links of which the process wants to know. */
  followed: ReadonlySet<string> = new Set();
  /** Docker's networks, as far as the process can ask for them. */
  /** The way to all other hosts. */
  path: ObservedPath | undefined = { source: "192.0.2.1", link: "eth0", mtuBytes: 1500, gateway: "" };
  /** TSNET_SCOPE. */
  scope: "local" | "global" = "local";
  /** TSNET_PEERS. */
  peers: readonly string[] = [];
  /** What hosts share; null where they share nothing. */
  etcd: MemoryStore | null = null;
  /** What Docker has heard of its swarm; null where the host is in none. */
  swarm: FakeGossip | null = null;
  dockerNetworks: readonly DockerNetwork[] | null = null;
  udpFlows: WorldFlow[] = [];
  ephemeral = { first: 32768, last: 32771 };
  /** What the host keeps out of the range of ephemeral ports. */
  reserved: { first: number; last: number }[] = [];
  forward: ObservedForward = {};
  /** MAC addresses of others on the segments, by the addresses that they have. */
  readonly strangers = new Map<string, string>();
  /** What the segments were told. */
  readonly announcements: AddressAnnouncement[] = [];
  #watcher: (change: KernelChange) => void = () => {};
  #process: Faults | undefined;

  /** Ports that the living process of tsnet holds, one by one: "tcp 0.0.0.0 80". */
  get heldPorts(): string[] {
    return this.ports.singles();
  }

  /** Starts a process of tsnet; one that runs is killed. */
  open(faults: Faults = new Faults()): Kernel {
    this.kill();
    this.#process = faults;
    return openKernel(this, faults, (watcher) => {
      this.#watcher = watcher;
    });
  }

  /** SIGKILL: sockets go with the process, everything else stays. */
  kill(): void {
    this.#process?.kill();
    this.ports.clear();
    this.asked.clear();
    this.askedTables.clear();
    for (const [name, { isPinned }] of this.namespaces) if (!isPinned) destroyNamespace(this, name);
    this.#watcher = () => {};
  }

  /** Tells the process of a change that was not its own. */
  report(change: KernelChange): void {
    this.#watcher(change);
  }

  /** A link comes, and not by our hand. */
  addLink(name: string, kind: string, values: Partial<WorldLink> = {}): WorldLink {
    const link = this.links.add(name, kind, values);
    this.#reportLink(this.links.observe(link), false);
    return link;
  }

  /** A link goes, and not by our hand. */
  removeLink(name: string): void {
    const link = this.links.require(name);
    const gone = this.links.withAllOn(link).filter(({ namespace }) => namespace === "");
    const observed = gone.map((one) => this.links.observe(one));
    this.links.remove(link);
    for (const one of observed) this.#reportLink(one, true);
  }

  /** A link was changed, and not by our hand. */
  changeLink(name: string, change: Partial<ObservedLink>): void {
    const link = this.links.require(name);
    Object.assign(link, change);
    if (change.up === false) this.links.dropRoutes(link);
    this.#reportLink(this.links.observe(link), false);
  }

  /** Only what concerns the process: see KernelChange. */
  #reportLink(link: ObservedLink, removed: boolean): void {
    const isOurs = link.kind === "bridge" || link.alias.startsWith("tsnet:");
    if (isOurs || this.followed.has(link.name)) this.report({ what: "link", removed, link });
  }

  /** The links of ours in a sandbox; null if there is no such sandbox. */
  linksIn(path: string): ObservedLink[] | null {
    if (!this.sandboxes.has(path)) return null;
    const there = this.links.all.filter(({ namespace, alias }) => namespace === path && alias.startsWith("tsnet:"));
    return there.map((link) => this.links.observe(link));
  }

  /** dockerd moves a container's end into its namespace. */
  moveIntoSandbox(name: string, sandbox: string): void {
    this.sandboxes.add(sandbox);
    const link = this.links.require(name);
    const observed = this.links.observe(link);
    Object.assign(link, { namespace: sandbox, up: true });
    this.#reportLink(observed, true);
  }

  /** dockerd moves it back, with its old name. */
  moveOutOfSandbox(name: string): void {
    for (const link of this.links.all) if (link.name === name) link.namespace = "";
  }

  /** A container dies: its namespace goes, with the links in it and their other ends. */
  destroySandbox(path: string): void {
    this.sandboxes.delete(path);
    for (const link of this.links.all.filter(({ namespace }) => namespace === path)) this.links.remove(link);
  }

  /** Everything but what the host may keep: the sysctls that forwarding needs. */
  dump(): object {
    const { links } = this.links.snapshot();
    const outside = this.links.all.filter(({ namespace }) => !this.namespaces.has(namespace));
    return {
      links: links.map(({ name, alias }) => `${name} ${alias}`).toSorted(),
      doomed: this.links.all.filter(({ group }) => group === removedGroup).length,
      addresses: this.links.addresses.map(({ link, address }) => `${this.links.nameOf(link)} ${address}`).toSorted(),
      namespaces: dumpNamespaces(this),
      moved: outside.filter(({ namespace }) => namespace !== "").map(({ name, namespace }) => `${name} ${namespace}`),
      elements: this.nft.observe()?.elements,
      ports: this.ports.list(),
    };
  }
}
