/** Bridges and their ports: idempotent effects on one network namespace. */
import { TsnetError } from "../errors.ts";
import type { ObservedLink } from "../plan/observed.ts";
import type { EnsureBridge, EnsurePort, EnsureVeth, RemoveLinks } from "../plan/op-links.ts";
import { hasBridgeFilter } from "./bridge-filter.ts";
import { aliasOf, bridgeOf, encodeMac, hairpinOf, mtuOf, pairOf } from "./link-attributes.ts";
import { type Attribute, u32 } from "./netlink/codec.ts";
import { ifla } from "./netlink/constants.ts";
import type { Rtnetlink } from "./netlink/rtnetlink.ts";
import { aliasPrefix, conflict, isOurs, type OwnLinks, unfinished } from "./own-links.ts";

export class Links {
  readonly #own: OwnLinks;
  readonly #rtnetlink: Rtnetlink;
  /** Indexes of bridges, by name, as they were last. */
  readonly #masters = new Map<string, number>();

  constructor(own: OwnLinks) {
    this.#own = own;
    this.#rtnetlink = own.rtnetlink;
  }

  ensureBridge(op: EnsureBridge): void {
    if (op.nfCall && !hasBridgeFilter()) {
      const what = "containers can be kept apart (enable_icc=false) only with the kernel module br_netfilter";
      throw new TsnetError("kernel", `${what}, which is not loaded: modprobe br_netfilter`);
    }
    if (op.alias === null) this.#useBridge(op);
    else this.#ensureOwnBridge(op, op.alias);
  }

  #ensureOwnBridge(op: EnsureBridge, alias: string): void {
    this.#masters.delete(op.name);
    const attributes: Attribute[] = [[ifla.address, encodeMac(op.mac)], bridgeOf(op.nfCall, op.withoutVlans)];
    // the MTU is not given to the creation: only a later change makes the bridge keep it when ports come (br_change_mtu())
    const finish: Attribute[] = [...aliasOf(alias), ...mtuOf(op.mtuBytes)];
    if (this.#own.create(op.name, { attributes: [...attributes, unfinished] })) {
      this.#own.finish(op.name, () => this.#rtnetlink.changeLink({ name: op.name }, { up: true, attributes: finish }));
      return;
    }
    const found = this.#own.existing(op.name);
    if (found.kind !== "bridge" || !isOurs(found, alias)) throw conflict(found, `is not tsnet's ${alias}`);
    const isSame = found.mac === op.mac && found.up && found.alias === alias;
    const isFiltered = op.nfCall === null || found.nfCall === op.nfCall;
    if (isSame && isFiltered && (op.mtuBytes === null || found.mtuBytes === op.mtuBytes)) return;
    this.#rtnetlink.changeLink({ index: found.index }, { up: true, attributes: [...attributes, ...finish] });
  }

  ensureVeth(op: EnsureVeth): void {
    if (!this.#createPair(op)) this.#mendVeth(op, this.#own.existing(op.master).index);
  }

  /**
   * The bridge's index is looked up once: each pair would pay a tenth of its cost for it. If the bridge has been made anew since,
   * the kernel refuses the old index.
   * @returns false if there is a link of that name
   */
  #createPair(op: EnsureVeth): boolean {
    const known = this.#masters.get(op.master);
    const master = known ?? this.#own.existing(op.master).index;
    this.#masters.set(op.master, master);
    try {
      if (!this.#own.create(op.name, { attributes: pairOf(op.peer, [unfinished, ...mtuOf(op.mtuBytes)]) }, op.peer)) {
        return false;
      }
      this.#own.finish(op.name, () => this.#makePort(op, master));
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
    this.#own.nameQuietly({ name }, alias, { up: true, attributes: hairpin ? [hairpinOf(true)] : [] });
    this.#rtnetlink.changeLink({ name: peer }, { attributes: aliasOf(peerAlias) });
  }

  /**
   * The same endpoint again, while its earlier pair waits for deletion: the container's end has its name still.
   * @returns whether that was in the way, and is no more
   */
  #clearEarlier({ name, peer, peerAlias }: EnsureVeth): boolean {
    if (this.#rtnetlink.getLink({ name }) || this.#rtnetlink.getLink({ name: peer })?.alias !== peerAlias) return false;
    this.#own.flush();
    return this.#rtnetlink.getLink({ name: peer }) === undefined;
  }

  ensurePort(op: EnsurePort): void {
    const link = this.#own.existing(op.name);
    if (!link.alias.startsWith(aliasPrefix)) throw conflict(link, "is not tsnet's");
    this.#mendPort(link, { master: this.#own.existing(op.master).index, hairpin: op.hairpin });
  }

  /** One link of RemoveLinks. */
  removeLink(link: RemoveLinks["links"][number]): void {
    if (this.#own.remove(link)) this.#masters.delete(link.name);
  }

  /** A bridge of the user's: it must be one. */
  #useBridge(op: EnsureBridge): void {
    const link = this.#own.existing(op.name);
    if (link.kind !== "bridge") throw new TsnetError("conflict", `existing interface ${op.name} is not a bridge`);
    if (link.up && (link.nfCall || !op.nfCall)) return;
    this.#rtnetlink.changeLink({ index: link.index }, { up: true, attributes: op.nfCall ? [bridgeOf(true)] : [] });
  }

  #mendVeth(op: EnsureVeth, master: number): void {
    const found = this.#rtnetlink.getVeth({ name: op.name });
    if (!found || !isOurs(found.link, op.alias) || found.link.kind !== "veth") {
      throw this.#own.inTheWay(op.name, op.peer);
    }
    const { link } = found;
    const key = { index: link.index };
    if (link.alias !== op.alias) this.#own.nameQuietly(key, op.alias);
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
}
