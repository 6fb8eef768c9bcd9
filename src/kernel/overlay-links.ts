/** Links between the host's namespace and one of ours: idempotent effects on both. */
import { hasErrno, TsnetError } from "../errors.ts";
import type { ObservedLink, ObservedPort } from "../plan/observed.ts";
import type { EnsureInnerVeth, EnsureVxlan, PortFlags } from "../plan/op-overlay.ts";
import { setTxChecksum } from "./ethtool.ts";
import type { Inside } from "./inside.ts";
import { aliasOf, encodeMac, mtuOf, pairOf, portFlagsOf, vxlanInfo } from "./link-attributes.ts";
import type { Namespaces } from "./namespaces.ts";
import { type Attribute, u32 } from "./netlink/codec.ts";
import { ifla } from "./netlink/constants.ts";
import { conflict, existing, ignoring, isOurs, type OwnLinks, unfinished } from "./own-links.ts";

export class OverlayLinks {
  readonly #host: OwnLinks;
  readonly #namespaces: Namespaces;

  /** @param host the namespace of this process */
  constructor(host: OwnLinks, namespaces: Namespaces) {
    this.#host = host;
    this.#namespaces = namespaces;
  }

  /** @throws TsnetError "conflict" if the VNI is in use on this host, with errno EEXIST, or the UDP port, with EADDRINUSE */
  ensureVxlan(op: EnsureVxlan): void {
    const inside = this.#namespaces.open(op.namespace);
    const found = inside.rtnetlink.getPort({ name: op.name });
    const isKept = found !== undefined && isSameVxlan(found, op);
    if (found && !isKept) {
      inside.forgetLink(op.name);
      inside.own.takeOut(found);
      inside.own.flush();
    }
    if (op.flags.learning) inside.events.ignoreLearned();
    const finish = (link: ObservedPort): void => {
      makePort(inside, link, op);
      if (op.withoutTxChecksum) setTxChecksum(inside.path, op.name, false);
      if (!link.up) up(inside, link, op);
    };
    if (isKept) finish(found);
    else {
      this.#createVxlan(op, inside);
      inside.own.finish(op.name, () => finish(existing(op.name, inside.rtnetlink.getPort(op))));
    }
    inside.noteLink(op.name);
  }

  #createVxlan(op: EnsureVxlan, { fd }: Inside): void {
    const attributes: Attribute[] = [vxlanInfo(op), ...mtuOf(op.mtuBytes), unfinished, [ifla.netNsFd, u32(fd)]];
    try {
      this.#host.rtnetlink.createLink(op.name, { attributes });
    } catch (error) {
      if (!hasErrno(error, "EEXIST")) throw error;
      const look =
        "another program, Docker's own overlay among them, may have hidden it in a network namespace: choose another with tsnet.vni";
      throw new TsnetError("conflict", `VNI ${op.vni} is in use on this host, UDP port ${op.port}: ${look}`, {
        errno: "EEXIST",
        cause: error,
      });
    }
  }

  /** @throws TsnetError "conflict" for a link of somebody else's with one of the names */
  ensureVeth(op: EnsureInnerVeth): void {
    const inside = this.#namespaces.open(op.namespace);
    const found = this.#findVeth(op, inside);
    if (found) this.#finishVeth(op, inside, found);
    else {
      this.#createVeth(op, inside);
      inside.own.finish(op.name, () => this.#finishVeth(op, inside, existing(op.name, inside.rtnetlink.getPort(op))));
    }
    inside.noteLink(op.name);
  }

  /** The end in the namespace. One whose other end was to stay in the host's, and is not there, is of no use: it goes. */
  #findVeth(op: EnsureInnerVeth, inside: Inside): ObservedPort | undefined {
    const found = inside.rtnetlink.getPort({ name: op.name });
    if (found && (!isOurs(found, op.alias) || found.kind !== "veth"))
      throw conflict(found, `is not tsnet's ${op.alias}`);
    if (found === undefined || op.peerMac === null || this.#host.rtnetlink.getLink({ name: op.peer })) return found;
    inside.forgetLink(op.name);
    ignoring(["ENODEV"], () => inside.rtnetlink.deleteLink({ index: found.index }));
    return undefined;
  }

  #finishVeth(op: EnsureInnerVeth, inside: Inside, link: ObservedPort): void {
    makePort(inside, link, op);
    if (!link.up) inside.rtnetlink.changeLink({ index: link.index }, { up: true, attributes: [] });
    this.#finishPeer(op);
  }

  #createVeth(op: EnsureInnerVeth, { fd }: Inside): void {
    this.#clearPeer(op);
    const both = [unfinished, ...mtuOf(op.mtuBytes)];
    const created = this.#host.create(op.name, { attributes: [...pairOf(op.peer, both), [ifla.netNsFd, u32(fd)]] });
    if (!created) throw this.#host.inTheWay(op.peer);
  }

  /** The other end of an earlier pair, whose end in the namespace is gone or waits for deletion there. */
  #clearPeer({ peer, peerAlias }: EnsureInnerVeth): void {
    const left = this.#host.rtnetlink.getLink({ name: peer });
    if (left === undefined) return;
    if (!isOurs(left, peerAlias)) throw conflict(left, `is not tsnet's ${peerAlias}`);
    ignoring(["ENODEV"], () => this.#host.rtnetlink.deleteLink({ index: left.index }));
  }

  /** The end in the host's namespace, unless dockerd has taken it. */
  #finishPeer({ peer, peerAlias, peerMac, mtuBytes }: EnsureInnerVeth): void {
    const link = this.#host.rtnetlink.getLink({ name: peer });
    if (link === undefined) return;
    if (!isOurs(link, peerAlias)) throw conflict(link, `is not tsnet's ${peerAlias}`);
    const key = { index: link.index };
    const attributes: Attribute[] = [
      ...(peerMac === null || link.mac === peerMac ? [] : [[ifla.address, encodeMac(peerMac)] as const]),
      ...(link.mtuBytes >= mtuBytes ? [] : mtuOf(mtuBytes)),
    ];
    if (peerMac === null) {
      const named = link.alias === peerAlias ? [] : aliasOf(peerAlias);
      if (named.length + attributes.length > 0)
        this.#host.rtnetlink.changeLink(key, { attributes: [...named, ...attributes] });
      return;
    }
    if (link.alias !== peerAlias) this.#host.nameQuietly(key, peerAlias);
    if (attributes.length > 0 || !link.up) this.#host.rtnetlink.changeLink(key, { up: true, attributes });
  }
}

function isSameVxlan(found: ObservedLink, { alias, vni, port, local, flags }: EnsureVxlan): boolean {
  const { vxlan } = found;
  const isSame = vxlan?.vni === vni && vxlan.port === port && vxlan.local === local;
  return isOurs(found, alias) && isSame && vxlan.learning === flags.learning;
}

/** A link becomes a port of the bridge, with its alias, before it is up. What is right already is not sent again. */
function makePort(
  { rtnetlink, own }: Inside,
  link: ObservedPort,
  { master, flags, mtuBytes, alias }: Pick<EnsureVxlan, "master" | "flags" | "mtuBytes" | "alias">,
): void {
  const key = { index: link.index };
  const bridge = own.existing(master).index;
  const isPort = link.master === bridge;
  const attributes: Attribute[] = [
    // a port passes on nothing that is bigger, and tells nobody: what is there already may have bigger packets than what is made now
    ...(link.mtuBytes >= mtuBytes ? [] : mtuOf(mtuBytes)),
    ...(isPort ? [] : [[ifla.master, u32(bridge)] as const]),
    ...(link.alias === alias && link.group === 0 ? [] : aliasOf(alias)),
  ];
  if (attributes.length > 0) rtnetlink.changeLink(key, { attributes });
  // one that joins a bridge begins with the usual flags
  if (!isPort || !hasFlags(link, flags)) rtnetlink.changeLink(key, { attributes: [portFlagsOf(flags)] });
}

const hasFlags = ({ flags }: ObservedPort, { learning, suppress, flood }: PortFlags): boolean =>
  flags?.learning === learning && flags.suppress === suppress && flags.flood === flood;

function up({ rtnetlink }: Inside, { index }: ObservedLink, { port }: EnsureVxlan): void {
  try {
    rtnetlink.changeLink({ index }, { up: true, attributes: [] });
  } catch (error) {
    if (!hasErrno(error, "EADDRINUSE")) throw error;
    const who = "another program has the port, or a VXLAN link with other options than tsnet's";
    throw new TsnetError(
      "conflict",
      `UDP port ${port} of this host is taken: ${who} (ss -lunp); set TSNET_VXLAN_PORT`,
      {
        errno: "EADDRINUSE",
        cause: error,
      },
    );
  }
}
