/** What hosts tell each other of overlay networks, as it is recorded in etcd. */
import { z } from "zod";
import { TsnetError } from "../../errors.ts";
import { isAddress, parseCidr, parseHostAddress, parseIp } from "../../net/cidr.ts";
import { parseMac } from "../../net/mac.ts";
import { explainShape, textFor } from "../parse-record.ts";
import type { RecordKind } from "../records.ts";

/** As all hosts write it: what is compared as text, and handed to the kernel. */
export const isCanonical = (ip: string): boolean => {
  if (!ip.includes(":")) return isAddress(ip);
  // a hundredth of the time that the library takes, of which there are many in a turn
  return /^[0-9a-f:.]+$/.test(ip) && URL.parse(`http://[${ip}]`)?.hostname === `[${ip}]`;
};

const networkShape = z.object({
  /** "10.1.0.0/24", in order. */
  subnets: z.array(textFor(parseCidr)).min(1),
  /** "10.1.0.1", in order of the subnets; left out where no host has had one yet. */
  gateways: z.array(textFor(parseIp)).optional(),
  /** The hosts that have it, by ID, and the ID of the network that each calls it by. */
  hosts: z.record(z.string(), z.string()),
});

/** A network, by its VNI: "8388700". */
export type NetworkRecord = Readonly<z.infer<typeof networkShape>>;

const placeShape = z.object({
  host: z.string(),
  endpoint: z.string(),
  mac: z.string().transform((text, context) => {
    const mac = parseMac(text);
    if (mac === undefined) context.addIssue({ code: "custom", message: "expected a unicast MAC address" });
    return mac ?? text;
  }),
});

/** Who has an address of a network: "8388700/10.1.0.2". */
export type PlaceRecord = Readonly<z.infer<typeof placeShape>>;

const hostShape = z.object({
  host: z.string(),
  /** What people call it. */
  name: z.string(),
  /** Its last sign of life: milliseconds since 1970, by its own clock. */
  seenMs: z.number(),
  /** After how long a silence it wants to be forgotten: others that would sooner wait for it. */
  ttlMs: z.number().optional(),
  /** An address of IPv6 of the link that has the tunnel address, if that is one of IPv4: next hop on the same segment. */
  ipv6: z
    .string()
    .refine((text) => text.includes(":") && isCanonical(text), "expected an address of IPv6")
    .optional(),
});

/** The host with a tunnel address: "192.0.2.7". */
export type HostRecord = Readonly<z.infer<typeof hostShape>>;

/** @throws TsnetError "conflict", which names the record and says what to do */
export const parseNetworkRecord = (id: string, value: unknown): NetworkRecord =>
  parse("overlay", id, networkShape, value);

/** undefined if it cannot be understood. */
export const readNetworkRecord = (value: unknown): NetworkRecord | undefined => networkShape.safeParse(value).data;

/** @throws TsnetError "conflict", which names the record and says what to do */
export const parsePlaceRecord = (id: string, value: unknown): PlaceRecord => {
  if (parsePlaceId(id) === undefined) throw unreadable("place", id, "expected a VNI and an address");
  return parse("place", id, placeShape, value);
};

/** @throws TsnetError "conflict", which names the record and says what to do */
export const parseHostRecord = (id: string, value: unknown): HostRecord => {
  if (!isCanonical(id)) throw unreadable("vtep", id, "expected an address");
  return parse("vtep", id, hostShape, value);
};

function parse<T>(kind: RecordKind, id: string, shape: z.ZodType<T>, value: unknown): T {
  const { success, data, error } = shape.safeParse(value);
  if (success) return data;
  throw unreadable(kind, id, explainShape(error));
}

const unreadable = (kind: RecordKind, id: string, why: string): TsnetError =>
  new TsnetError(
    "conflict",
    `record ${kind}/${id} in etcd cannot be understood: ${why}; remove it: etcdctl del TSNET_ETCD_PREFIX${kind}/${id}`,
  );

/** Whether this is the ID of a network's record. */
export const isNetworkId = (id: string): boolean => /^\d{1,8}$/.test(id);

export const placeId = (vni: number, ip: string): string => `${vni}/${ip}`;

/** The address of an endpoint's, "10.1.0.2/24", as all hosts write it. */
export function ipOf(address: string): string {
  const ip = address.slice(0, address.indexOf("/"));
  return isCanonical(ip) ? ip : parseHostAddress(address).ip.text;
}

/** undefined for what is no place's. */
export function parsePlaceId(id: string): { readonly vni: number; readonly ip: string } | undefined {
  const [, vni, ip] = /^(\d{1,8})\/([0-9a-f.:]+)$/.exec(id) ?? [];
  return vni === undefined || ip === undefined || !isCanonical(ip) ? undefined : { vni: Number(vni), ip };
}
