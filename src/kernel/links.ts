/** Links, their addresses and routes: idempotent effects on one network namespace. */
import { existsSync } from "node:fs";
import { hasErrno, TsnetError } from "../errors.ts";
import type { ObservedLink } from "../plan/observed.ts";
import type {
  EnsureAddress,
  EnsureBridge,
  EnsurePort,
  EnsureRoute,
  EnsureVeth,
  RemoveAddress,
  RemoveLinks,
} from "../plan/op.ts";
import { aliasOf, bridgeOf, encodeMac, hairpinOf, hostEndOf, mtuOf, pairOf } from "./link-attributes.ts";
import { type Attribute, text, u32 } from "./netlink/codec.ts";
import { ifla } from "./netlink/constants.ts";
import type { LinkChange, Rtnetlink } from "./netlink/rtnetlink.ts";

/** The group of links that wait for deletion: "tsne". Groups belong to everybody; nobody takes this one by chance. */
export const removalGroup = 0x74736e65;

/**
 * The group of a link that is being made and has no alias yet, since the kernel takes none with RTM_NEWLINK's creation. Who
 * finds a link in it after a crash knows that it is ours.
 */
const unfinishedGroup = 0x74736e66;

/** There while br_netfilter is loaded: net/bridge/br_netfilter_hooks.c. */
const bridgeNetfilter = "/proc/sys/net/bridge";

const unfinished: Attribute = [ifla.group, u32(unfinishedGroup)];

/** What marks every alias of ours. */
export const aliasPrefix = "tsnet:";

export class Links {
  readonly #rtnetlink: Rtnetlink;
  /** Indexes of bridges, by name, as they were last. */
  readonly #masters = new Map<string, number>();
  /** Kernels before 6.2 refuse to rename a link that is up, with EBUSY. */
  #canRenameUp = true;

  constructor(rtnetlink: Rtnetlink) {
    this.#rtnetlink = rtnetlink;
  }

  ensureBridge(op: EnsureBridge): void {
    if (op.nfCall && !existsSync(bridgeNetfilter)) {
      const what = "containers can be kept apart (enable_icc=false) only with the kernel module br_netfilter";
      throw new TsnetError("kernel", `${what}, which is not loaded: modprobe br_netfilter`);
    }
    if (op.alias === null) this.#useBridge(op);
    else this.#ensureOwnBridge(op, op.alias);
  }

  #ensureOwnBridge(op: EnsureBridge, alias: string): void {
    this.#masters.delete(op.name);
    const attributes: Attribute[] = [[ifla.address, encodeMac(op.mac)], bridgeOf(op.nfCall)];
    // the MTU is not given to the creation: only a later change makes the bridge keep it when ports come (br_change_mtu())
    const finish: Attribute[] = [...aliasOf(alias), ...mtuOf(op.mtuBytes)];
    if (this.#create(op.name, { attributes: [...attributes, unfinished] })) {
      this.#finish(op.name, () => this.#rtnetlink.changeLink({ name: op.name }, { up: true, attributes: finish }));
      return;
    }
    const found = this.#existing(op.name);
    if (found.kind !== "bridge" || !isOurs(found, alias)) throw conflict(found, `is not tsnet's ${alias}`);
    const isSame = found.mac === op.mac && found.nfCall === op.nfCall && found.up && found.alias === alias;
    if (isSame && (op.mtuBytes === null || found.mtuBytes === op.mtuBytes)) return;
    this.#rtnetlink.changeLink({ index: found.index }, { up: true, attributes: [...attributes, ...finish] });
  }

  ensureVeth(op: EnsureVeth): void {
    if (!this.#createPair(op)) this.#mendVeth(op, this.#existing(op.master).index);
  }

  /**
   * The bridge's index is looked up once: each pair would pay a tenth of its cost for it. If the bridge has been made anew since,
   * the kernel refuses the old index.
   * @returns false if there is a link of that name
   */
  #createPair(op: EnsureVeth): boolean {
    const known = this.#masters.get(op.master);
    const master = known ?? this.#existing(op.master).index;
    this.#masters.set(op.master, master);
    try {
      if (!this.#create(op.name, { attributes: pairOf(op.peer, [unfinished, ...mtuOf(op.mtuBytes)]) }, op.peer)) {
        return false;
      }
      this.#finish(op.name, () => this.#makePort(op, master));
      return true;
    } catch (error) {
      this.#masters.delete(op.master);
      const isConflict = error instanceof TsnetError && error.code === "conflict";
      if (isConflict ? !this.#clearEarlier(op) : known === undefined) throw error;
      return this.#createPair(op);
    }
  }

  /**
   * A new link passes for one with a carrier until the kernel has looked, which asking for it brings about (rtnl_getlink() in
   * net/core/rtnetlink.c). A port with a carrier that comes up makes the bridge go through all of its ports: with 900 of them
   * that takes 0.3 ms. Without one it takes 0.02 ms, and the carrier comes when the container's end is up.
   */
  #makePort({ name, peer, alias, peerAlias, hairpin }: EnsureVeth, master: number): void {
    this.#rtnetlink.getLink({ name });
    this.#rtnetlink.changeLink({ name }, { attributes: [[ifla.master, u32(master)]] });
    const attributes: Attribute[] = [...hostEndOf(alias), ...(hairpin ? [hairpinOf(true)] : [])];
    this.#rtnetlink.changeLink({ name }, { up: true, attributes });
    this.#rtnetlink.changeLink({ name: peer }, { attributes: aliasOf(peerAlias) });
  }

  /**
   * The same endpoint again, while its earlier pair waits for deletion: the container's end has its name still.
   * @returns whether that was in the way, and is no more
   */
  #clearEarlier({ name, peer, peerAlias }: EnsureVeth): boolean {
    if (this.#rtnetlink.getLink({ name }) || this.#rtnetlink.getLink({ name: peer })?.alias !== peerAlias) return false;
    this.flushRemoved();
    return this.#rtnetlink.getLink({ name: peer }) === undefined;
  }

  ensurePort(op: EnsurePort): void {
    const link = this.#existing(op.name);
    if (!link.alias.startsWith(aliasPrefix)) throw conflict(link, "is not tsnet's");
    this.#mendPort(link, { master: this.#existing(op.master).index, hairpin: op.hairpin });
  }

  ensureAddress(op: EnsureAddress): void {
    ignoring(["EEXIST"], () => this.#rtnetlink.replaceAddress(this.#existing(op.link).index, op.address));
  }

  removeAddress(op: RemoveAddress): void {
    const link = this.#rtnetlink.getLink({ name: op.link });
    if (link) ignoring(["EADDRNOTAVAIL", "ENODEV"], () => this.#rtnetlink.deleteAddress(link.index, op.address));
  }

  ensureRoute(op: EnsureRoute): void {
    this.#rtnetlink.replaceRoute(this.#existing(op.link).index, op.destination, op.source);
  }

  /** One link of RemoveLinks. */
  removeLink({ name, alias }: RemoveLinks["links"][number]): void {
    const link = this.#rtnetlink.getLink({ name });
    // A link of somebody else's has the name now: ours is gone, and this one is none of our business.
    if (!link || !isOurs(link, alias)) return;
    this.#masters.delete(name);
    ignoring(["ENODEV"], () => this.#takeOut(link));
  }

  /** Deletes all links that `removeLink` has taken out of use. */
  flushRemoved(): void {
    ignoring(["ENODEV"], () => this.#rtnetlink.deleteGroup(removalGroup));
  }

  #takeOut({ index, up, master }: ObservedLink): void {
    const doomed: Attribute[] = [
      [ifla.ifname, text(`tsd-${index.toString(16)}`)],
      [ifla.group, u32(removalGroup)],
    ];
    const free: Attribute[] = master === 0 ? [] : [[ifla.master, u32(0)]];
    if (this.#canRenameUp || !up) {
      try {
        this.#rtnetlink.changeLink({ index }, { up: false, attributes: [...doomed, ...free] });
        return;
      } catch (error) {
        if (!hasErrno(error, "EBUSY") || !up) throw error;
        this.#canRenameUp = false;
      }
    }
    this.#rtnetlink.changeLink({ index }, { up: false, attributes: free });
    this.#rtnetlink.changeLink({ index }, { attributes: doomed });
  }

  /** A bridge of the user's: it must be one. */
  #useBridge(op: EnsureBridge): void {
    const link = this.#existing(op.name);
    if (link.kind !== "bridge") throw new TsnetError("conflict", `existing interface ${op.name} is not a bridge`);
    if (link.up && (link.nfCall || !op.nfCall)) return;
    this.#rtnetlink.changeLink({ index: link.index }, { up: true, attributes: op.nfCall ? [bridgeOf(true)] : [] });
  }

  #mendVeth(op: EnsureVeth, master: number): void {
    const found = this.#rtnetlink.getVeth({ name: op.name });
    if (!found || !isOurs(found.link, op.alias) || found.link.kind !== "veth") throw this.#inTheWay(op.name, op.peer);
    const { link } = found;
    const key = { index: link.index };
    if (link.alias !== op.alias) this.#rtnetlink.changeLink(key, { attributes: hostEndOf(op.alias) });
    const mtu = op.mtuBytes === link.mtuBytes ? [] : mtuOf(op.mtuBytes);
    if (mtu.length > 0) this.#rtnetlink.changeLink(key, { attributes: mtu });
    this.#mendPort(link, { master, hairpin: op.hairpin });
    const peer = found.peer.isElsewhere ? undefined : this.#rtnetlink.getLink({ index: found.peer.index });
    if (!peer || peer.alias === op.peerAlias) return;
    this.#rtnetlink.changeLink({ index: peer.index }, { attributes: aliasOf(op.peerAlias) });
  }

  #mendPort(link: ObservedLink, { master, hairpin }: { master: number; hairpin: boolean }): void {
    const key = { index: link.index };
    const isPort = link.master === master;
    if (!isPort || !link.up) {
      const attributes: Attribute[] = isPort ? [] : [[ifla.master, u32(master)]];
      this.#rtnetlink.changeLink(key, { up: true, attributes });
    }
    // a port that joins a bridge begins without it
    const isHairpin = isPort && link.hairpin === true;
    if (isHairpin !== hairpin) this.#rtnetlink.changeLink(key, { attributes: [hairpinOf(hairpin)] });
  }

  /** @returns false if there is a link of that name */
  #create(name: string, change: LinkChange, ...others: string[]): boolean {
    try {
      this.#rtnetlink.createLink(name, change);
      return true;
    } catch (error) {
      if (!hasErrno(error, "EEXIST")) throw error;
      if (this.#rtnetlink.getLink({ name })) return false;
      throw this.#inTheWay(...others, name);
    }
  }

  /** What follows a creation: if it fails, the link goes again. */
  #finish(name: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      ignoring(["ENODEV"], () => this.#rtnetlink.deleteLink({ name }));
      throw error;
    }
  }

  #existing(name: string): ObservedLink {
    const link = this.#rtnetlink.getLink({ name });
    if (link) return link;
    throw new TsnetError("kernel", `RTM_GETLINK: ENODEV No such device: ${name}`, { errno: "ENODEV" });
  }

  /** The error that names the first of these links that exists. */
  #inTheWay(...names: string[]): TsnetError {
    for (const name of names) {
      const link = this.#rtnetlink.getLink({ name });
      if (link) return conflict(link, "is in the way");
    }
    return new TsnetError("kernel", `RTM_NEWLINK: EEXIST: ${names.join(" or ")} existed, and is gone`, {
      errno: "EEXIST",
    });
  }
}

/** Whether a link carries the alias, or was left by a crash before it could get one. */
const isOurs = (link: ObservedLink, alias: string): boolean =>
  link.alias === alias || (link.alias === "" && link.group === unfinishedGroup);

function conflict(link: ObservedLink, problem: string): TsnetError {
  const kind = link.kind === "" ? "link" : link.kind;
  const alias = link.alias === "" ? "without an alias" : `with the alias ${JSON.stringify(link.alias)}`;
  return new TsnetError("conflict", `the ${kind} ${link.name} ${alias} ${problem}: rename or delete it`);
}

function ignoring(errnos: readonly string[], work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!errnos.some((errno) => hasErrno(error, errno))) throw error;
  }
}
