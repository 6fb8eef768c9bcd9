import { TsnetError } from "./errors.ts";

/** The settings of the plugin, from its environment (`docker plugin set`). */
export interface Config {
  /** Where dockerd finds the plugin. */
  readonly socket: string;
  /** Of the admin API, which the command `tsnet` asks. */
  readonly adminSocket: string;
  readonly stateDir: string;
  readonly logLevel: string;
  readonly scope: "local" | "global";
  /** One bit: what our table accepts carries it through Docker's FORWARD chain. */
  readonly mark: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

const logLevels = ["trace", "debug", "info", "warn", "error", "fatal"];

export const defaultAdminSocket = "/run/docker/tsnet/admin.sock";

const settings = {
  socket: { name: "TSNET_SOCKET", fallback: "/run/docker/plugins/tsnet.sock", parse: absolutePath },
  adminSocket: { name: "TSNET_ADMIN_SOCKET", fallback: defaultAdminSocket, parse: absolutePath },
  stateDir: { name: "TSNET_STATE_DIR", fallback: "/var/lib/tsnet", parse: absolutePath },
  logLevel: { name: "TSNET_LOG_LEVEL", fallback: "info", parse: oneOf(logLevels) },
  scope: { name: "TSNET_SCOPE", fallback: "local", parse: oneOf(["local", "global"] as const) },
  mark: { name: "TSNET_MARK", fallback: "0x01000000", parse: markBit },
} as const;

/**
 * Reads all settings.
 * @throws AggregateError of TsnetErrors "invalid", one for each setting that is wrong
 */
export function parseConfig(environment: Environment): Config {
  const errors: unknown[] = [];
  const read = <T>({ name, fallback, parse }: { name: string; fallback: string; parse: (text: string) => T }): T => {
    const text = environment[name] || fallback;
    try {
      return parse(text);
    } catch (error) {
      errors.push(
        new TsnetError("invalid", `${name}=${text}: ${error instanceof Error ? error.message : String(error)}`),
      );
      return parse(fallback);
    }
  };
  const config: Config = {
    socket: read(settings.socket),
    adminSocket: read(settings.adminSocket),
    stateDir: read(settings.stateDir),
    logLevel: read(settings.logLevel),
    scope: read(settings.scope),
    mark: read(settings.mark),
  };
  const known = Object.values(settings).map(({ name }) => name as string);
  for (const name of Object.keys(environment)) {
    if (name.startsWith("TSNET_") && !known.includes(name)) {
      errors.push(new TsnetError("invalid", `${name} is no setting of tsnet; known: ${known.join(", ")}`));
    }
  }
  if (errors.length > 0) throw new AggregateError(errors, "settings");
  return config;
}

function absolutePath(text: string): string {
  if (/^\/[^\0]*$/.test(text)) return text;
  throw new Error("expected an absolute path");
}

function oneOf<const T extends string>(values: readonly T[]): (text: string) => T {
  return (text) => {
    const value = values.find((candidate) => candidate === text);
    if (value !== undefined) return value;
    throw new Error(`expected one of ${values.join(", ")}`);
  };
}

function markBit(text: string): number {
  const mark = /^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(text) ? Number(text) : 0;
  const isOneBit = mark > 0 && mark <= 0x8000_0000 && Number.isInteger(Math.log2(mark));
  if (isOneBit) return mark;
  throw new Error("expected a number with one bit set, such as 0x01000000");
}
