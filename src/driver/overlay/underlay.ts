/** Which of its addresses this host has for others, and what a packet to them may have. */
import { TsnetError } from "../../errors.ts";
import { isSameFamily, parseHostAddress, parseIp } from "../../net/cidr.ts";
import type { ObservedPath } from "../../plan/observed.ts";
import type { Underlay } from "../../plan/overlay.ts";
import type { Kernel } from "../kernel.ts";

export interface UnderlayNeeds {
  readonly kernel: Pick<Kernel, "observe" | "observePath" | "observeAddresses">;
  /** TSNET_ADVERTISE_ADDRESS: an address, a link, or null. */
  readonly advertise: string | null;
  /** TSNET_VXLAN_PORT */
  readonly port: number;
  /** TSNET_PEERS */
  readonly peers: readonly string[];
  /** Another host, or null. */
  readonly somewhere: () => string | null;
  readonly knowsPlaces: boolean;
  /** What is known of the ways to other hosts besides their routes. */
  readonly probed?: {
    /** The biggest packet that has passed to a host, where that is less than its route promises. */
    readonly limits: ReadonlyMap<string, number>;
    /** Whether network cards spoil what they are left to make of packets in the tunnel. */
    readonly spoilsChecksums: boolean;
  };
}

/** The ways to other hosts, as they are asked for: many networks have the same hosts. */
export type Paths = Map<string, Promise<ObservedPath | undefined>>;

/** Where the routing leads if nobody else is known: RFC 5737's and RFC 3849's addresses, which nobody has. */
const anywhere = ["192.0.2.1", "2001:db8::1"];

/**
 * Finds this host's tunnel address, and the MTU of the way to the others: the smallest of the routes to those that are known.
 * @param hosts the tunnel addresses of those that have the network
 * @param paths is taken instead of the kernel's word, and completed
 * @throws TsnetError "conflict" that says what to set
 */
export async function findUnderlay(
  needs: UnderlayNeeds,
  hosts: readonly string[] = [],
  paths: Paths = new Map(),
): Promise<Underlay> {
  const { port, knowsPlaces, advertise, probed } = needs;
  const { local, mtuBytes: ownMtu } = advertise === null ? await byRouting(needs) : await bySetting(needs, advertise);
  await checkPeers(needs, local);
  const others = hosts.filter((host) => isSameFamily(host, local));
  const ways = await Promise.all(others.map((host) => mtuTo(needs, host, paths)));
  const known = ways.filter((mtu) => mtu !== undefined);
  const mtuBytes = known.length > 0 ? Math.min(...known) : ownMtu;
  return { local, mtuBytes, port, knowsPlaces, ...(probed?.spoilsChecksums ? { withoutTxChecksum: true } : {}) };
}

type Found = Pick<Underlay, "local" | "mtuBytes">;

async function mtuTo({ kernel, probed }: UnderlayNeeds, host: string, paths: Paths): Promise<number | undefined> {
  const asked = paths.get(host) ?? kernel.observePath(host);
  paths.set(host, asked);
  const path = await asked;
  return path && Math.min(path.mtuBytes, probed?.limits.get(host) ?? path.mtuBytes);
}

/** What can be said of TSNET_PEERS without asking them. */
async function checkPeers({ kernel, peers }: UnderlayNeeds, local: string): Promise<void> {
  const other = peers.find((peer) => !isSameFamily(peer, local));
  if (other !== undefined) {
    const what = `TSNET_PEERS: ${other} is of another family than ${local}, the tunnel address of this host`;
    throw new TsnetError("conflict", `${what}: set TSNET_ADVERTISE_ADDRESS to its address of the family of the peers`);
  }
  if (peers.length === 0) return;
  const own = new Set((await kernel.observeAddresses()).map(({ address }) => parseHostAddress(address).ip.text));
  const same = peers.find((peer) => own.has(peer));
  if (same === undefined) return;
  throw new TsnetError("conflict", `TSNET_PEERS: ${same} is an address of this host: name the other hosts only`);
}

async function byRouting({ kernel, somewhere }: UnderlayNeeds): Promise<Found> {
  const known = somewhere();
  for (const address of [...(known === null || isLoopback(known) ? [] : [known]), ...anywhere]) {
    const path = await kernel.observePath(address);
    if (path !== undefined && isUsable(path)) return { local: path.source, mtuBytes: path.mtuBytes };
    // a member of etcd, say, that runs on this host: the others reach it there
    if (path?.link === "lo" && address === known) return await byAddress(kernel, known);
    if (address === known) throw new TsnetError("conflict", `there is no route to ${known}: ${remedy}`);
  }
  throw new TsnetError("conflict", `no address of this host reaches others, as there is no default route: ${remedy}`);
}

const remedy = "set TSNET_ADVERTISE_ADDRESS to the address that the other hosts reach, or to its link";
const isLoopback = (address: string): boolean => address.startsWith("127.") || address === "::1";
const isUsable = ({ source, link }: ObservedPath): boolean => source !== "" && link !== "lo";

/** @param name what to blame if no link has it */
async function byAddress(kernel: UnderlayNeeds["kernel"], address: string, name = address): Promise<Found> {
  const { links, addresses } = await kernel.observe();
  const at = addresses.find((one) => parseHostAddress(one.address).ip.text === address);
  const link = links.find(({ index }) => index === at?.link);
  if (link !== undefined) return { local: address, mtuBytes: link.mtuBytes };
  throw new TsnetError("conflict", `${name}: no link of this host has this address (ip address)`);
}

async function bySetting({ kernel, somewhere }: UnderlayNeeds, advertise: string): Promise<Found> {
  const name = `TSNET_ADVERTISE_ADDRESS=${advertise}`;
  const isLink = !advertise.includes(":") && !/^[\d.]+$/.test(advertise);
  if (!isLink) return await byAddress(kernel, advertise, name);
  const { links, addresses } = await kernel.observe();
  const own = addresses.map(({ link, address }) => ({ link, ip: parseHostAddress(address).ip.text }));
  const link = links.find((one) => one.name === advertise);
  if (link === undefined) throw new TsnetError("conflict", `${name}: this host has no such link (ip link)`);
  const family = parseIp(somewhere() ?? "0.0.0.0").family;
  const candidates = own.filter(({ link: index, ip }) => index === link.index && !ip.startsWith("fe80:"));
  const wanted = candidates.find(({ ip }) => parseIp(ip).family === family) ?? candidates[0];
  if (wanted !== undefined) return { local: wanted.ip, mtuBytes: link.mtuBytes };
  throw new TsnetError("conflict", `${name}: the link has no address`);
}
