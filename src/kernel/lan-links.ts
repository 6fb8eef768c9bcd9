/** Links of networks with a parent: macvlan, ipvlan, and the parents that are ours. Idempotent effects on one network namespace. */
import { hasErrno } from "../errors.ts";
import type { ObservedLink } from "../plan/observed.ts";
import type { EnsureDummy, EnsureLanLink, EnsureVlan, SetLinkDown } from "../plan/op-links.ts";
import { dummyInfo, encodeMac, mtuOf, vlanInfo } from "./link-attributes.ts";
import { makeLink, type NewLink, newLanLink, refusedUp } from "./make-link.ts";
import { type Attribute, u32 } from "./netlink/codec.ts";
import { ifla } from "./netlink/constants.ts";
import type { Rtnetlink } from "./netlink/rtnetlink.ts";
import { conflict, ignoring, isOurs, type OwnLinks } from "./own-links.ts";

/** A link that is to be there. */
interface Wanted extends NewLink {
  readonly alias: string;
  /** Whether a link that is ours, and of this kind, is the wanted one: if not, it is made anew. */
  readonly isRight: (found: ObservedLink) => boolean;
}

export class LanLinks {
  readonly #own: OwnLinks;
  readonly #rtnetlink: Rtnetlink;

  constructor(own: OwnLinks) {
    this.#own = own;
    this.#rtnetlink = own.rtnetlink;
  }

  /** On a base that is down it is made all the same: the kernel takes it up with its base (vlan_device_event() in net/8021q/vlan.c). */
  ensureVlan({ name, alias, base, vlanId }: EnsureVlan): void {
    const { index, mtuBytes } = this.#own.existing(base);
    const isRight = ({ lower, vlanId: has }: ObservedLink): boolean => lower === index && has === vlanId;
    const found = this.#ensure({
      ...{ name, alias, kind: "vlan", isRight },
      attributes: [[ifla.link, u32(index)], vlanInfo(vlanId)],
      explain: (error) => {
        const other = hasErrno(error, "EEXIST") ? this.#rtnetlink.listLinks().find(isRight) : undefined;
        return other && conflict(other, `has the VLAN ID ${vlanId} of ${base}`);
      },
    });
    if (found) this.#mend(found, null, mtuBytes);
    if (!found?.up) ignoring(["ENETDOWN"], () => this.#setUp(name));
  }

  ensureDummy({ name, alias, mtuBytes }: EnsureDummy): void {
    const found = this.#ensure({
      ...{ name, alias, kind: "dummy", isRight: () => true, explain: () => undefined },
      attributes: [dummyInfo, ...mtuOf(mtuBytes)],
    });
    if (found) this.#mend(found, null, mtuBytes ?? found.mtuBytes);
    if (!found?.up) this.#setUp(name);
  }

  ensureLanLink(op: EnsureLanLink): void {
    const { name, alias, mac, mtuBytes } = op;
    const parent = this.#own.existing(op.parent);
    const isRight = ({ lower }: ObservedLink): boolean => lower === parent.index;
    const found = this.#ensure({ ...newLanLink(op, parent), alias, isRight });
    if (found) this.#mend(found, mac, mtuBytes ?? parent.mtuBytes);
    if (!op.up || found?.up) return;
    try {
      this.#setUp(name);
    } catch (error) {
      throw refusedUp(error, op);
    }
  }

  setLinkDown({ name, alias }: SetLinkDown): void {
    const link = this.#rtnetlink.getLink({ name });
    if (link?.alias !== alias || !link.up) return;
    ignoring(["ENODEV"], () => this.#rtnetlink.changeLink({ index: link.index }, { up: false, attributes: [] }));
  }

  /** @returns the link as it was found; undefined if it was made, and is down */
  #ensure(wanted: Wanted): ObservedLink | undefined {
    const { name, alias, kind, isRight } = wanted;
    if (!makeLink(this.#own, wanted)) {
      const found = this.#own.existing(name);
      if (!isOurs(found, alias)) throw conflict(found, `is not tsnet's ${alias}`);
      if (found.alias === alias && found.kind === kind && isRight(found)) return found;
      this.#own.takeOut(found);
      if (!makeLink(this.#own, wanted)) throw this.#own.inTheWay(name);
    }
    this.#own.finish(name, () => this.#own.nameQuietly({ name }, alias));
    return undefined;
  }

  #mend({ index, ...found }: ObservedLink, mac: string | null, mtuBytes: number): void {
    const attributes: Attribute[] = found.mtuBytes === mtuBytes ? [] : mtuOf(mtuBytes);
    if (mac !== null && found.mac !== mac) attributes.push([ifla.address, encodeMac(mac)]);
    if (attributes.length > 0) this.#rtnetlink.changeLink({ index }, { attributes });
  }

  #setUp(name: string): void {
    this.#rtnetlink.changeLink({ name }, { up: true, attributes: [] });
  }
}
