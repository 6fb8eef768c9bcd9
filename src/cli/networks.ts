/** `tsnet networks`, as text, and how a user calls a network. */
import type { FailedNetworkAnswer, HostAccessAnswer, NetworkAnswer, Place } from "../driver/report-link-answers.ts";
import type { Names } from "./docker-names.ts";
import { compare, formatTable } from "./table.ts";

/** So many networks are named to somebody who asks for one that there is not. */
const namedInErrors = 10;

/** A network with the name that Docker has for it; null where Docker was not asked or does not know. */
export interface NamedNetwork extends NetworkAnswer {
  readonly name: string | null;
}

/** Sorted by name. */
export const namedNetworks = (networks: readonly NetworkAnswer[], names: Names): NamedNetwork[] =>
  networks
    .map((network) => ({ ...network, name: names.networks.get(network.id) ?? null }))
    .toSorted((a, b) => compare(calledAs(a), calledAs(b)));

/** As above, of a network that could not be allocated. */
export interface NamedFailure extends FailedNetworkAnswer {
  readonly name: string | null;
}

/** Sorted by name. */
export const namedFailures = (failed: readonly FailedNetworkAnswer[], names: Names): NamedFailure[] =>
  failed
    .map((network) => ({ ...network, name: names.networks.get(network.id) ?? null }))
    .toSorted((a, b) => compare(calledAs(a), calledAs(b)));

/** The network's name, or the beginning of its ID. */
const calledAs = ({ id, name }: Pick<NamedNetwork, "id" | "name">): string => name ?? id.slice(0, 12);

/** Those that could not be allocated come last. */
export function formatNetworks(networks: readonly NamedNetwork[], failed: readonly NamedFailure[] = []): string {
  const isReached = networks.some(({ hostAccess }) => hostAccess !== null);
  const access = (cell: string): string[] => (isReached ? [cell] : []);
  const isShared = networks.some(({ vni }) => vni !== null);
  const vni = (cell: string): string[] => (isShared ? [cell] : []);
  return formatTable(
    ["NAME", "MODE", "PARENT", "VLAN", ...vni("VNI"), "MTU", "SUBNETS", "ENDPOINTS", ...access("HOST ACCESS"), "STATE"],
    [
      ...networks.map((network) => [
        calledAs(network),
        formatMode(network),
        network.parent,
        formatVlan(network),
        ...vni(`${network.vni ?? "-"}`),
        `${network.mtuBytes ?? "-"}`,
        network.subnets.map(({ subnet }) => subnet).join(", "),
        `${network.endpoints}`,
        ...access(formatAccess(network.hostAccess)),
        formatState(network),
      ]),
      ...failed.map((network) => [
        ...[calledAs(network), network.mode ?? "-", "-", "-", ...vni("-"), "-"],
        ...[network.subnets.join(", "), "-", ...access("-"), `failed: ${oneLine(network.error)}`],
      ]),
    ],
  );
}

const oneLine = (text: string): string => text.replaceAll(/\s+/g, " ");

/** "bridge", "macvlan private", "ipvlan l2", "ipvlan l2 vepa". */
export const formatMode = ({ mode, linkMode, ipvlanFlag }: Place): string =>
  [mode, linkMode, ipvlanFlag === "bridge" ? null : ipvlanFlag].filter((word) => word !== null).join(" ");

/** The ID; "-" for none. */
export const formatVlan = ({ vlan }: Place): string => `${vlan?.id ?? "-"}`;

function formatAccess(access: HostAccessAnswer | null): string {
  if (access === null) return "-";
  const state = access.state === "up" ? "" : ` (${access.state})`;
  return [`${access.link}${state}`, ...access.addresses].join(", ");
}

/** "up", "bridge missing", "namespace missing", "parent eth9 down", "eth9 missing" of what a VLAN is on, "tsx-… down" in a namespace. */
function formatState({ mode, parent, state, at }: NamedNetwork): string {
  if (at === null || state === "no carrier") return state;
  if (mode === "bridge") return `bridge ${state}`;
  if (mode === "overlay") return `${at === parent ? "namespace" : at} ${state}`;
  return `${at === parent ? "parent " : ""}${at} ${state}`;
}

/**
 * The network that a user means: by name or ID, which may be cut short.
 * @throws Error that names the networks that there are
 */
export function findNetwork(wanted: string, networks: readonly NamedNetwork[]): NamedNetwork {
  const exact = networks.find(({ name }) => name === wanted) ?? networks.find(({ id }) => id === wanted);
  if (exact !== undefined) return exact;
  const begun = networks.filter(({ id }) => wanted !== "" && id.startsWith(wanted.toLowerCase()));
  const [first] = begun;
  if (begun.length === 1 && first !== undefined) return first;
  const why = begun.length > 1 ? "several networks have an ID that begins so" : "no such network of tsnet";
  throw new Error(`${wanted}: ${why}; ${listed(begun.length > 1 ? begun : networks)}`);
}

function listed(networks: readonly NamedNetwork[]): string {
  const texts = networks
    .slice(0, namedInErrors)
    .map(({ id, name }) => (name === null ? id.slice(0, 12) : `${name} (${id.slice(0, 12)})`));
  const more = networks.length > texts.length ? `, and ${networks.length - texts.length} more` : "";
  return texts.length > 0 ? `there are ${texts.join(", ")}${more}` : "there is no network yet";
}
