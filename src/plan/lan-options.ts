/**
 * The options of `docker network create -o KEY=VALUE`, for the modes macvlan and ipvlan, each for itself: Docker's own names,
 * meanings and words (moby, drivers/macvlan and drivers/ipvlan), and `tsnet.…` for what Docker does not have.
 */
import { type Ip, parseIp } from "../net/cidr.ts";
import { isLinkName } from "../net/names.ts";
import {
  type IpvlanFlag,
  type IpvlanMode,
  ipvlanFlags,
  ipvlanModes,
  type LanNetwork,
  type MacvlanMode,
  macvlanModes,
} from "./network.ts";
import {
  type CommonOptions,
  commonParsers,
  fail,
  goBoolean,
  linkName,
  type OptionTable,
  type ParsedOptions,
  parseOptions,
  shorten,
} from "./option-values.ts";

/** What the options of a network with a parent say; absent means the default. */
export interface LanOptions extends CommonOptions {
  readonly parent?: string;
  readonly hostAccess?: boolean;
  /** At most one a family, IPv4 first. */
  readonly hostAddresses?: readonly string[];
  readonly duplicateCheck?: boolean;
}

/** What the options of a macvlan network say. */
export interface MacvlanOptions extends LanOptions {
  readonly macvlanMode?: MacvlanMode;
}

/** What the options of an ipvlan network say. */
export interface IpvlanOptions extends LanOptions {
  readonly ipvlanMode?: IpvlanMode;
  readonly ipvlanFlag?: IpvlanFlag;
}

const lanParsers: OptionTable<LanOptions>["parsers"] = {
  // to Docker, one that is empty is none
  parent: (value) => (value === "" ? {} : { parent: parentName(value) }),
  "tsnet.host_access": (value) => ({ hostAccess: goBoolean(value) }),
  "tsnet.host_address": (value) => ({ hostAddresses: addresses(value) }),
  "tsnet.duplicate_check": (value) => ({ duplicateCheck: goBoolean(value) }),
  ...commonParsers,
};

const macvlanParsers: OptionTable<MacvlanOptions>["parsers"] = {
  macvlan_mode: (value) => ({
    macvlanMode: chosen(macvlanModes, value, "bridge", "requested macvlan mode", "mode is the macvlan driver default"),
  }),
  ...lanParsers,
};

const ipvlanParsers: OptionTable<IpvlanOptions>["parsers"] = {
  ipvlan_mode: (value) => ({
    ipvlanMode: chosen(ipvlanModes, value, "l2", "requested ipvlan mode", "mode is the ipvlan driver default"),
  }),
  ipvlan_flag: (value) => ({
    ipvlanFlag: chosen(ipvlanFlags, value, "bridge", "requested ipvlan flag", "is the ipvlan driver default"),
  }),
  ...lanParsers,
};

/** The keys that mean something in mode macvlan. */
export const macvlanKeys: readonly string[] = Object.keys(macvlanParsers);

/** The keys that mean something in mode ipvlan. */
export const ipvlanKeys: readonly string[] = Object.keys(ipvlanParsers);

const refusal = (key: string, value: string, reason: string): string => `${key}=${value}: ${reason}`;

/** @throws TsnetError "invalid" with the key and the value, in Docker's words where it has some */
export const parseMacvlanOptions = (given: Readonly<Record<string, string>>): ParsedOptions<MacvlanOptions> =>
  parseOptions<MacvlanOptions>(given, { mode: "macvlan", parsers: macvlanParsers, refusal });

/** @throws TsnetError "invalid" with the key and the value, in Docker's words where it has some */
export const parseIpvlanOptions = (given: Readonly<Record<string, string>>): ParsedOptions<IpvlanOptions> =>
  parseOptions<IpvlanOptions>(given, { mode: "ipvlan", parsers: ipvlanParsers, refusal });

/** @throws TsnetError "invalid" with the key and the value, in Docker's words where it has some */
export const parseLanOptions = (
  mode: LanNetwork["mode"],
  given: Readonly<Record<string, string>>,
): ParsedOptions<LanOptions> => (mode === "macvlan" ? parseMacvlanOptions(given) : parseIpvlanOptions(given));

/** Docker takes an empty value for the default. */
function chosen<T extends string>(
  values: readonly T[],
  value: string,
  fallback: NoInfer<T>,
  ...[requested, isDefault]: [requested: string, isDefault: string]
): T {
  const wanted = value === "" ? fallback : values.find((one) => one === value);
  const known = `this version knows ${values.join(", ")}`;
  return wanted ?? fail(`${requested} '${value}' is not valid, '${fallback}' ${isDefault}; ${known}`);
}

/** What can be no link's name is not there either, which Docker takes for the wish to have it made, as one of a VLAN. */
function parentName(value: string): string {
  if (isLinkName(value) || value.includes(".")) return linkName(value);
  const words = `invalid subinterface vlan name ${shorten(value)}, example formatting is eth0.10`;
  return fail(`${words}; a link's name has 1 to 15 of the characters A-Z a-z 0-9 . _ - @`);
}

function addresses(value: string): string[] {
  const ips = value.split(",").map(parseIp);
  const [first, second, third] = ips;
  if (first?.family === second?.family || third !== undefined) fail("expected at most one address a family");
  return ips.sort(byFamily).map(({ text }) => text);
}

const byFamily = (a: Ip, b: Ip): number => a.family - b.family;
