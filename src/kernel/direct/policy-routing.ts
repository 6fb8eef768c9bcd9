/** Rules and routes of the routing table of plan/direct.ts, as rtnetlink has them: include/uapi/linux/fib_rules.h, rtnetlink.h. */
import { directProtocol, directRoutingTable, directRulePriority } from "../../plan/direct.ts";
import { addressFamily, inetNtop, inetPton } from "../libc.ts";
import { type Attribute, decodeAttributes, readNumber, readText, text, u8, u32 } from "../netlink/codec.ts";
import { netlinkRoute, nlm, route, rta, rtm } from "../netlink/constants.ts";
import { NetlinkSocket } from "../netlink/socket.ts";

/** RTM_…RULE. */
const rule = { new: 32, delete: 33, get: 34 } as const;

/** FRA_…, and FR_ACT_TO_TBL. */
const fra = { iifName: 3, priority: 6, table: 15, protocol: 21 } as const;
const toTable = 1;

/** RTA_VIA: a next hop of another family than the destination, struct rtvia. */
const via = 18;

/** Sizes of struct rtmsg and struct fib_rule_hdr. */
const headerBytes = 12;

export type Family = 4 | 6;

/** A route of our table. */
export interface TableRoute {
  readonly destination: string;
  readonly via: string;
  /** Index. */
  readonly link: number;
}

/** A rule that leads to our table what comes by a link; what this host sends comes by "lo". */
export interface TableRule {
  readonly family: Family;
  readonly from: string;
}

/** A socket of this thread's namespace; calls throw TsnetError "kernel" with the errno. */
export class PolicyRouting {
  readonly #socket = new NetlinkSocket(netlinkRoute);

  get portId(): number {
    return this.#socket.portId;
  }

  /** Equivalent to: `ip route replace DESTINATION via VIA dev LINK table TABLE proto PROTOCOL`. */
  putRoute({ destination, via: next, link }: TableRoute): void {
    const [to, hop] = [inetPton(destination), inetPton(next)];
    const attributes: Attribute[] = [[rta.oif, u32(link)], to.length === hop.length ? [rta.gateway, hop] : viaOf(hop)];
    this.#socket.request({ type: rtm.newRoute, flags: nlm.create | nlm.replace, ...routeOf(to, attributes) });
  }

  /** Equivalent to: `ip route del DESTINATION table TABLE proto PROTOCOL`. @throws TsnetError with errno ESRCH if there is none */
  deleteRoute(destination: string): void {
    this.#socket.request({ type: rtm.delRoute, flags: 0, ...routeOf(inetPton(destination), []) });
  }

  /** Those that are ours. A kernel that does not leave out the others itself takes longer. */
  listRoutes(family: Family): TableRoute[] {
    const found: TableRoute[] = [];
    const header = headerOf(family, 0, { protocol: directProtocol });
    const attributes: Attribute[] = [[rta.table, u32(directRoutingTable)]];
    const request = { type: rtm.getRoute, flags: 0, header, attributes };
    const begin = (): void => void found.splice(0);
    try {
      this.#socket.dump(request, begin, ({ payload }) => {
        const one = decodeTableRoute(payload);
        if (one) found.push(one);
      });
    } catch (error) {
      if (!isNoTable(error)) throw error;
      return [];
    }
    return found;
  }

  /** Equivalent to: `ip rule add iif FROM lookup TABLE priority PRIORITY protocol PROTOCOL`. @throws TsnetError with errno EEXIST */
  addRule(one: TableRule): void {
    this.#socket.request({ type: rule.new, flags: nlm.create | nlm.exclusive, ...ruleOf(one) });
  }

  /** Equivalent to: `ip rule del …`. @throws TsnetError with errno ENOENT if there is none */
  deleteRule(one: TableRule): void {
    this.#socket.request({ type: rule.delete, flags: 0, ...ruleOf(one) });
  }

  listRules(family: Family): TableRule[] {
    const found: TableRule[] = [];
    const request = { type: rule.get, flags: 0, header: headerOf(family, 0, {}), attributes: [] };
    const begin = (): void => void found.splice(0);
    this.#socket.dump(request, begin, ({ payload }) => {
      const attributes = decodeAttributes(payload, headerBytes);
      if (readNumber(attributes, fra.table) !== directRoutingTable) return;
      if (readNumber(attributes, fra.protocol) !== directProtocol) return;
      found.push({ family, from: readText(attributes, fra.iifName) });
    });
    return found;
  }

  close(): void {
    this.#socket.close();
  }
}

/** A table without a route of the family, of which the kernel says so. */
const isNoTable = (error: unknown): boolean => (error as { errno?: string }).errno === "ENOENT";

const familyNumber = { 4: addressFamily.inet, 6: addressFamily.inet6 } as const;

/** struct rtmsg, whose first bytes are those of struct fib_rule_hdr as well: family, length of the destination, …, protocol, scope, type. */
const headerOf = (
  family: Family,
  prefix: number,
  { protocol = 0, type = 0 }: { readonly protocol?: number; readonly type?: number },
): Uint8Array => Uint8Array.of(familyNumber[family], prefix, 0, 0, 0, protocol, 0, type, 0, 0, 0, 0);

const routeOf = (to: Uint8Array, more: readonly Attribute[]) => ({
  header: headerOf(to.length === 4 ? 4 : 6, to.length * 8, { protocol: directProtocol, type: route.unicast }),
  attributes: [[rta.dst, to], [rta.table, u32(directRoutingTable)], ...more] as const,
});

const ruleOf = ({ family, from }: TableRule) => ({
  header: headerOf(family, 0, { type: toTable }),
  attributes: [
    [fra.iifName, text(from)],
    [fra.priority, u32(directRulePriority)],
    [fra.table, u32(directRoutingTable)],
    [fra.protocol, u8(directProtocol)],
  ] as const,
});

function viaOf(hop: Uint8Array): Attribute {
  const value = Buffer.alloc(2 + hop.length);
  value.writeUInt16LE(hop.length === 4 ? addressFamily.inet : addressFamily.inet6, 0);
  value.set(hop, 2);
  return [via, value];
}

function decodeTableRoute(payload: Buffer): TableRoute | undefined {
  const attributes = decodeAttributes(payload, headerBytes);
  const table = readNumber(attributes, rta.table);
  const to = attributes.get(rta.dst);
  if (table !== directRoutingTable || payload.readUInt8(5) !== directProtocol || to === undefined) return undefined;
  const hop = attributes.get(rta.gateway) ?? attributes.get(via)?.subarray(2);
  return {
    destination: inetNtop(to),
    via: hop === undefined ? "" : inetNtop(hop),
    link: readNumber(attributes, rta.oif),
  };
}
