/** Published ports: on which addresses of the host, in which blocks, and who passes on what arrives there. */
import { TsnetError } from "../errors.ts";
import type { Family } from "../net/cidr.ts";
import type { Endpoint, GatewayNetwork, PortMapping } from "./network.ts";

/** What `docker run -p` asks for: one container port. */
export interface PortBinding {
  readonly protocol: PortMapping["protocol"];
  readonly containerPort: number;
  /** "" is the network's default. */
  readonly hostAddress: string;
  /** 0 is any port of the host's ephemeral range. */
  readonly hostPort: number;
  /** The last port of a range of which any will do; equal to hostPort for exactly that port. */
  readonly hostPortEnd: number;
}

/** How a mapping is served. */
export interface Serving {
  /** Whether the kernel translates: then the mapping has elements in the firewall's maps. */
  readonly element: boolean;
  /**
   * Where the socket that holds the first port passes on what arrives at it, and each next socket to the port after; null for a
   * socket that only holds.
   */
  readonly target: { readonly address: string; readonly port: number } | null;
}

/** Who has published ports: what of an endpoint and its network decides on where and how. */
export interface PortOwner {
  readonly endpoint: Pick<Endpoint, "addresses">;
  readonly network: Pick<GatewayNetwork, "internal" | "publish" | "publishPolicy" | "hostBinding" | "subnets">;
  /** Another endpoint of the container publishes for IPv6: this one passes nothing on from IPv6 to its IPv4 address. */
  readonly noProxy6To4: boolean;
  /** Whether the host has IPv6 at all. */
  readonly hasIpv6: boolean;
}

/**
 * Who serves a mapping. The kernel translates within a family, where the network's ports are to pass Docker's rules and not those
 * of the host's own services. A socket passes on the rest: what comes to ::1, which the kernel does not translate; and IPv6 for a
 * container without. On "::" there are both, and the socket sees only ::1 and what comes before the element is there. SCTP is
 * never passed on by a socket.
 */
export function serving(
  { protocol, hostAddress, containerPort }: Pick<PortMapping, "protocol" | "hostAddress" | "containerPort">,
  { addresses }: Pick<Endpoint, "addresses">,
  { publishPolicy }: Pick<GatewayNetwork, "publishPolicy">,
): Serving {
  const family = familyOf(hostAddress);
  const own = addressOf(addresses, family);
  const element = own !== undefined && publishPolicy === "docker" && hostAddress !== "::1";
  const address = own ?? (family === 6 ? addressOf(addresses, 4) : undefined);
  const isProxied = protocol !== "sctp" && (!element || hostAddress === "::");
  return { element, target: isProxied && address !== undefined ? { address, port: containerPort } : null };
}

/**
 * The host addresses on which a binding is published: none in a family that the endpoint does not have, or whose gateway mode
 * needs no ports of the host; none on an internal network, and none where Docker publishes.
 * @throws TsnetError "invalid" for SCTP where only a socket could pass it on
 */
export function publishedAt(binding: PortBinding, owner: PortOwner): string[] {
  const { protocol, containerPort } = binding;
  const fitting = wishedAddresses(binding, owner).filter((address) => fits(address, binding, owner));
  const served = fitting.filter((hostAddress) => {
    const { element, target } = serving({ protocol, hostAddress, containerPort }, owner.endpoint, owner.network);
    return element || target !== null;
  });
  if (served.length > 0 || fitting.length === 0) return served;
  const what = `cannot publish container port ${containerPort}/${protocol} on ${fitting.join(", ")}`;
  throw new TsnetError("invalid", `${what}: the kernel cannot translate it, and ${protocol} is not proxied`);
}

function wishedAddresses({ hostAddress }: PortBinding, { network }: PortOwner): string[] {
  if (hostAddress !== "") return [hostAddress];
  return network.hostBinding === "0.0.0.0" ? ["0.0.0.0", "::"] : [network.hostBinding];
}

function fits(hostAddress: string, binding: PortBinding, owner: PortOwner): boolean {
  const { endpoint, network, noProxy6To4, hasIpv6 } = owner;
  const family = familyOf(hostAddress);
  if (addressOf(endpoint.addresses, family) !== undefined) return isTranslated(network, family);
  if (family === 4 || noProxy6To4 || addressOf(endpoint.addresses, 4) === undefined) return false;
  return isTranslated(network, 4) && (hasIpv6 || binding.hostAddress !== "");
}

/** Whether ports of the host stand for those of containers. */
const isTranslated = ({ internal, publish, subnets }: PortOwner["network"], family: Family): boolean =>
  !internal &&
  publish === "native" &&
  subnets.some((subnet) => subnet.family === family && subnet.gatewayMode.startsWith("nat"));

const familyOf = (address: string): Family => (address.includes(":") ? 6 : 4);

/** An endpoint's address of a family, without prefix length. */
const addressOf = (addresses: readonly string[], family: Family): string | undefined =>
  addresses.find((address) => familyOf(address) === family)?.split("/")[0];

/** One container port that any port of a range will do for: the same one at each address. */
export interface PortSearch {
  readonly protocol: PortMapping["protocol"];
  readonly containerPort: number;
  readonly addresses: readonly string[];
  /** 0 is the host's ephemeral range. */
  readonly first: number;
  readonly last: number;
}

/** What has to be held for an endpoint's bindings. */
export interface WantedPorts {
  /** In blocks as large as can be. */
  readonly fixed: readonly PortMapping[];
  /** Those of a range come before those of the ephemeral range, which they may overlap. */
  readonly searches: readonly PortSearch[];
  /** Those that no port of the host stands for. */
  readonly unserved: readonly PortBinding[];
}

/** A binding, and where it is published. */
interface Placed extends PortBinding {
  readonly addresses: readonly string[];
}

/**
 * The order depends on what is asked for alone, not on the order of the bindings. The same binding twice counts once.
 * @throws TsnetError as `publishedAt`
 */
export function planPorts(bindings: readonly PortBinding[], owner: PortOwner): WantedPorts {
  const placed = bindings.map((binding): Placed => ({ ...binding, addresses: publishedAt(binding, owner) }));
  const isFixed = ({ hostPort, hostPortEnd }: PortBinding): boolean => hostPort !== 0 && hostPort === hostPortEnd;
  return {
    fixed: planBlocks(placed.filter(isFixed)),
    searches: planSearches(placed.filter((binding) => !isFixed(binding))),
    unserved: bindings.filter((_, index) => placed[index]?.addresses.length === 0),
  };
}

function planBlocks(placed: readonly Placed[]): PortMapping[] {
  const ports = placed.flatMap(({ protocol, hostPort, containerPort, addresses }) =>
    addresses.map((hostAddress): PortMapping => ({ protocol, hostAddress, hostPort, containerPort, count: 1 })),
  );
  const groups = Map.groupBy(ports, ({ protocol, hostAddress }) => `${protocol} ${hostAddress}`);
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, group]) => mergeBlocks(group.sort(byPorts)));
}

const byPorts = (a: PortMapping, b: PortMapping): number =>
  a.hostPort - b.hostPort || a.containerPort - b.containerPort;

type Block = { -readonly [Key in keyof PortMapping]: PortMapping[Key] };

function mergeBlocks(sorted: readonly PortMapping[]): PortMapping[] {
  const blocks: Block[] = [];
  for (const port of sorted) {
    const last = blocks.at(-1);
    const steps = last === undefined ? Number.NaN : port.hostPort - last.hostPort;
    const isInStep = last !== undefined && steps === port.containerPort - last.containerPort;
    if (isInStep && steps === last.count) last.count++;
    else if (!isInStep || steps > last.count) blocks.push({ ...port });
  }
  return blocks;
}

function planSearches(placed: readonly Placed[]): PortSearch[] {
  const groups = Map.groupBy(placed, ({ protocol, containerPort, hostPort, hostPortEnd }) =>
    [protocol, containerPort, hostPort, hostPort === 0 ? 0 : hostPortEnd].join(" "),
  );
  return [...groups.values()]
    .flatMap((group): PortSearch[] => {
      const [{ protocol, containerPort, hostPort, hostPortEnd }] = group as [Placed];
      const addresses = withoutCovered(group.flatMap((binding) => binding.addresses)).sort();
      const last = hostPort === 0 ? 0 : hostPortEnd;
      return addresses.length === 0 ? [] : [{ protocol, containerPort, addresses, first: hostPort, last }];
    })
    .sort(bySearchOrder);
}

/** Less those that another one stands for: no port is free at both. */
function withoutCovered(addresses: readonly string[]): string[] {
  const all = new Set(addresses);
  const wildcardOf = (address: string): string => (address.includes(":") ? "::" : "0.0.0.0");
  return [...all].filter((address) => address === wildcardOf(address) || !all.has(wildcardOf(address)));
}

const protocols: readonly string[] = ["tcp", "udp", "sctp"];

const bySearchOrder = (a: PortSearch, b: PortSearch): number =>
  Number(a.first === 0) - Number(b.first === 0) ||
  protocols.indexOf(a.protocol) - protocols.indexOf(b.protocol) ||
  a.containerPort - b.containerPort ||
  a.first - b.first;

/** Whether the mappings that an endpoint has are what is wanted. */
export function satisfies(ports: readonly PortMapping[], { fixed, searches }: WantedPorts): boolean {
  if (JSON.stringify(ports.slice(0, fixed.length)) !== JSON.stringify(fixed)) return false;
  const found = ports.slice(fixed.length);
  const groups = searches.map(({ addresses }) => found.splice(0, addresses.length));
  return found.length === 0 && searches.every((search, index) => isFound(groups[index] ?? [], search));
}

function isFound(
  group: readonly PortMapping[],
  { protocol, containerPort, addresses, first, last }: PortSearch,
): boolean {
  const hostPort = group[0]?.hostPort ?? 0;
  if (first !== 0 && (hostPort < first || hostPort > last)) return false;
  const wanted = addresses.map((hostAddress) => ({ protocol, hostAddress, hostPort, containerPort, count: 1 }));
  return JSON.stringify(group) === JSON.stringify(wanted);
}
