/** Addresses, routes and neighbors of links: idempotent effects on one network namespace. */
import type {
  EnsureAddress,
  EnsureNeighbor,
  EnsureRoute,
  RemoveAddress,
  RemoveNeighbor,
  RemoveRoute,
} from "../plan/op-links.ts";
import { encodeMac } from "./link-attributes.ts";
import { route } from "./netlink/constants.ts";
import type { Rtnetlink } from "./netlink/rtnetlink.ts";
import { ignoring, type OwnLinks } from "./own-links.ts";

export class Addresses {
  readonly #own: OwnLinks;
  readonly #rtnetlink: Rtnetlink;

  constructor(own: OwnLinks) {
    this.#own = own;
    this.#rtnetlink = own.rtnetlink;
  }

  ensureAddress({ link, address, scope }: EnsureAddress): void {
    const options = scope === "host" ? { scope: route.scopeHost } : {};
    ignoring(["EEXIST"], () => this.#rtnetlink.replaceAddress(this.#own.existing(link).index, address, options));
  }

  removeAddress({ link, address }: RemoveAddress): void {
    const gone = ["EADDRNOTAVAIL", "ENODEV"];
    this.#ifThere(link, gone, (index) => this.#rtnetlink.deleteAddress(index, address));
  }

  ensureRoute({ link, destination, source }: EnsureRoute): void {
    this.#rtnetlink.replaceRoute(this.#own.existing(link).index, destination, source);
  }

  removeRoute({ link, destination }: RemoveRoute): void {
    this.#ifThere(link, ["ESRCH", "ENODEV"], (index) => this.#rtnetlink.deleteRoute(index, destination));
  }

  ensureNeighbor({ link, address, mac }: EnsureNeighbor): void {
    this.#rtnetlink.replaceNeighbor(this.#own.existing(link).index, address, encodeMac(mac));
  }

  removeNeighbor({ link, address }: RemoveNeighbor): void {
    this.#ifThere(link, ["ENOENT", "ENODEV"], (index) => this.#rtnetlink.deleteNeighbor(index, address));
  }

  #ifThere(name: string, gone: readonly string[], work: (index: number) => void): void {
    const link = this.#rtnetlink.getLink({ name });
    if (link) ignoring(gone, () => work(link.index));
  }
}
