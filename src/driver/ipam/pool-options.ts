import { TsnetError } from "../../errors.ts";
import { parseDuration } from "../../net/duration.ts";
import { nearest } from "../../net/nearest.ts";

/** What `--ipam-opt` says of a pool. */
export interface PoolOptions {
  /** `tsnet.sticky`: who comes back within `stickyTtlMs` gets the same address again. */
  readonly sticky: boolean;
  /** `tsnet.sticky_ttl`, 24 h by default. */
  readonly stickyTtlMs: number;
  /** `tsnet.quarantine`: how long a released address rests before somebody else gets it; 0 by default. */
  readonly quarantineMs: number;
  /** `tsnet.shared`: several hosts give out its addresses, by way of etcd. */
  readonly shared: boolean;
}

export const defaultPoolOptions: PoolOptions = {
  sticky: false,
  stickyTtlMs: 24 * 60 * 60 * 1000,
  quarantineMs: 0,
  shared: false,
};

/** The options of ours. Those of others are none of our business. */
const keys = {
  sticky: "tsnet.sticky",
  stickyTtl: "tsnet.sticky_ttl",
  quarantine: "tsnet.quarantine",
  shared: "tsnet.shared",
} as const;

/**
 * @param texts `--ipam-opt`, by key
 * @throws TsnetError "invalid", which names the option
 */
export function parsePoolOptions(texts: Readonly<Record<string, string>>): PoolOptions {
  refuseUnknown(texts);
  const read = <T>(key: string, parse: (text: string) => T, without: T): T => {
    const text = texts[key];
    return text === undefined ? without : parseOption(key, text, parse);
  };
  const sticky = read(keys.sticky, parseBoolean, defaultPoolOptions.sticky);
  const ttl = texts[keys.stickyTtl];
  if (ttl !== undefined && !sticky) {
    throw new TsnetError("invalid", `IPAM option ${keys.stickyTtl}=${ttl} needs ${keys.sticky}=true beside it`);
  }
  return {
    sticky,
    stickyTtlMs: read(keys.stickyTtl, parseDuration, defaultPoolOptions.stickyTtlMs),
    quarantineMs: read(keys.quarantine, parseDuration, defaultPoolOptions.quarantineMs),
    shared: read(keys.shared, parseBoolean, defaultPoolOptions.shared),
  };
}

/** Options as they are given, without `tsnet.shared` and what is 0: "tsnet.sticky=true tsnet.sticky_ttl=86400s"; "none". */
export function formatPoolOptions({ sticky, stickyTtlMs, quarantineMs }: PoolOptions): string {
  const given = [
    ...(sticky ? [`${keys.sticky}=true`, `${keys.stickyTtl}=${stickyTtlMs / 1000}s`] : []),
    ...(quarantineMs > 0 ? [`${keys.quarantine}=${quarantineMs / 1000}s`] : []),
  ];
  return given.join(" ") || "none";
}

function refuseUnknown(texts: Readonly<Record<string, string>>): void {
  const known: readonly string[] = Object.values(keys);
  const unknown = Object.keys(texts).find((key) => key.startsWith("tsnet.") && !known.includes(key));
  if (unknown === undefined) return;
  throw new TsnetError(
    "invalid",
    `unknown IPAM option ${unknown}=${texts[unknown]}: did you mean ${nearest(unknown, known)}?`,
  );
}

function parseOption<T>(key: string, text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (cause) {
    throw new TsnetError("invalid", `invalid IPAM option ${key}=${text}`, { cause });
  }
}

function parseBoolean(text: string): boolean {
  if (text === "true" || text === "false") return text === "true";
  throw new TsnetError("invalid", `expected true or false, got ${JSON.stringify(text)}`);
}
