/**
 * Flows that the kernel remembers (ctnetlink): include/uapi/linux/netfilter/nfnetlink_conntrack.h. A UDP flow keeps the
 * translation that it began with for as long as packets come, whatever the rules say meanwhile.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { hasErrno } from "../errors.ts";
import type { ForgetFlows } from "../plan/op.ts";
import { addressFamily, inetPton } from "./libc.ts";
import { type Attribute, findAttribute, u8, u32 } from "./netlink/codec.ts";
import { cta, ctaFilter, ctaIp, ctaProto, ctaTuple, ctMessage, netlinkNetfilter } from "./netlink/constants.ts";
import { NetlinkSocket } from "./netlink/socket.ts";

/** struct nfgenmsg: family, version, resource ID. include/uapi/linux/netfilter/nfnetlink.h. */
const nfgenBytes = 4;
const nfgen = (family: number): Uint8Array => Uint8Array.of(family, 0, 0, 0);

/** IPPROTO_UDP. */
const udp = 17;

/** IPS_SRC_NAT, IPS_DST_NAT of include/uapi/linux/netfilter/nf_conntrack_common.h. */
const status = { sourceTranslated: 1 << 4, destinationTranslated: 1 << 5 } as const;

/** CTA_FILTER_F_CTA_PROTO_NUM: of a tuple, the protocol is compared (net/netfilter/nf_internals.h). */
const compareProtocol = 1 << 3;

/** A deletion takes 12 µs: after so many, other calls of this thread have their turn. */
const deletionsAtOnce = 250;

/** What the flows of one IP family are compared with. Addresses are hexadecimal, so that they can be looked up. */
interface Wanted {
  readonly family: number;
  readonly ports: ReadonlySet<number>;
  readonly addresses: ReadonlySet<string>;
}

/** What deletes one flow. */
interface Flow {
  readonly family: number;
  readonly attributes: readonly Attribute[];
}

/** A socket of this thread's network namespace. */
export class Conntrack {
  readonly #socket = new NetlinkSocket(netlinkNetfilter);
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Deletes the flows that plan/op.ts says. Equivalent to: `conntrack -D -p udp --orig-port-dst PORT` for each port, but for
   * flows that are only masqueraded, and `conntrack -D -p udp --dst-nat ADDRESS` for each address. A flow that is gone is
   * success. The kernel walks its whole table once for each family, which takes some milliseconds however few flows there are;
   * other calls of this thread have their turn meanwhile.
   * @throws TsnetError "kernel"; the flows that could be deleted are
   */
  forgetFlows(op: ForgetFlows): Promise<void> {
    const done = this.#last.then(() => this.#forget(op));
    this.#last = done.catch(() => {});
    return done;
  }

  async #forget({ hostPorts, addresses }: ForgetFlows): Promise<void> {
    const ports = new Set(hostPorts);
    const targets = addresses.map(inetPton);
    const flows: Flow[] = [];
    for (const family of [addressFamily.inet, addressFamily.inet6]) {
      const own = targets.filter(({ length }) => (length === 4) === (family === addressFamily.inet));
      if (own.length > 0) flows.push(...(await this.#list({ family, ports, addresses: new Set(own.map(hex)) })));
    }
    const errors: unknown[] = [];
    for (const [index, flow] of flows.entries()) {
      if (index > 0 && index % deletionsAtOnce === 0) await nextTurn();
      this.#delete(flow, errors);
    }
    if (errors.length > 0) throw errors[0];
  }

  close(): void {
    this.#socket.close();
  }

  async #list(wanted: Wanted): Promise<Flow[]> {
    const found: Flow[] = [];
    const begin = (): void => void found.splice(0);
    const request = { type: ctMessage.get, flags: 0, header: nfgen(wanted.family), attributes: udpOnly };
    await this.#socket.dumpAside(request, begin, ({ payload }) => {
      if (isWanted(payload, wanted)) found.push({ family: wanted.family, attributes: identify(payload) });
    });
    return found;
  }

  #delete({ family, attributes }: Flow, errors: unknown[]): void {
    try {
      this.#socket.request({ type: ctMessage.delete, flags: 0, header: nfgen(family), attributes });
    } catch (error) {
      if (!hasErrno(error, "ENOENT")) errors.push(error);
    }
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** Linux before 5.8 does not know CTA_FILTER and sends all flows of the family: what comes is looked at anyway. */
const udpOnly: readonly Attribute[] = [
  [cta.tupleOrig, [[ctaTuple.proto, [[ctaProto.num, u8(udp)]]]]],
  [cta.filter, [[ctaFilter.origFlags, u32(compareProtocol)]]],
];

/** Whether a flow is to be deleted. Looks at no more than it has to, since it is asked for every flow of the host. */
function isWanted(payload: Buffer, { family, ports, addresses }: Wanted): boolean {
  const original = findAttribute(payload, cta.tupleOrig, nfgenBytes);
  const protocol = original && findAttribute(original, ctaTuple.proto);
  if (payload[0] !== family || !protocol || findAttribute(protocol, ctaProto.num)?.[0] !== udp) return false;
  const port = findAttribute(protocol, ctaProto.dstPort)?.readUInt16BE() ?? 0;
  const bits = findAttribute(payload, cta.status, nfgenBytes)?.readUInt32BE() ?? 0;
  const isTranslated = (bits & status.destinationTranslated) !== 0;
  // what is only masqueraded asks for somebody else's port
  if (ports.has(port)) return isTranslated || (bits & status.sourceTranslated) === 0;
  return isTranslated && addresses.has(answererOf(payload));
}

/** Where a flow's answers come from: the address that its destination was translated to. */
function answererOf(payload: Buffer): string {
  const reply = findAttribute(payload, cta.tupleReply, nfgenBytes);
  const addresses = reply && findAttribute(reply, ctaTuple.ip);
  const source = addresses && (findAttribute(addresses, ctaIp.v4Src) ?? findAttribute(addresses, ctaIp.v6Src));
  return source ? hex(source) : "";
}

/**
 * The attributes that say which flow is meant, in bytes of their own. There is always the tuple: without one the kernel would
 * delete all flows (ctnetlink_del_conntrack() in net/netfilter/nf_conntrack_netlink.c).
 */
function identify(payload: Buffer): Attribute[] {
  return [cta.tupleOrig, cta.zone, cta.id].flatMap((type): Attribute[] => {
    const bytes = findAttribute(payload, type, nfgenBytes);
    return bytes ? [[type, Uint8Array.from(bytes)]] : [];
  });
}
