/** The same docker commands with Docker's own address management and with tsnet's, and where their outcomes differ. */
import type { Outcome } from "./commands.ts";
import type { Host } from "./host.ts";
import { image } from "./image.ts";

/** Who makes the networks, and who gives them their addresses. */
export interface Side {
  /** `-d`; for macvlan each network of a trial gets a parent link of its own: `parentLink(1)` and so on. */
  readonly driver: string;
  /** `--ipam-driver` */
  readonly ipam: "default" | "tsnet";
}

/** A command, and what came of it. */
export interface Step {
  readonly command: string;
  readonly outcome: string;
}

/** A command that has another outcome with tsnet's address management than with Docker's own. */
export interface Difference {
  readonly command: string;
  readonly theirs: string;
  readonly ours: string;
}

export const refused = "refused: ";

/** What is asked of a network that could not be made. */
const noNetwork = "no such network";

/** No trial has more commands. */
export const maxSteps = 30;

export const parentLink = (number: number): string => `lan${number}`;

/**
 * Runs docker's commands on one side, one after another.
 * @param commands one a line, without "docker": `network create`, `connect`, `disconnect` and `rm`; `run`, `start`, `stop`, `restart`
 *   and `rm` of a container. What belongs to the side, and what every container has, is put in.
 */
export async function tryCommands(host: Host, side: Side, commands: string): Promise<Step[]> {
  const lines = commands.split("\n").map((line) => line.trim());
  const steps: Step[] = [];
  for (const command of lines.filter((line) => line !== "")) {
    steps.push({ command, outcome: await outcomeOf(host, side, command.split(/\s+/), steps) });
  }
  return steps;
}

async function outcomeOf(host: Host, side: Side, words: readonly string[], before: readonly Step[]): Promise<string> {
  const { code, stderr } = await host.tryDocker(...completed(side, words, before.length));
  if (code !== 0) return wordsOf(stderr);
  const [first, verb] = words;
  if (first === "network" && verb === "create") return await configOf(host, words.at(-1) ?? "");
  if (first === "network" && verb === "connect") return await addressesOf(host, words.at(-1) ?? "", words.at(-2));
  if (first === "run") return await addressesOf(host, words[words.indexOf("--name") + 1] ?? "");
  if (first === "start" || first === "restart") return await addressesOf(host, words.at(-1) ?? "");
  return "done";
}

/** @param number which command of the trial it is */
function completed({ driver, ipam }: Side, words: readonly string[], number: number): string[] {
  const [first = "", second = "", ...rest] = words;
  const parent = driver === "macvlan" ? ["-o", `parent=${parentLink(number)}`] : [];
  if (first === "network" && second === "create")
    return [first, second, "-d", driver, ...parent, "--ipam-driver", ipam, ...rest];
  if (first === "run") return [first, "-d", second, ...rest, image];
  if (first === "stop" || first === "restart") return [first, "-t", "1", second, ...rest];
  return [...words];
}

/** IPAM.Config of `docker network inspect`. */
async function configOf(host: Host, network: string): Promise<string> {
  const { IPAM } = await host.dockerd.api("GET", `/networks/${network}`);
  const configs = (IPAM.Config ?? []).map(describeConfig);
  return withoutHash(configs.join(", "));
}

interface IpamConfig {
  readonly Subnet: string;
  readonly IPRange?: string;
  readonly Gateway?: string;
  readonly AuxiliaryAddresses?: Readonly<Record<string, string>>;
}

function describeConfig({ Subnet, IPRange, Gateway, AuxiliaryAddresses = {} }: IpamConfig): string {
  const auxiliary = Object.entries(AuxiliaryAddresses).map(([name, address]) => ` ${name}=${address}`);
  return [Subnet, IPRange ? ` range ${IPRange}` : "", Gateway ? ` gateway ${Gateway}` : "", ...auxiliary].join("");
}

/** Of one network of a container, or of all. */
async function addressesOf(host: Host, container: string, network?: string): Promise<string> {
  const { NetworkSettings } = await host.dockerd.api("GET", `/containers/${container}/json`);
  const networks: Record<string, Endpoint> = NetworkSettings.Networks;
  const wanted = network === undefined ? Object.values(networks) : [networks[network]];
  return withoutHash(wanted.flatMap((endpoint) => (endpoint ? describeEndpoint(endpoint) : [])).join(", "));
}

interface Endpoint {
  readonly IPAddress: string;
  readonly IPPrefixLen: number;
  readonly Gateway: string;
  readonly GlobalIPv6Address: string;
  readonly GlobalIPv6PrefixLen: number;
  readonly IPv6Gateway: string;
}

const describeEndpoint = (endpoint: Endpoint): string[] => [
  ...(endpoint.IPAddress ? [`${endpoint.IPAddress}/${endpoint.IPPrefixLen}${via(endpoint.Gateway)}`] : []),
  ...(endpoint.GlobalIPv6Address
    ? [`${endpoint.GlobalIPv6Address}/${endpoint.GlobalIPv6PrefixLen}${via(endpoint.IPv6Gateway)}`]
    : []),
];

const via = (gateway: string): string => (gateway ? ` via ${gateway}` : "");

/** Both make a host's own prefix of a hash (RFC 4193), of different things. The commands name no subnet in fd00::/8. */
const withoutHash = (text: string): string =>
  text.replace(/\bfd[0-9a-f]{2}:[0-9a-f]{1,4}:[0-9a-f]{1,4}(?=:)/g, "PREFIX");

/** What the docker command says, without what differs each time. */
function wordsOf(stderr: Outcome["stderr"]): string {
  if (/network \S+ not found|No such network/.test(stderr)) return noNetwork;
  const words = stderr
    .trim()
    .replace(/^docker: /, "")
    .replace(/^Error response from daemon: /, "")
    .replace(/(?<=secondary ip address )\(\w+:/, "(NAME:") // of two names, any comes first
    .replace(/\s*(?:Run|See) 'docker .*--help'.*/s, "")
    .replace(/\s*Error: failed to start containers: .*|\.$/s, "")
    .replace(/\b(?:br-[0-9a-f]{12}|tsb-[0-9a-f]{11})\b/g, "BRIDGE")
    .replace(/\b(?:[0-9a-f]{64}|[0-9a-f]{12})\b/g, "ID");
  return refused + words.replace(/\s+/g, " ");
}

/**
 * Command by command, where the sides differ. What follows from it that a network is there on one side only is left out.
 * @throws Error if they did not run the same commands
 */
export function differences(theirs: readonly Step[], ours: readonly Step[]): Difference[] {
  return theirs.flatMap(({ command, outcome }, index) => {
    const other = ours[index];
    if (other?.command !== command) throw new Error(`step ${index}: ${command}, and ${other?.command}`);
    const isThere = outcome !== noNetwork && other.outcome !== noNetwork;
    return isThere && !agree(outcome, other.outcome) ? [{ command, theirs: outcome, ours: other.outcome }] : [];
  });
}

/** dockerd puts "remote: " before what a plugin says; and tsnet may say more, after Docker's words. */
function agree(theirs: string, ours: string): boolean {
  const [docker, tsnet] = [theirs, ours].map((outcome) => outcome.replaceAll("remote: ", "")) as [string, string];
  return tsnet === docker || (docker.startsWith(refused) && tsnet.startsWith(docker));
}

/** Removes all networks that a trial has left, and all containers but those to keep. */
export async function clear(host: Host, keep: readonly string[]): Promise<void> {
  const { dockerd } = host;
  const containers: { Id: string; Names: string[] }[] = await dockerd.api("GET", "/containers/json?all=1");
  for (const { Id, Names } of containers) {
    if (!Names.some((name) => keep.includes(name.slice(1)))) await dockerd.api("DELETE", `/containers/${Id}?force=1`);
  }
  const networks: { Id: string; Name: string }[] = await dockerd.api("GET", "/networks");
  for (const { Id } of networks.filter(({ Name }) => !["bridge", "host", "none"].includes(Name))) {
    const { Containers = {} } = await dockerd.api("GET", `/networks/${Id}`);
    for (const Container of Object.keys(Containers))
      await dockerd.api("POST", `/networks/${Id}/disconnect`, { Container, Force: true });
    await dockerd.api("DELETE", `/networks/${Id}`);
  }
  await host.exec(`ip -br link | grep -o "^br-[0-9a-f]*" | xargs -r -n1 ip link del`); // Docker leaves what it could not give an address
}
