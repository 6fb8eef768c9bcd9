/** A network is the same on all hosts: whether what one of them asks for is what the others have, and if not, where it differs. */
import { TsnetError } from "../../errors.ts";
import { overlaps, parseCidr, parseHostAddress } from "../../net/cidr.ts";
import type { OverlayNetwork } from "../../plan/network.ts";
import { gatewayAddresses } from "../../plan/overlay.ts";
import type { NetworkRecord } from "./shared-records.ts";

/** What the cluster has, by VNI. */
export type KnownNetworks = ReadonlyMap<number, NetworkRecord>;

/** The hosts of a network, in words. */
export type CallHosts = (record: NetworkRecord) => string;

export const subnetsOf = ({ subnets }: Pick<OverlayNetwork, "subnets">): string[] => subnets.map(({ pool }) => pool);

/** "10.1.0.1", of each subnet; none where tsnet leads nobody out. */
export const gatewaysOf = (network: Pick<OverlayNetwork, "subnets">): string[] =>
  gatewayAddresses(network).map((address) => parseHostAddress(address).ip.text);

/**
 * The VNI of the network that is asked for, if one is given or others have the network.
 * @throws TsnetError "conflict" that names the difference, who has it, and what to do
 */
export function findNetwork(network: OverlayNetwork, known: KnownNetworks, call: CallHosts): number | undefined {
  const given = known.get(network.vni);
  if (given) {
    refuseDifference(network, network.vni, given, call);
    return network.vni;
  }
  const subnets = subnetsOf(network);
  const same = [...known].filter(([, record]) => isSame(record.subnets, subnets));
  const [found] = same;
  if (found === undefined) {
    refuseOverlap(network, known, call);
    return network.vni || undefined;
  }
  const vnis = same.map(([vni]) => vni).join(", ");
  if (network.vni !== 0) {
    const hosts = same.map(([, record]) => call(record)).join("; ");
    const why = `tsnet.vni=${network.vni}: the network with the subnets ${subnets.join(", ")} has VNI ${vnis} on host ${hosts}`;
    throw new TsnetError("conflict", `${why}: give tsnet.vni=${found[0]}, or leave it out, or give another --subnet`);
  }
  if (same.length > 1) {
    const why = `there are networks with these subnets and the VNIs ${vnis}`;
    throw new TsnetError("conflict", `${why}: say which with tsnet.vni`);
  }
  refuseDifference(network, found[0], found[1], call);
  return found[0];
}

/** @throws TsnetError "conflict" unless the subnets are the same, and the gateways, where both have any */
export function refuseDifference(network: OverlayNetwork, vni: number, record: NetworkRecord, call: CallHosts): void {
  if (!isSame(record.subnets, subnetsOf(network))) throw otherSubnets(network, vni, record, call);
  const [ours, theirs] = [gatewaysOf(network), record.gateways ?? []];
  if (ours.length === 0 || theirs.length === 0 || isSame(ours, theirs)) return;
  const what = `the network with VNI ${vni} has the ${plural("gateway", theirs)} on host ${call(record)}, not ${ours.join(", ")}`;
  const why = "what is the gateway here may be a container there";
  throw new TsnetError("conflict", `${what}, and ${why}: give ${theirs.map((ip) => `--gateway ${ip}`).join(" ")}`);
}

function otherSubnets(network: OverlayNetwork, vni: number, record: NetworkRecord, call: CallHosts): TsnetError {
  const subnets = subnetsOf(network);
  const missing = record.subnets.filter((subnet) => !subnets.includes(subnet));
  const extra = subnets.filter((subnet) => !record.subnets.includes(subnet));
  const differences = [
    ...(missing.length === 0 ? [] : [`${missing.join(", ")} ${missing.length === 1 ? "is" : "are"} missing here`]),
    ...(extra.length === 0 ? [] : [`${extra.join(", ")} ${extra.length === 1 ? "is" : "are"} too many here`]),
  ];
  const isOther = missing.length === record.subnets.length;
  const difference = isOther ? `, not ${subnets.join(", ")}` : `; ${differences.join(", and ")}`;
  const what = `the network with VNI ${vni} has the ${plural("subnet", record.subnets)} on host ${call(record)}${difference}`;
  const remedy = isOther ? "give the same --subnet, or another tsnet.vni" : "give the same --subnet, or others";
  const alsoVni = isOther || network.vni === 0 ? "" : " and another tsnet.vni";
  return new TsnetError("conflict", `${what}: ${remedy}${alsoVni}`);
}

/** A network that has some of the subnets is taken for the one that is meant. */
function refuseOverlap(network: OverlayNetwork, known: KnownNetworks, call: CallHosts): void {
  const { vni } = network;
  for (const [other, record] of known) {
    const clash = subnetsOf(network).flatMap((a) => record.subnets.flatMap((b) => (overlap(a, b) ? [[a, b]] : [])))[0];
    if (clash === undefined) continue;
    const [ours, theirs] = clash;
    if (vni === 0 && ours === theirs) throw otherSubnets(network, other, record, call);
    const where = `${theirs} of the network with VNI ${other} on host ${call(record)}`;
    const same = vni === 0 ? "the same --subnet" : `the same --subnet and tsnet.vni=${other}`;
    const what = `${vni === 0 ? "" : `tsnet.vni=${vni}: `}the subnet ${ours} overlaps with ${where}`;
    throw new TsnetError("conflict", `${what}: give ${same} to be in that network, or another --subnet`);
  }
}

const plural = (word: string, some: readonly string[]): string =>
  `${word}${some.length === 1 ? "" : "s"} ${some.join(", ")}`;

/** In whichever order. */
const isSame = (a: readonly string[], b: readonly string[]): boolean => `${[...a].sort()}` === `${[...b].sort()}`;

function overlap(a: string, b: string): boolean {
  const [one, other] = [parseCidr(a), parseCidr(b)];
  return one.family === other.family && overlaps(one, other);
}
