/**
 * The options of `docker network create -o KEY=VALUE`, for mode bridge, each for itself: Docker's own names and meanings, and
 * `tsnet.…` for what Docker does not have. What they mean together is in option-conflicts.ts.
 */
import { addressBits, type Cidr, containsCidr, parseCidr, parseIp } from "../net/cidr.ts";
import { isDockerLink, isLinkName } from "../net/names.ts";
import { type GatewayMode, gatewayModes } from "./network.ts";
import {
  addressOf,
  type CommonOptions,
  commonParsers,
  fail,
  goBoolean,
  linkName,
  type OptionTable,
  oneOf,
  type ParsedOptions,
  parseOptions,
} from "./option-values.ts";

/** What the options of a bridge network say; absent means the default. */
export interface BridgeOptions extends CommonOptions {
  readonly bridge?: string;
  readonly icc?: boolean;
  readonly masquerade?: boolean;
  readonly inhibitIpv4?: boolean;
  readonly hostBinding?: string;
  readonly snat4?: string;
  readonly snat6?: string;
  readonly gatewayMode4?: GatewayMode;
  readonly gatewayMode6?: GatewayMode;
  readonly trustedLinks?: readonly string[];
  readonly publish?: "native" | "engine";
  /** Canonical subnets, none within another. */
  readonly publishFrom?: readonly string[];
  readonly publishPolicy?: "docker" | "host";
}

const bridge = (name: string): string => `com.docker.network.bridge.${name}`;

const parsers: OptionTable<BridgeOptions>["parsers"] = {
  [bridge("name")]: (value) => ({ bridge: bridgeLinkName(value) }),
  [bridge("enable_icc")]: (value) => ({ icc: goBoolean(value) }),
  [bridge("enable_ip_masquerade")]: (value) => ({ masquerade: goBoolean(value) }),
  [bridge("inhibit_ipv4")]: (value) => ({ inhibitIpv4: goBoolean(value) }),
  [bridge("host_binding_ipv4")]: (value) => ({ hostBinding: parseIp(value).text }),
  [bridge("gateway_mode_ipv4")]: (value) => ({ gatewayMode4: gatewayMode(value) }),
  [bridge("gateway_mode_ipv6")]: (value) => ({ gatewayMode6: gatewayMode(value) }),
  [bridge("trusted_host_interfaces")]: (value) => ({ trustedLinks: linkNames(value) }),
  "tsnet.publish": (value) => ({ publish: oneOf(["native", "engine"], value) }),
  "tsnet.publish_from": (value) => ({ publishFrom: publishSources(value) }),
  "tsnet.publish_policy": (value) => ({ publishPolicy: oneOf(["docker", "host"], value) }),
  "com.docker.network.host_ipv4": (value) => ({ snat4: addressOf(4, value) }),
  "com.docker.network.host_ipv6": (value) => ({ snat6: addressOf(6, value) }),
  ...commonParsers,
};

/** The keys that mean something in mode bridge. */
export const bridgeKeys: readonly string[] = Object.keys(parsers);

/**
 * Parses the options of a bridge network.
 * @throws TsnetError "invalid" in the words of Docker's own driver, with the key and the value
 */
export const parseBridgeOptions = (given: Readonly<Record<string, string>>): ParsedOptions<BridgeOptions> =>
  parseOptions<BridgeOptions>(given, {
    mode: "bridge",
    parsers,
    refusal: (key, value, reason) => `failed to parse ${key} value: ${value} (${reason})`,
  });

function bridgeLinkName(value: string): string {
  return isDockerLink(value) ? fail("a bridge of this name is Docker's own") : linkName(value);
}

function gatewayMode(value: string): GatewayMode {
  return gatewayModes.find((mode) => mode === value) ?? fail(`unknown gateway mode ${value}`);
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
export function publishSources(value: string): string[] {
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
