/** What a host tells others of itself when `tsnet doctor` asks there: short, and nothing secret, as whoever reaches its UDP port may ask. */

export interface HostFacts {
  /** Its host name; "" where that is none that is told. */
  readonly name: string;
  /** Of tsnet: "0.1.0". */
  readonly version: string;
  /** What is to be the same on all hosts, by the names of settings: "set" and "not set" stand for a value that is nobody's business. */
  readonly settings: Readonly<Record<string, string>>;
}

/** Of what is below. Of another one, only name and version are understood. */
const format = 1;

/** So long a text may be: what is asked for is never longer than the question (facts-message.ts). */
export const factsBytes = 400;

const most = { settings: 16 } as const;
const patterns = {
  name: /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/,
  version: /^[0-9A-Za-z][0-9A-Za-z.+-]{0,31}$/,
  setting: /^TSNET_[A-Z_]{1,40}$/,
  value: /^[0-9A-Za-z]([0-9A-Za-z .:/_-]{0,30}[0-9A-Za-z])?$/,
} as const;

/** As JSON of one line. @throws RangeError if it is longer than what may be told */
export function formatFacts({ name, version, settings }: HostFacts): string {
  const text = JSON.stringify({ format, name: patterns.name.test(name) ? name : "", version, settings });
  if (Buffer.byteLength(text) <= factsBytes && parseFacts(text) !== undefined) return text;
  throw new RangeError(`no host tells this of itself: ${text}`);
}

/** @param text of a host that may be anybody @returns undefined if it is not what a host tells; nothing in it is longer, or of other characters */
export function parseFacts(text: string): HostFacts | undefined {
  if (text.length > factsBytes || !/^[\x20-\x7e]*$/.test(text)) return undefined;
  const told = parseObject(text);
  if (told === undefined || !Number.isSafeInteger(told["format"])) return undefined;
  const { name, version } = told;
  if (typeof version !== "string" || !patterns.version.test(version)) return undefined;
  if (typeof name !== "string" || !(name === "" || patterns.name.test(name))) return undefined;
  const settings = told["format"] === format ? parseSettings(told["settings"]) : {};
  return settings && { name, version, settings };
}

function parseSettings(told: unknown): HostFacts["settings"] | undefined {
  if (!isObject(told)) return undefined;
  const settings = Object.entries(told);
  const isFit = ([name, value]: readonly [string, unknown]): boolean =>
    patterns.setting.test(name) && typeof value === "string" && patterns.value.test(value);
  if (settings.length > most.settings || !settings.every(isFit)) return undefined;
  return Object.fromEntries(settings) as HostFacts["settings"]; // each value was just found to be a text
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
