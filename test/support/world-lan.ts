/** What a world does with links on parents: macvlan, ipvlan, 802.1Q and dummy links, neighbors and routes of shims. */

import { TsnetError } from "../../src/errors.ts";
import type {
  EnsureDummy,
  EnsureLanLink,
  EnsureNeighbor,
  EnsureVlan,
  LanLink,
  RemoveNeighbor,
  RemoveRoute,
  RestoreLanLink,
  SetLinkDown,
  SetSandboxMtu,
} from "../../src/plan/op-links.ts";
import type { World } from "./world.ts";
import { kernelError, type WorldLink, type WorldLinks } from "./world-links.ts";

/** A link of ours by its name; undefined if there is none. */
function ours(
  links: WorldLinks,
  what: string,
  { name, alias }: { name: string; alias: string },
): WorldLink | undefined {
  const found = links.find(name);
  if (found !== undefined && found.alias !== alias) throw kernelError("EEXIST", `${what} ${name}: is ${found.alias}`);
  return found;
}

function ensureVlan({ links }: World, op: EnsureVlan): void {
  const base = links.require(op.base);
  const values = { alias: op.alias, mtuBytes: base.mtuBytes, mac: base.mac, lower: base.index, vlanId: op.vlanId };
  const link = ours(links, op.op, op) ?? links.add(op.name, "vlan", values);
  link.mtuBytes = base.mtuBytes;
  link.up ||= base.up;
}

function ensureDummy({ links }: World, op: EnsureDummy): void {
  const link = ours(links, op.op, op) ?? links.add(op.name, "dummy", { alias: op.alias });
  link.mtuBytes = op.mtuBytes ?? link.mtuBytes;
  link.up = true;
}

function ensureLanLink(world: World, op: EnsureLanLink): void {
  const { links } = world;
  const parent = links.require(op.parent);
  const found = ours(links, op.op, op);
  const link = found?.lower === parent.index ? found : addLanLink(world, op, op.name);
  if (!op.up) return;
  const isTaken = links.all.some(
    (one) => one !== link && one.lower === parent.index && one.kind === "macvlan" && one.up && one.mac === link.mac,
  );
  if (isTaken) throw kernelError("EADDRINUSE", `ensure-lan-link ${op.name}`);
  link.up = true;
}

/** A link serves bridges, macvlan or ipvlan, one of them; and one macvlan link of the mode passthru alone. */
function addLanLink({ links }: World, op: LanLink, name: string): WorldLink {
  const parent = links.require(op.parent);
  const others = links.all.filter(({ lower, kind }) => lower === parent.index && kind !== "vlan");
  if (op.mtuBytes !== null && op.mtuBytes > parent.mtuBytes)
    throw new TsnetError("invalid", `ensure-lan-link ${name}: MTU ${op.mtuBytes}: EINVAL`, { errno: "EINVAL" });
  if (parent.master !== 0 || others.some(({ kind }) => kind !== op.link.kind))
    throw new TsnetError("conflict", `ensure-lan-link ${name}: EBUSY`, { errno: "EBUSY" });
  if (others.length > 0 && [...others.map(({ lanMode }) => lanMode), op.link.mode].includes("passthru"))
    throw new TsnetError("conflict", `ensure-lan-link ${name}: EINVAL`, { errno: "EINVAL" });
  const values = { alias: op.alias, lower: parent.index, lanMode: op.link.mode, mac: op.mac ?? parent.mac };
  return links.add(name, op.link.kind, { ...values, mtuBytes: op.mtuBytes ?? parent.mtuBytes });
}

/** What does not fit into the host's namespace is with the link. */
function restoreLanLink(world: World, op: RestoreLanLink): void {
  const { links, sandboxes } = world;
  if (!sandboxes.has(op.sandbox)) return;
  const there = links.all.filter(({ namespace }) => namespace === op.sandbox);
  if (there.some(({ alias }) => alias === op.alias)) return;
  const link = addLanLink(world, op, op.interfaceName ?? op.name);
  const { addresses, gateways, onLink } = op;
  Object.assign(link, { namespace: op.sandbox, up: true, restored: { addresses, gateways, onLink } });
}

function setSandboxMtu({ links }: World, { sandbox, alias, mtuBytes }: SetSandboxMtu): void {
  for (const link of links.all) if (link.namespace === sandbox && link.alias === alias) link.mtuBytes = mtuBytes;
}

function setLinkDown({ links }: World, op: SetLinkDown): void {
  const link = ours(links, op.op, op);
  if (link !== undefined) link.up = false;
}

function removeRoute({ links }: World, { link: name, destination }: RemoveRoute): void {
  const link = links.find(name);
  links.routes = links.routes.filter((route) => route.link !== link?.index || route.destination !== destination);
}

function ensureNeighbor(world: World, { link: name, address, mac }: EnsureNeighbor): void {
  const { links } = world;
  const link = links.require(name).index;
  removeNeighbor(world, { link: name, address });
  links.neighbors.push({ link, address, mac });
}

function removeNeighbor({ links }: World, { link: name, address }: Pick<RemoveNeighbor, "link" | "address">): void {
  const index = links.find(name)?.index;
  links.neighbors = links.neighbors.filter((one) => one.link !== index || one.address !== address);
}

/** The operations on links on parents. */
export const lanExecutors = {
  "ensure-vlan": ensureVlan,
  "ensure-dummy": ensureDummy,
  "ensure-lan-link": ensureLanLink,
  "restore-lan-link": restoreLanLink,
  "set-sandbox-mtu": setSandboxMtu,
  "set-link-down": setLinkDown,
  "remove-route": removeRoute,
  "ensure-neighbor": ensureNeighbor,
  "remove-neighbor": removeNeighbor,
} as const;
