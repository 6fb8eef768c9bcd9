/** Which link of the host a network is on. */
import { TsnetError } from "../errors.ts";
import { parseLinkAlias } from "../net/names.ts";
import { parseVlanName } from "../net/vlan.ts";
import type { LanNetwork, Parent } from "./network.ts";
import type { ObservedLink } from "./observed.ts";
import { removedGroup } from "./reconcile.ts";

/**
 * What the parent of a network is, seen among the host's links: somebody else's link, or one of a VLAN, which is there or is for
 * tsnet to make. The words are those of Docker's own drivers (moby, drivers/macvlan/macvlan_setup.go), where they have some.
 * @throws TsnetError "invalid" if there is no such link and none can be made; "conflict" if the link cannot serve; both with the
 * option's key and value
 */
export function findParent(network: LanNetwork, links: readonly ObservedLink[]): Parent {
  const { parent } = network;
  if (parent.kind === "dummy") return parent;
  refuseLoopback(parent.name, network);
  const there = links.filter(({ group }) => group !== removedGroup);
  const found = there.find(({ name }) => name === parent.name);
  if (found === undefined) return newVlan(network, there);
  refuseUnfit(found, parent.name);
  refuseTaken(found, there);
  refuseWider(network, found);
  const owner = parseLinkAlias(found.alias);
  return { name: parent.name, kind: owner?.role === "vlan" && owner.id === parent.name ? "vlan" : "link" };
}

/** A parent that is not there: Docker's drivers make it if it is called like a VLAN. */
function newVlan(network: LanNetwork, links: readonly ObservedLink[]): Parent {
  const { name } = network.parent;
  if (!name.includes(".")) {
    const reason = `invalid subinterface vlan name ${name}, example formatting is eth0.10`;
    throw refusal(name, `${reason}: this host has no link ${name}; ip link lists those that it has`);
  }
  const { base: baseName, vlanId } = nameOfVlan(name);
  refuseLoopback(baseName, network);
  const base = links.find((link) => link.name === baseName);
  if (base === undefined) throw refusal(name, `-o parent interface was not found on the host: ${baseName}`);
  refuseUnfit(base, name);
  refuseWider(network, base);
  const same = links.find((link) => link.vlanId === vlanId && link.lower === base.index);
  if (same === undefined) return { name, kind: "vlan" };
  throw conflict(name, `VLAN ${vlanId} of ${baseName} is the link ${same.name} already; give parent=${same.name}`);
}

function nameOfVlan(name: string): ReturnType<typeof parseVlanName> {
  try {
    return parseVlanName(name);
  } catch (error) {
    throw refusal(name, error instanceof Error ? error.message : String(error));
  }
}

/** As Docker, by the name: each network namespace has this one loopback link. */
function refuseLoopback(name: string, { mode, parent }: LanNetwork): void {
  if (name !== "lo") return;
  throw refusal(
    parent.name,
    `loopback interface is not a valid ${mode} parent link; give a link that leads to the LAN`,
  );
}

/**
 * @param option the value of the option, of which the link may be the base
 * @throws TsnetError "conflict" for a link that is not there to stay, or is no Ethernet
 */
function refuseUnfit(link: ObservedLink, option: string): void {
  const owner = parseLinkAlias(link.alias);
  if (owner !== undefined && owner.role !== "bridge" && owner.role !== "vlan") {
    const whose = owner.role === "shim" || owner.role === "dummy" ? "network" : "endpoint";
    throw conflict(
      option,
      `the link ${link.name} belongs to ${whose} ${owner.id}, and goes with it; give another parent`,
    );
  }
  if (link.mac === "") throw conflict(option, `the link ${link.name} is not Ethernet: it has no MAC address`);
}

/**
 * A link passes what it receives, but for VLANs, to one taker only: net/core/dev.c. A VRF is none: it takes packets at layer 3.
 * What would be on a macvlan or ipvlan link, the kernel puts on the link below: drivers/net/macvlan.c.
 */
function refuseTaken(link: ObservedLink, links: readonly ObservedLink[]): void {
  const { name } = link;
  if (/^(macvlan|macvtap|ipvlan|ipvtap)$/.test(link.kind)) {
    const lower = links.find(({ index }) => index === link.lower);
    const instead = lower === undefined ? "another parent" : `parent=${lower.name}, which it is on`;
    throw conflict(name, `the link ${name} is of kind ${link.kind} itself; give ${instead}`);
  }
  if (link.master === 0) return;
  const master = links.find(({ index }) => index === link.master);
  if (master?.kind === "vrf") return;
  const what = master === undefined ? `link ${link.master}` : `the ${master.kind} ${master.name}`;
  const instead = master === undefined ? "another parent" : `parent=${master.name}`;
  throw conflict(name, `the link ${name} is a port of ${what}, which takes what it receives; give ${instead}`);
}

/** The kernel has no packets on a VLAN, or on macvlan or ipvlan, that are larger than those of the link below. */
function refuseWider({ mtuBytes, parent }: LanNetwork, { name, mtuBytes: most }: ObservedLink): void {
  if (mtuBytes === null || mtuBytes <= most) return;
  const key = "com.docker.network.driver.mtu";
  const reason = `is more than the ${most} bytes of ${name}, with parent=${parent.name}`;
  throw new TsnetError("invalid", `${key}=${mtuBytes} ${reason}; give at most ${most}, or none to follow the parent`);
}

const refusal = (parent: string, reason: string): TsnetError =>
  new TsnetError("invalid", `parent=${parent}: ${reason}`);

const conflict = (parent: string, reason: string): TsnetError =>
  new TsnetError("conflict", `parent=${parent}: ${reason}`);
