/** The interface Kernel on a world: what src/plan/op.ts says of each operation, and the kernel's refusals. */
import type {
  AddressAnnouncement,
  AddressHolder,
  AddressProbe,
  Kernel,
  KernelChange,
} from "../../src/driver/kernel.ts";
import { TsnetError } from "../../src/errors.ts";
import type { Op, SetSysctl } from "../../src/plan/op.ts";
import type { EnsureBridge, EnsurePort, EnsureRoute, EnsureVeth, RemoveLinks } from "../../src/plan/op-links.ts";
import { removedGroup } from "../../src/plan/reconcile.ts";
import type { Faults } from "./faults.ts";
import type { World, WorldFlow } from "./world.ts";
import { lanExecutors } from "./world-lan.ts";
import { kernelError } from "./world-links.ts";
import { observeNamespace, overlayExecutors, repairEntries } from "./world-overlay.ts";
import { repairTable } from "./world-vips.ts";

/** A process's way into the world: two threads, one of them for ports; each does one call after the other. */
export function openKernel(
  world: World,
  faults: Faults,
  watch: (watcher: (change: KernelChange) => void) => void,
): Kernel {
  const [inTurn, portsInTurn] = [openThread(), openThread()];
  const observe = <T>(what: string, read: () => T): Promise<T> =>
    inTurn(() => faults.run(`observe ${what}`, () => structuredClone(read())));
  return {
    apply: (ops) => (ops.every(({ op }) => op === "forget-flows") ? aside : inTurn)(() => applyAll(world, faults, ops)),
    observe: (routes) => observe("links", () => world.links.snapshot(routes)),
    observeRouted: () => observe("routed", () => world.links.routed()),
    observeAddresses: () => observe("addresses", () => world.links.addresses),
    observePath: () => observe("path", () => world.path),
    repairDirect: () => observe("direct", () => []),
    observeSysctls: (name, keys) =>
      observe("sysctls", () => keys.map((key) => world.namespaces.get(name)?.vips.sysctls.get(key.join("/")) ?? null)),
    repairTable: (name) => inTurn(() => faults.run("observe table", () => repairTable(world, name))),
    probeWays: async () => [],
    followPaths: () => observe("follow paths", () => undefined),
    probePaths: ({ probes }) => observe("paths", () => probes.map(() => ({ outcome: "silent", ms: 0 }))),
    answerFacts: () => observe("facts", () => undefined),
    askFacts: ({ addresses }) => observe("facts of others", () => addresses.map(() => null)),
    askNames: ({ names }) => observe("names", () => names.map(() => ({ outcome: "silent", addresses: [] }))),
    isVniFree: ({ vni }) => observe("VNI", () => world.links.all.every(({ vxlan }) => vxlan?.vni !== vni)),
    observeNamespaces: () => observe("namespaces", () => [...world.namespaces.keys()]),
    observeNamespace: (name) => observe("namespace", () => observeNamespace(world, name)),
    repairEntries: (name, isComplete) =>
      inTurn(() => faults.run("observe entries", () => repairEntries(world, name, isComplete))),
    observeLink: (name) =>
      observe("link", () => {
        const link = world.links.find(name);
        return link && world.links.observe(link);
      }),
    observeFirewall: (table) => observe("firewall", () => world.nft.observe(table)),
    observeForward: () => observe("forward", () => world.forward),
    observeEphemeralPorts: () => observe("ephemeral ports", () => world.ephemeral),
    observeSandboxes: (paths) => observe("sandboxes", () => paths.filter((path) => world.sandboxes.has(path))),
    observeSandboxLinks: (paths) => observe("sandbox links", () => paths.map((path) => world.linksIn(path))),
    observeReservedPorts: () => observe("reserved ports", () => world.reserved),
    observeCounters: () =>
      observe("counters", () => ({ elements: world.nft.counters(), proxied: world.ports.proxied() })),
    reservePorts: (ports) => portsInTurn(() => faults.run("reserve-ports", () => world.ports.reserve(ports))),
    releasePorts: (ports) => portsInTurn(() => faults.run("release-ports", () => world.ports.release(ports))),
    flushRemovedLinks: () =>
      inTurn(() =>
        faults.run("flush-removed-links", () => {
          for (const link of world.links.all.filter(({ group }) => group === removedGroup)) world.links.remove(link);
        }),
      ),
    probeAddresses: (probe) => faults.run("probe-addresses", () => probeAddresses(world, probe)),
    announceAddresses: (announcement) => faults.run("announce-addresses", () => announceAddresses(world, announcement)),
    follow: (names) =>
      inTurn(() =>
        faults.run("follow", () => {
          world.followed = new Set(names);
        }),
      ),
    watch,
  };
}

/** The kernel walks through its flows while the thread does other calls. */
const aside = <T>(work: () => Promise<T>): Promise<T> => work();

async function applyAll(world: World, faults: Faults, ops: readonly Op[]): Promise<void> {
  for (const op of ops) await faults.run(op.op, () => applyOp(world, op));
}

/** Who has one of the addresses. Both links must be up, and have a carrier. */
function probeAddresses({ links, strangers }: World, { link, alsoOn, addresses }: AddressProbe): AddressHolder[] {
  for (const name of alsoOn === null ? [link] : [link, alsoOn]) {
    if (!links.observe(links.require(name)).carrier) throw kernelError("ENETDOWN", `probe-addresses ${name}`);
  }
  const holders = addresses.map((address) => ({ address, mac: strangers.get(address) ?? "" }));
  return holders.filter(({ mac }) => mac !== "").slice(0, 1);
}

/** The segment hears of a link that is in the sandbox; one that is not will not come within 5 s. */
function announceAddresses({ links, announcements }: World, announcement: AddressAnnouncement): boolean {
  const isThere = links.all.some(
    ({ alias, namespace }) => alias === announcement.alias && namespace === announcement.sandbox,
  );
  if (isThere) announcements.push(announcement);
  return isThere;
}

/** What does its calls one after the other. */
function openThread(): <T>(work: () => Promise<T>) => Promise<T> {
  let tail: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = tail.then(work);
    tail = result.catch(() => {});
    return result;
  };
}

type Executors = { readonly [K in Op["op"]]: (world: World, op: Extract<Op, { op: K }>) => void };

const noIptables = (): never => {
  throw new Error("this world has no iptables");
};

const executors: Executors = {
  "ensure-bridge": ensureBridge,
  "ensure-veth": ensureVeth,
  "ensure-port": ensurePort,
  "ensure-address": ({ links }, { link, address }) => links.addAddress(links.require(link), address),
  "remove-address": ({ links }, { link, address }) => {
    const found = links.find(link);
    if (found !== undefined) links.removeAddress(found, address);
  },
  "ensure-route": ensureRoute,
  ...lanExecutors,
  "remove-links": removeLinks,
  "set-sysctl": setSysctl,
  "run-nft": ({ nft }, { script }) => nft.run(script),
  "forget-flows": (world, { hostPorts, addresses }) => {
    const isForgotten = ({ port, target }: WorldFlow): boolean =>
      hostPorts.includes(port) || addresses.includes(target);
    world.udpFlows = world.udpFlows.filter((flow) => !isForgotten(flow));
  },
  ...overlayExecutors,
  "put-direct-routes": () => {},
  "remove-direct-routes": () => {},
  "keep-direct-routes": () => {},
  "insert-forward-rule": noIptables,
  "remove-forward-rule": noIptables,
};

const applyOp = (world: World, op: Op): void => (executors[op.op] as (world: World, op: Op) => void)(world, op);

function ensureBridge({ links }: World, { name, alias, mac, mtuBytes, nfCall }: EnsureBridge): void {
  const found = links.find(name);
  if (found === undefined && alias === null) throw kernelError("ENODEV", `ensure-bridge ${name}`);
  const link = found ?? links.add(name, "bridge", { alias: alias ?? "" });
  if (link.kind !== "bridge") throw kernelError("EEXIST", `ensure-bridge ${name}: is a ${link.kind}`);
  if (alias !== null) {
    if (link.alias !== alias) throw kernelError("EEXIST", `ensure-bridge ${name}: belongs to ${link.alias}`);
    link.mac = mac;
  }
  if (mtuBytes !== null) link.mtuBytes = mtuBytes;
  link.nfCall ||= nfCall ?? false;
  link.up = true;
  const held = links.addresses.filter((address) => address.link === link.index);
  for (const { address } of held.filter(({ address }) => address.includes(":"))) links.addAddress(link, address);
}

function ensureVeth({ links }: World, op: EnsureVeth): void {
  const master = links.require(op.master);
  const found = links.find(op.name);
  if (found !== undefined && found.alias !== op.alias)
    throw kernelError("EEXIST", `ensure-veth ${op.name}: is ${found.alias}`);
  if (found === undefined && links.find(op.peer) !== undefined) throw kernelError("EEXIST", `ensure-veth ${op.peer}`);
  const mtuBytes = op.mtuBytes ?? 1500;
  const host = found ?? links.add(op.name, "veth", { alias: op.alias, mtuBytes });
  if (found === undefined)
    host.peer = links.add(op.peer, "veth", { alias: op.peerAlias, mtuBytes, peer: host.index }).index;
  Object.assign(host, { master: master.index, up: true, hairpin: op.hairpin });
}

function ensurePort({ links }: World, { name, master, hairpin }: EnsurePort): void {
  const link = links.require(name);
  Object.assign(link, { master: links.require(master).index, up: true, hairpin });
}

function ensureRoute({ links }: World, { link: linkName, destination, source }: EnsureRoute): void {
  const link = links.require(linkName);
  const isHeld = source === null || links.addresses.some(({ address }) => address.split("/")[0] === source);
  if (!isHeld) throw kernelError("EINVAL", `ensure-route ${destination}: src ${source}`);
  links.addRoute(link, destination, source ?? "");
}

function removeLinks({ links }: World, op: RemoveLinks): void {
  for (const { name, alias } of op.links) {
    const link = links.find(name);
    if (link === undefined) continue;
    if (link.alias !== alias) throw new TsnetError("conflict", `remove-links ${name}: belongs to ${link.alias}`);
    Object.assign(link, {
      name: `tsd-${link.index}`,
      group: removedGroup,
      lower: 0,
      up: false,
      master: 0,
    });
    links.dropRoutes(link);
  }
}

/** A link's sysctls are there as long as the link. */
function setSysctl({ links, sysctls }: World, { key, value, optional }: SetSysctl): void {
  const path = key.join("/");
  const [, , ofLinks = "", link = ""] = key;
  const exists = sysctls.has(path) || (["conf", "neigh"].includes(ofLinks) && links.find(link) !== undefined);
  if (exists) sysctls.set(path, value);
  else if (!optional) throw kernelError("ENOENT", `set-sysctl ${path}`);
}
