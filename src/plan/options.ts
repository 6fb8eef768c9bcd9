/**
 * The options of `docker network create -o KEY=VALUE`, for mode bridge, each for itself: Docker's own names and meanings, and
 * `tsnet.…` for what Docker does not have. What they mean together is in option-conflicts.ts.
 */
import { TsnetError } from "../errors.ts";
import { addressBits, type Cidr, containsCidr, type Family, parseCidr, parseIp } from "../net/cidr.ts";
import { isDockerLink, isLinkName } from "../net/names.ts";
import { nearest } from "../net/nearest.ts";
import { type GatewayMode, gatewayModes } from "./network.ts";

/** What the options of a bridge network say; absent means the default. */
export interface BridgeOptions {
  readonly bridge?: string;
  readonly icc?: boolean;
  readonly masquerade?: boolean;
  readonly inhibitIpv4?: boolean;
  readonly hostBinding?: string;
  readonly mtuBytes?: number;
  readonly interfacePrefix?: string;
  readonly snat4?: string;
  readonly snat6?: string;
  readonly enableIpv4?: boolean;
  readonly enableIpv6?: boolean;
  readonly gatewayMode4?: GatewayMode;
  readonly gatewayMode6?: GatewayMode;
  readonly trustedLinks?: readonly string[];
  readonly publish?: "native" | "engine";
  /** Canonical subnets, none within another. */
  readonly publishFrom?: readonly string[];
  readonly publishPolicy?: "docker" | "host";
}

/** An option's values, parsed, and what to warn about: keys of Docker's that are not known here. */
export interface ParsedOptions {
  readonly options: BridgeOptions;
  readonly ignored: readonly string[];
}

type Parse = (value: string) => BridgeOptions;

const bridge = (name: string): string => `com.docker.network.bridge.${name}`;

const parsers: Readonly<Record<string, Parse>> = {
  [bridge("name")]: (value) => ({ bridge: bridgeLinkName(value) }),
  [bridge("enable_icc")]: (value) => ({ icc: goBoolean(value) }),
  [bridge("enable_ip_masquerade")]: (value) => ({ masquerade: goBoolean(value) }),
  [bridge("inhibit_ipv4")]: (value) => ({ inhibitIpv4: goBoolean(value) }),
  [bridge("host_binding_ipv4")]: (value) => ({ hostBinding: parseIp(value).text }),
  [bridge("gateway_mode_ipv4")]: (value) => ({ gatewayMode4: gatewayMode(value) }),
  [bridge("gateway_mode_ipv6")]: (value) => ({ gatewayMode6: gatewayMode(value) }),
  [bridge("trusted_host_interfaces")]: (value) => ({ trustedLinks: linkNames(value) }),
  "tsnet.publish": (value) => ({ publish: oneOf(["native", "engine"], value) }),
  "tsnet.publish_from": (value) => ({ publishFrom: sources(value) }),
  "tsnet.publish_policy": (value) => ({ publishPolicy: oneOf(["docker", "host"], value) }),
  "com.docker.network.driver.mtu": (value) => (/^0+$/.test(value) ? {} : { mtuBytes: mtu(value) }),
  "com.docker.network.container_iface_prefix": (value) => ({ interfacePrefix: interfacePrefix(value) }),
  "com.docker.network.host_ipv4": (value) => ({ snat4: addressOf(4, value) }),
  "com.docker.network.host_ipv6": (value) => ({ snat6: addressOf(6, value) }),
  "com.docker.network.enable_ipv4": (value) => ({ enableIpv4: goBoolean(value) }),
  "com.docker.network.enable_ipv6": (value) => ({ enableIpv6: goBoolean(value) }),
  mode: (value) => (value === "bridge" ? {} : fail("this version knows the mode bridge only")),
};

/**
 * Parses the options of a network. Keys of Docker's that are unknown here are ignored, and returned for a warning, since newer
 * versions of Docker add some; any other unknown key is an error.
 * @throws TsnetError "invalid" with the key, the value, and what is wrong or the nearest known key
 */
export function parseBridgeOptions(given: Readonly<Record<string, string>>): ParsedOptions {
  const ignored: string[] = [];
  let options: BridgeOptions = {};
  for (const [key, value] of Object.entries(given)) {
    const parse = Object.hasOwn(parsers, key) ? parsers[key] : undefined;
    if (parse) options = { ...options, ...parseOne(key, value, parse) };
    else if (key.startsWith("com.docker.")) ignored.push(key);
    else throw unknownKey(key, value);
  }
  return { options, ignored };
}

function parseOne(key: string, value: string, parse: Parse): BridgeOptions {
  try {
    return parse(value);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TsnetError("invalid", `failed to parse ${key} value: ${shorten(value)} (${reason})`);
  }
}

function unknownKey(key: string, value: string): TsnetError {
  const meant = nearest(key, Object.keys(parsers));
  return new TsnetError(
    "invalid",
    `unknown option ${shorten(key)}=${shorten(value)} for mode bridge: did you mean ${meant}?`,
  );
}

/** A text of the user's, short enough for a message. */
const shorten = (text: string): string => (text.length > 100 ? `${text.slice(0, 99)}…` : text);

function fail(reason: string): never {
  throw new TsnetError("invalid", reason);
}

/** Go's strconv.ParseBool, which Docker's own driver uses. */
function goBoolean(value: string): boolean {
  if (/^(1|t|T|TRUE|true|True)$/.test(value)) return true;
  if (/^(0|f|F|FALSE|false|False)$/.test(value)) return false;
  return fail("expected true or false");
}

/** Limits of a bridge and a veth: ETH_MIN_MTU and ETH_MAX_MTU of include/uapi/linux/if_ether.h. */
function mtu(value: string): number {
  const bytes = /^\d+$/.test(value) ? Number(value) : Number.NaN;
  return bytes >= 68 && bytes <= 65535
    ? bytes
    : fail("expected a number of bytes from 68 to 65535, or 0 for the default");
}

function linkName(value: string): string {
  return isLinkName(value) ? value : fail("expected the name of a link: 1 to 15 of the characters A-Z a-z 0-9 . _ - @");
}

function bridgeLinkName(value: string): string {
  return isDockerLink(value) ? fail("a bridge of this name is Docker's own") : linkName(value);
}

/** Docker appends a number, so that at most 12 characters leave room for it. */
function interfacePrefix(value: string): string {
  return isLinkName(value) && value.length <= 12 ? value : fail("expected 1 to 12 of the characters A-Z a-z 0-9 . _ -");
}

function addressOf(family: Family, value: string): string {
  const ip = parseIp(value);
  return ip.family === family ? ip.text : fail(`expected an IPv${family} address`);
}

function gatewayMode(value: string): GatewayMode {
  return gatewayModes.find((mode) => mode === value) ?? fail(`unknown gateway mode ${value}`);
}

function oneOf<const T extends string>(values: readonly T[], value: string): T {
  return values.find((one) => one === value) ?? fail(`expected ${values.join(" or ")}`);
}

/** As Docker reads it: what stands between colons, and nothing between two of them is nothing. */
function linkNames(value: string): string[] {
  const names = value.split(":").filter(Boolean);
  return names.every(isLinkName) ? [...new Set(names)] : fail("expected names of links, with colons in between");
}

/**
 * In order, less those that lie within others, since the kernel refuses overlapping intervals. Two subnets share all of one, or
 * nothing.
 */
function sources(value: string): string[] {
  const widest: Cidr[] = [];
  for (const one of value.split(",").map(parseSource).sort(byPlace)) {
    const last = widest.at(-1);
    if (last === undefined || !containsCidr(last, one)) widest.push(one);
  }
  return widest.map(({ text }) => text);
}

/** Those that begin at the same address: the widest first. */
const byPlace = (a: Cidr, b: Cidr): number => a.family - b.family || Number(a.base - b.base) || a.prefix - b.prefix;

function parseSource(text: string): Cidr {
  if (text === "") fail("expected subnets or addresses, with commas in between");
  if (text.includes("/")) return parseCidr(text);
  const ip = parseIp(text);
  return parseCidr(`${ip.text}/${addressBits[ip.family]}`);
}
