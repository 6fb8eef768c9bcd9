import { explain, TsnetError } from "./errors.ts";
import { type AddressPools, parseAddressPools } from "./net/address-pools.ts";
import { parseDuration } from "./net/duration.ts";
import { type EtcdConfig, etcdContradictions, etcdSettings, readEtcd } from "./settings/etcd.ts";
import { namespaceDirectory, type OverlayConfig, overlaySettings, readOverlay } from "./settings/overlay.ts";
import { absolutePath, type Environment, oneOf, optional, type Read, type Setting } from "./settings/setting.ts";

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
  /** Of Docker's API: which networks and containers there are; null if Docker is not to be asked. */
  readonly dockerSocket: string | null;
  /** Where subnets are chosen from that nobody names, and where never. */
  readonly addressPools: AddressPools;
  /** Whether Docker shall tell an endpoint's MAC address when it asks for its IP address. */
  readonly requiresMacAddress: boolean;
  /** How long nobody must have claimed an address before it is given back unasked. */
  readonly orphanGraceMs: number;
  /** The name of this host among those that share etcd; null for one made of its machine-id. */
  readonly hostId: string | null;
  /** Where network namespaces of overlays are pinned. */
  readonly namespaceDir: string;
  readonly overlay: OverlayConfig;
  /** Where hosts share pools and overlay networks; null if they do not. */
  readonly etcd: EtcdConfig | null;
}

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
  dockerSocket: { name: "TSNET_DOCKER_SOCKET", fallback: "/run/docker.sock", parse: pathOrNone },
  addressPools: { name: "TSNET_ADDRESS_POOLS", fallback: "", parse: parseAddressPools },
  requiresMacAddress: { name: "TSNET_REQUIRES_MAC_ADDRESS", fallback: "false", parse: yesOrNo },
  orphanGrace: { name: "TSNET_ORPHAN_GRACE", fallback: "2m", parse: graceMs },
  hostId: { name: "TSNET_HOST_ID", fallback: "", parse: optional(hostName) },
  namespaceDir: { name: "TSNET_NETNS_DIR", fallback: "/run/netns", parse: namespaceDirectory },
} as const;

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
    namespaceDir: read(settings.namespaceDir),
    overlay: readOverlay(read),
    etcd: readEtcd(read),
  };
  errors.push(...unknownSettings(environment), ...sharedPaths(config), ...etcdContradictions(environment, config.etcd));
  errors.push(...twoControlPlanes(config));
  if (errors.length > 0) throw new AggregateError(errors, "settings");
  return config;
}

/** Those that are to be the same on all hosts, as these may tell each other: of what may be secret, or is a host's own, whether it is set. */
export const sharedSettings = (config: Config): Readonly<Record<string, string>> => ({
  [settings.scope.name]: config.scope,
  [overlaySettings.port.name]: `${config.overlay.port}`,
  [settings.requiresMacAddress.name]: `${config.requiresMacAddress}`,
  [settings.dockerSocket.name]: config.dockerSocket === null ? "none" : "set",
  [etcdSettings.endpoints.name]: config.etcd === null ? "not set" : "set",
});

/** Sockets that would be one another's. */
function sharedPaths({ socket, managedSocket, adminSocket }: Config): TsnetError[] {
  const paths = { TSNET_SOCKET: socket, TSNET_MANAGED_SOCKET: managedSocket, TSNET_ADMIN_SOCKET: adminSocket };
  return Object.entries(paths).flatMap(([name, path], index, all) => {
    const other = all.slice(0, index).find(([, otherPath]) => path !== null && otherPath === path);
    return other ? [new TsnetError("invalid", `${other[0]} and ${name} are both ${path}: give each its own`)] : [];
  });
}

function unknownSettings(environment: Environment): TsnetError[] {
  const known = [settings, overlaySettings, etcdSettings]
    .flatMap((all) => Object.values<Setting<unknown>>(all))
    .map(({ name }) => name);
  // of a managed plugin, Docker keeps the settings of the version that was installed first, although a later one has them no more
  return Object.keys(environment)
    .filter((name) => name.startsWith("TSNET_") && environment[name] && !known.includes(name))
    .map((name) => new TsnetError("invalid", `${name} is no setting of tsnet; known: ${known.join(", ")}`));
}

/** Who is where is known by etcd, or by nobody. */
function twoControlPlanes({ etcd, overlay: { peers } }: Config): TsnetError[] {
  if (etcd === null || peers.length === 0) return [];
  const what = "TSNET_PEERS and TSNET_ETCD_ENDPOINTS: etcd knows the other hosts; set one of them";
  return [new TsnetError("invalid", what)];
}

function markBit(text: string): number {
  const mark = /^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(text) ? Number(text) : 0;
  const isOneBit = mark > 0 && mark <= 0x8000_0000 && Number.isInteger(Math.log2(mark));
  if (isOneBit) return mark;
  throw new Error("expected a number with one bit set, such as 0x01000000");
}

function pathOrNone(text: string): string | null {
  if (text === "none") return null;
  if (text.startsWith("/")) return absolutePath(text);
  throw new Error("expected an absolute path, or none");
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
