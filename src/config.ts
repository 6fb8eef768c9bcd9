import { explain, TsnetError } from "./errors.ts";
import { type AddressPools, parseAddressPools } from "./net/address-pools.ts";
import { parseDuration } from "./net/duration.ts";

/** The settings of the plugin, from its environment (`docker plugin set`). */
export interface Config {
  /** Where dockerd finds the plugin. */
  readonly socket: string;
  /** Where dockerd finds it as a managed plugin, under that plugin's name; null for a plugin that is not managed. */
  readonly managedSocket: string | null;
  /** Of the admin API, which the command `tsnet` asks. */
  readonly adminSocket: string;
  readonly stateDir: string;
  readonly logLevel: string;
  readonly scope: "local" | "global";
  /** One bit: what our table accepts carries it through Docker's FORWARD chain. */
  readonly mark: number;
  /** Of Docker's API: which networks and containers there are. */
  readonly dockerSocket: string;
  /** Where subnets are chosen from that nobody names, and where never. */
  readonly addressPools: AddressPools;
  /** Whether Docker shall tell an endpoint's MAC address when it asks for its IP address. */
  readonly requiresMacAddress: boolean;
  /** How long nobody must have claimed an address before it is given back unasked. */
  readonly orphanGraceMs: number;
  /** The name of this host among those that share etcd; null for one made of its machine-id. */
  readonly hostId: string | null;
  /** Where hosts share pools; null if they do not. */
  readonly etcd: EtcdConfig | null;
}

/** How etcd is reached. */
export interface EtcdConfig {
  /** "https://10.0.0.1:2379" */
  readonly endpoints: readonly string[];
  /** Paths of PEM files: the CA of etcd's certificates, and our own certificate with its key. */
  readonly cacert: string | null;
  readonly cert: string | null;
  readonly key: string | null;
  readonly user: string | null;
  readonly password: string | null;
  /** Begins all of our keys: "/tsnet/". */
  readonly prefix: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

const logLevels = ["trace", "debug", "info", "warn", "error", "fatal"];

export const defaultAdminSocket = "/run/docker/tsnet/admin.sock";

const settings = {
  socket: { name: "TSNET_SOCKET", fallback: "/run/docker/plugins/tsnet.sock", parse: absolutePath },
  managedSocket: { name: "TSNET_MANAGED_SOCKET", fallback: "", parse: optional(absolutePath) },
  adminSocket: { name: "TSNET_ADMIN_SOCKET", fallback: defaultAdminSocket, parse: absolutePath },
  stateDir: { name: "TSNET_STATE_DIR", fallback: "/var/lib/tsnet", parse: absolutePath },
  logLevel: { name: "TSNET_LOG_LEVEL", fallback: "info", parse: oneOf(logLevels) },
  scope: { name: "TSNET_SCOPE", fallback: "local", parse: oneOf(["local", "global"] as const) },
  mark: { name: "TSNET_MARK", fallback: "0x01000000", parse: markBit },
  dockerSocket: { name: "TSNET_DOCKER_SOCKET", fallback: "/run/docker.sock", parse: absolutePath },
  addressPools: { name: "TSNET_ADDRESS_POOLS", fallback: "", parse: parseAddressPools },
  requiresMacAddress: { name: "TSNET_REQUIRES_MAC_ADDRESS", fallback: "false", parse: yesOrNo },
  orphanGrace: { name: "TSNET_ORPHAN_GRACE", fallback: "2m", parse: graceMs },
  hostId: { name: "TSNET_HOST_ID", fallback: "", parse: optional(hostName) },
} as const;

const etcdSettings = {
  endpoints: { name: "TSNET_ETCD_ENDPOINTS", fallback: "", parse: optional(etcdUrls), isSecret: true },
  cacert: { name: "TSNET_ETCD_CACERT", fallback: "", parse: optional(absolutePath) },
  cert: { name: "TSNET_ETCD_CERT", fallback: "", parse: optional(absolutePath) },
  key: { name: "TSNET_ETCD_KEY", fallback: "", parse: optional(absolutePath) },
  user: { name: "TSNET_ETCD_USER", fallback: "", parse: optional(credentials), isSecret: true },
  prefix: { name: "TSNET_ETCD_PREFIX", fallback: "/tsnet/", parse: keyPrefix },
} as const;

interface Setting<T> {
  readonly name: string;
  /** Taken if it is empty or not set. */
  readonly fallback: string;
  /** @throws Error */
  readonly parse: (text: string) => T;
  /** Whether its text, which may hold a password, must not be shown. */
  readonly isSecret?: boolean;
}

type Read = <T>(setting: Setting<T>) => T;

/**
 * Reads all settings.
 * @throws AggregateError of TsnetErrors "invalid", one for each setting that is wrong
 */
export function parseConfig(environment: Environment): Config {
  const errors: unknown[] = [];
  const read: Read = ({ name, fallback, parse, isSecret }) => {
    const text = environment[name] || fallback;
    try {
      return parse(text);
    } catch (error) {
      errors.push(new TsnetError("invalid", `${isSecret ? name : `${name}=${text}`}: ${explain(error)}`));
      return parse(fallback);
    }
  };
  const config: Config = {
    socket: read(settings.socket),
    managedSocket: read(settings.managedSocket),
    adminSocket: read(settings.adminSocket),
    stateDir: read(settings.stateDir),
    logLevel: read(settings.logLevel),
    scope: read(settings.scope),
    mark: read(settings.mark),
    dockerSocket: read(settings.dockerSocket),
    addressPools: read(settings.addressPools),
    requiresMacAddress: read(settings.requiresMacAddress),
    orphanGraceMs: read(settings.orphanGrace),
    hostId: read(settings.hostId),
    etcd: readEtcd(read),
  };
  errors.push(...unknownSettings(environment), ...sharedPaths(config), ...etcdContradictions(environment, config.etcd));
  if (errors.length > 0) throw new AggregateError(errors, "settings");
  return config;
}

/** Sockets that would be one another's. */
function sharedPaths({ socket, managedSocket, adminSocket }: Config): TsnetError[] {
  const paths = { TSNET_SOCKET: socket, TSNET_MANAGED_SOCKET: managedSocket, TSNET_ADMIN_SOCKET: adminSocket };
  return Object.entries(paths).flatMap(([name, path], index, all) => {
    const other = all.slice(0, index).find(([, otherPath]) => path !== null && otherPath === path);
    return other ? [new TsnetError("invalid", `${other[0]} and ${name} are both ${path}: give each its own`)] : [];
  });
}

function readEtcd(read: Read): EtcdConfig | null {
  const endpoints = read(etcdSettings.endpoints);
  const files = { cacert: read(etcdSettings.cacert), cert: read(etcdSettings.cert), key: read(etcdSettings.key) };
  const { user, password } = read(etcdSettings.user) ?? { user: null, password: null };
  const prefix = read(etcdSettings.prefix);
  return endpoints === null ? null : { endpoints, ...files, user, password, prefix };
}

function unknownSettings(environment: Environment): TsnetError[] {
  const known = [...Object.values(settings), ...Object.values(etcdSettings)].map(({ name }) => name as string);
  // of a managed plugin, Docker keeps the settings of the version that was installed first, although a later one has them no more
  return Object.keys(environment)
    .filter((name) => name.startsWith("TSNET_") && environment[name] && !known.includes(name))
    .map((name) => new TsnetError("invalid", `${name} is no setting of tsnet; known: ${known.join(", ")}`));
}

/** Settings of etcd that are right by themselves, but not together. */
function etcdContradictions(environment: Environment, etcd: EtcdConfig | null): TsnetError[] {
  const { endpoints: where, ...others } = etcdSettings;
  const problems: string[] = [];
  if (!environment[where.name]) {
    const given = Object.values(others).filter(({ name }) => environment[name]);
    for (const { name } of given) problems.push(`${name} is set, but ${where.name} is not: set both or none`);
  }
  if (etcd && (etcd.cert === null) !== (etcd.key === null)) {
    problems.push("TSNET_ETCD_CERT and TSNET_ETCD_KEY: set both or none");
  }
  const isPlain = etcd?.endpoints.find((endpoint) => endpoint.startsWith("http:"));
  const file = etcd && [others.cacert, others.cert, others.key].find(({ name }) => environment[name]);
  if (isPlain && file) problems.push(`${file.name} is set, but ${where.name} has ${isPlain}: expected https`);
  return problems.map((problem) => new TsnetError("invalid", problem));
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

/** What is not given is null. */
function optional<T>(parse: (text: string) => T): (text: string) => T | null {
  return (text) => (text === "" ? null : parse(text));
}

function yesOrNo(text: string): boolean {
  return oneOf(["true", "false"])(text) === "true";
}

/** Docker asks for an address moments before the endpoint; a week is a long time for an address that nobody has. */
function graceMs(text: string): number {
  const ms = parseDuration(text);
  if (ms >= 1000 && ms <= 7 * 24 * 3_600_000) return ms;
  throw new Error("expected 1s to 168h");
}

function hostName(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(text)) return text;
  throw new Error("expected a name: up to 63 letters, digits, dots, hyphens and underscores");
}

function etcdUrls(text: string): string[] {
  const urls = text.split(",").map((part) => etcdUrl(part.trim()));
  const twice = urls.find((url, index) => urls.indexOf(url) !== index);
  if (twice === undefined) return urls;
  throw new Error(`${twice} is given twice`);
}

function etcdUrl(text: string): string {
  if (text.includes("@")) throw new Error("a user and password belong into TSNET_ETCD_USER");
  const url = /^https?:\/\/[^/?#\s]+:\d{1,5}\/?$/.test(text) ? URL.parse(text) : null;
  // .origin leaves out the port that is usual for the scheme
  if (url) return `${url.protocol}//${url.hostname}:${/(\d+)\/?$/.exec(text)?.[1]}`;
  throw new Error(`${JSON.stringify(text)}: expected such as https://10.0.0.1:2379, several separated by commas`);
}

/** As etcdctl's --user. */
function credentials(text: string): { user: string; password: string } {
  const colon = text.indexOf(":");
  if (colon > 0 && colon < text.length - 1) return { user: text.slice(0, colon), password: text.slice(colon + 1) };
  throw new Error("expected name:password");
}

function keyPrefix(text: string): string {
  if (/^(\/[^/\s]+)+\/$/.test(text)) return text;
  throw new Error("expected a path that begins and ends with a slash, such as /tsnet/");
}
