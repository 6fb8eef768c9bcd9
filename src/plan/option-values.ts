/** What the options of all modes have in common: tables of keys, and the forms of their values. */
import { TsnetError } from "../errors.ts";
import { type Family, parseIp } from "../net/cidr.ts";
import { isLinkName } from "../net/names.ts";
import { nearest } from "../net/nearest.ts";

/** The options of a mode: what the value of each key means. */
export interface OptionTable<O> {
  readonly mode: string;
  /** A parser throws what was expected. */
  readonly parsers: Readonly<Record<string, (value: string) => O>>;
  /** The message that refuses a value. */
  readonly refusal: (key: string, value: string, reason: string) => string;
}

/** Options' values, parsed, and what to warn about: keys of Docker's that are not known here. */
export interface ParsedOptions<O> {
  readonly options: O;
  readonly ignored: readonly string[];
}

/**
 * Parses the options of a network. Keys of Docker's that are unknown here are ignored, and returned for a warning, since newer
 * versions of Docker add some; any other unknown key is an error.
 * @throws TsnetError "invalid" with the key, the value, and what is wrong or the nearest known key
 */
export function parseOptions<O extends object>(
  given: Readonly<Record<string, string>>,
  table: OptionTable<Partial<O>>,
): ParsedOptions<Partial<O>> {
  const ignored: string[] = [];
  let options: Partial<O> = {};
  for (const [key, value] of Object.entries(given)) {
    const parse = Object.hasOwn(table.parsers, key) ? table.parsers[key] : undefined;
    if (parse) options = { ...options, ...parseOne(key, value, () => parse(value), table.refusal) };
    else if (key.startsWith("com.docker.")) ignored.push(key);
    else throw unknownKey(key, value, table);
  }
  return { options, ignored };
}

function parseOne<O>(key: string, value: string, parse: () => O, refusal: OptionTable<O>["refusal"]): O {
  try {
    return parse();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TsnetError("invalid", refusal(key, shorten(value), reason));
  }
}

function unknownKey<O>(key: string, value: string, { mode, parsers }: OptionTable<O>): TsnetError {
  const meant = nearest(key, Object.keys(parsers));
  return new TsnetError(
    "invalid",
    `unknown option ${shorten(key)}=${shorten(value)} for mode ${mode}: did you mean ${meant}?`,
  );
}

/** A text of the user's, short enough for a message. */
export const shorten = (text: string): string => (text.length > 100 ? `${text.slice(0, 99)}…` : text);

/** @throws TsnetError "invalid" */
export function fail(reason: string): never {
  throw new TsnetError("invalid", reason);
}

/** Go's strconv.ParseBool, which Docker's own drivers use. */
export function goBoolean(value: string): boolean {
  if (/^(1|t|T|TRUE|true|True)$/.test(value)) return true;
  if (/^(0|f|F|FALSE|false|False)$/.test(value)) return false;
  return fail("expected true or false");
}

/** ETH_MIN_MTU of include/uapi/linux/if_ether.h. */
export const leastMtuBytes = 68;

/**
 * Limits of links of Ethernet: as above, and ETH_MAX_MTU.
 * @returns bytes; undefined for the default
 */
export function mtu(value: string): number | undefined {
  if (/^0+$/.test(value)) return undefined;
  const bytes = /^\d+$/.test(value) ? Number(value) : Number.NaN;
  return bytes >= leastMtuBytes && bytes <= 65535
    ? bytes
    : fail("expected a number of bytes from 68 to 65535, or 0 for the default");
}

export function linkName(value: string): string {
  return isLinkName(value) ? value : fail("expected the name of a link: 1 to 15 of the characters A-Z a-z 0-9 . _ - @");
}

/** Docker appends a number, so that at most 12 characters leave room for it. */
export function interfacePrefix(value: string): string {
  return isLinkName(value) && value.length <= 12 ? value : fail("expected 1 to 12 of the characters A-Z a-z 0-9 . _ -");
}

export function addressOf(family: Family, value: string): string {
  const ip = parseIp(value);
  return ip.family === family ? ip.text : fail(`expected an IPv${family} address`);
}

export function oneOf<const T extends string>(values: readonly T[], value: string): T {
  return values.find((one) => one === value) ?? fail(`expected ${values.join(" or ")}`);
}

/** What networks of all modes say by options. */
export interface CommonOptions {
  readonly mtuBytes?: number;
  readonly interfacePrefix?: string;
  readonly enableIpv4?: boolean;
  readonly enableIpv6?: boolean;
}

/** Keys that all modes have. Which mode it is was read before: mode-options.ts. */
export const commonParsers: OptionTable<CommonOptions>["parsers"] = {
  "com.docker.network.driver.mtu": (value) => {
    const mtuBytes = mtu(value);
    return mtuBytes === undefined ? {} : { mtuBytes };
  },
  "com.docker.network.container_iface_prefix": (value) => ({ interfacePrefix: interfacePrefix(value) }),
  "com.docker.network.enable_ipv4": (value) => ({ enableIpv4: goBoolean(value) }),
  "com.docker.network.enable_ipv6": (value) => ({ enableIpv6: goBoolean(value) }),
  mode: () => ({}),
};
