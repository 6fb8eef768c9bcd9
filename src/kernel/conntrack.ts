/**
 * Flows that the kernel remembers (ctnetlink): include/uapi/linux/netfilter/nfnetlink_conntrack.h. A UDP flow keeps the
 * translation that it began with for as long as packets come, whatever the rules say meanwhile.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { hasErrno } from "../errors.ts";
import type { ForgetFlows, ForgetVirtualFlows } from "../plan/op.ts";
import { addressFamily, inetPton } from "./libc.ts";
import { type Attribute, findAttribute, u8, u32 } from "./netlink/codec.ts";
import { cta, ctaFilter, ctaIp, ctaProto, ctaTuple, ctMessage, netlinkNetfilter } from "./netlink/constants.ts";
import { NetlinkSocket } from "./netlink/socket.ts";

/** struct nfgenmsg: family, version, resource ID. include/uapi/linux/netfilter/nfnetlink.h. */
const nfgenBytes = 4;
const nfgen = (family: number): Uint8Array => Uint8Array.of(family, 0, 0, 0);

/** IPPROTO_TCP, IPPROTO_UDP. */
const tcp = 6;
const udp = 17;

/** IPS_SEEN_REPLY, IPS_SRC_NAT, IPS_DST_NAT of include/uapi/linux/netfilter/nf_conntrack_common.h. */
const status = { answered: 1 << 1, sourceTranslated: 1 << 4, destinationTranslated: 1 << 5 } as const;

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

/** Which flows of a family and a protocol are meant. */
interface Question {
  readonly family: number;
  readonly protocol: number;
  readonly isWanted: (payload: Buffer) => boolean;
}

/** What deletes one flow. */
interface Flow {
  readonly family: number;
  readonly attributes: readonly Attribute[];
}

/** A socket of one network namespace. */
export class Conntrack {
  readonly #socket: NetlinkSocket;
  #last: Promise<unknown> = Promise.resolve();
  #closed: Promise<void> | undefined;

  /** @param namespacePath the file of a network namespace; this thread's own if it is not given */
  constructor(namespacePath?: string) {
    this.#socket = new NetlinkSocket(netlinkNetfilter, namespacePath);
  }

  /**
   * Deletes the flows that plan/op.ts says. Equivalent to: `conntrack -D -p udp --orig-port-dst PORT` for each port, but for
   * flows that are only masqueraded, and `conntrack -D -p udp --dst-nat ADDRESS` for each address. A flow that is gone is
   * success. The kernel walks its whole table once for each family, which takes some milliseconds however few flows there are;
   * other calls of this thread have their turn meanwhile.
   * @throws TsnetError "kernel"; the flows that could be deleted are
   */
  forgetFlows({ hostPorts, addresses }: ForgetFlows): Promise<void> {
    const ports = new Set(hostPorts);
    const targets = addresses.map(inetPton);
    return this.#inTurn(
      [addressFamily.inet, addressFamily.inet6].flatMap((family): Question[] => {
        const own = targets.filter(({ length }) => (length === 4) === (family === addressFamily.inet));
        const wanted = { family, ports, addresses: new Set(own.map(hex)) };
        return own.length === 0 ? [] : [{ family, protocol: udp, isWanted: (payload) => isWanted(payload, wanted) }];
      }),
    );
  }

  /**
   * As `forgetFlows`. Equivalent to: `conntrack -D -p udp --orig-dst VIP --reply-src TASK` for each task that is no target, and the
   * same with `-p tcp --status` of what was not answered: a connection that a dead task does not take is asked for again.
   * @throws TsnetError "kernel"; the flows that could be deleted are
   */
  forgetVirtualFlows({ virtual }: ForgetVirtualFlows): Promise<void> {
    const targets = new Map(
      virtual.map((one) => [hex(inetPton(one.vip)), new Set(one.targets.map((ip) => hex(inetPton(ip))))]),
    );
    return this.#inTurn(
      [udp, tcp].map((protocol) => ({
        ...{ family: addressFamily.inet, protocol },
        isWanted: (payload) => isElsewhere(payload, protocol, targets),
      })),
    );
  }

  #inTurn(questions: readonly Question[]): Promise<void> {
    const done = this.#last.then(() => this.#forget(questions));
    this.#last = done.catch(() => {});
    return done;
  }

  async #forget(questions: readonly Question[]): Promise<void> {
    const flows: Flow[] = [];
    for (const question of questions) {
      if (this.#closed === undefined) flows.push(...(await this.#list(question)));
    }
    const errors: unknown[] = [];
    for (const [index, flow] of flows.entries()) {
      if (index > 0 && index % deletionsAtOnce === 0) await nextTurn();
      if (this.#closed !== undefined) return;
      this.#delete(flow, errors);
    }
    if (errors.length > 0) throw errors[0];
  }

  /**
   * Gives up what is under way, which is no error: what a namespace remembers goes with it. The socket is closed when nobody uses it any
   * more, since its number is another's then.
   */
  close(): Promise<void> {
    this.#closed ??= this.#last.then(() => this.#socket.close());
    return this.#closed;
  }

  async #list({ family, protocol, isWanted }: Question): Promise<Flow[]> {
    const found: Flow[] = [];
    const begin = (): void => void found.splice(0);
    const request = { type: ctMessage.get, flags: 0, header: nfgen(family), attributes: only(protocol) };
    await this.#socket.dumpAside(request, begin, ({ payload }) => {
      if (isWanted(payload)) found.push({ family, attributes: identify(payload) });
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
const only = (protocol: number): readonly Attribute[] => [
  [cta.tupleOrig, [[ctaTuple.proto, [[ctaProto.num, u8(protocol)]]]]],
  [cta.filter, [[ctaFilter.origFlags, u32(compareProtocol)]]],
];

/** Whether a flow is to be deleted. Looks at no more than it has to, since it is asked for every flow of the host. */
function isWanted(payload: Buffer, { family, ports, addresses }: Wanted): boolean {
  const original = findAttribute(payload, cta.tupleOrig, nfgenBytes);
  const protocol = original && portsOf(udp, original);
  if (payload[0] !== family || !protocol) return false;
  const port = findAttribute(protocol, ctaProto.dstPort)?.readUInt16BE() ?? 0;
  const bits = statusOf(payload);
  const isTranslated = (bits & status.destinationTranslated) !== 0;
  // what is only masqueraded asks for somebody else's port
  if (ports.has(port)) return isTranslated || (bits & status.sourceTranslated) === 0;
  return isTranslated && addresses.has(answererOf(payload));
}

/** Whether a flow's destination was one of these virtual IPs, and was translated to none of its targets; of TCP, one without an answer. */
function isElsewhere(payload: Buffer, protocol: number, targets: ReadonlyMap<string, ReadonlySet<string>>): boolean {
  const original = findAttribute(payload, cta.tupleOrig, nfgenBytes);
  if (payload[0] !== addressFamily.inet || !original || !portsOf(protocol, original)) return false;
  if (protocol === tcp && (statusOf(payload) & status.answered) !== 0) return false;
  const addresses = findAttribute(original, ctaTuple.ip);
  const destination = addresses && findAttribute(addresses, ctaIp.v4Dst);
  const allowed = destination && targets.get(hex(destination));
  if (!allowed || (statusOf(payload) & status.destinationTranslated) === 0) return false;
  return !allowed.has(answererOf(payload));
}

/** The ports of a tuple, if it is one of this protocol. */
function portsOf(protocol: number, tuple: Buffer): Buffer | undefined {
  const ports = findAttribute(tuple, ctaTuple.proto);
  return ports && findAttribute(ports, ctaProto.num)?.[0] === protocol ? ports : undefined;
}

const statusOf = (payload: Buffer): number => findAttribute(payload, cta.status, nfgenBytes)?.readUInt32BE() ?? 0;

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
