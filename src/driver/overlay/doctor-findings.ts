/** What is wrong with the way to other hosts, in words, and what to do. */
import type { ObservedPath } from "../../plan/observed.ts";
import type { DoctorFinding, WayAnswer } from "./doctor-answers.ts";

/** What is said of besides the answer. */
export interface FindingContext {
  /** This host's tunnel address. */
  readonly local: string;
  readonly port: number;
  /** The biggest packets that networks here send to the host. */
  readonly wantedBytes: number;
  readonly path: ObservedPath | undefined;
}

/** More than this is not the odd packet of a busy network. */
const leastLoss = 0.02;
const leastLost = 2;

/** @returns undefined where nothing is wrong */
export function findingOf(peer: WayAnswer, context: FindingContext): DoctorFinding | undefined {
  const { address, state } = peer;
  if (state === "idle") return undefined;
  const text = state === "ok" ? lossText(peer) : texts[state](address, context, peer);
  return text === "" ? undefined : { kind: state === "ok" ? "loss" : state, peer: address, text };
}

function lossText({ address, loss, probes }: WayAnswer): string {
  const lost = Math.round((loss ?? 0) * probes);
  if (lost < leastLost || (loss ?? 0) < leastLoss) return "";
  const share = `${lost} of the last ${probes} probes to ${address} were lost`;
  return `${share}: look at the links and switches in between (ip -s link), and at whether this host or that one is overloaded`;
}

type Text = (address: string, context: FindingContext, peer: WayAnswer) => string;

const texts: Readonly<Record<Exclude<WayAnswer["state"], "ok" | "idle">, Text>> = {
  "small-mtu": smallMtu,
  damaged: (address) =>
    `${address} answers ICMP through the tunnel, but no UDP, whoever makes the checksums: something in between drops or changes what is in the tunnel (a firewall or an offload of a network card: ethtool -k)`,
  "port-closed": (address, { port }) =>
    `on ${address} nothing has UDP port ${port}: there is no container of an overlay network yet, its plugin has another TSNET_VXLAN_PORT, or could not make its links (see its log)`,
  "port-filtered": (address, { local, port }) =>
    `${address} answers, but not on UDP port ${port}: let it pass in the firewalls of both hosts and between them, from ${local} and back; or ${address} does not have this host among its peers (TSNET_PEERS)`,
  unreachable: (address) =>
    `${address} does not answer at all: the host is down or cut off; if it is gone for good, take it out of TSNET_PEERS, or say: tsnet hosts remove, or in a swarm: docker node rm`,
  "no-route": (address) => `there is no route to ${address}: add one (ip route get ${address})`,
  "other-family": (address, { local }) =>
    `${address} is of another family than ${local}, the tunnel address of this host: set TSNET_ADVERTISE_ADDRESS to addresses of one family on all hosts`,
};

/** Where the route knows, containers are told; where it does not, nobody is. */
function smallMtu(address: string, { wantedBytes, path }: FindingContext, peer: WayAnswer): string {
  const verified = peer.verifiedMtuBytes ?? 0;
  const what = `packets to ${address} may have ${verified} bytes, and those of overlay networks here have up to ${wantedBytes}`;
  const later = `networks that are made from now on have the smaller MTU`;
  if ((peer.routeMtuBytes ?? 0) <= verified) return `${what}: containers that run learn it by ICMP, ${later}`;
  const via = path === undefined || path.gateway === "" ? "" : ` via ${path.gateway}`;
  const route = `ip route replace ${address}${via}${path ? ` dev ${path.link}` : ""} mtu lock ${verified}`;
  return `${what}, but no router says so: what is bigger is lost; ${later}; for those that run: ${route}`;
}

/** The tunnel address of networks that are there is gone. */
export const addressGone = (local: string): DoctorFinding => ({
  kind: "address",
  peer: null,
  text: `no link of this host has ${local} any more, its tunnel address: overlay networks reach no other host until it is back (ip address), or tsnet is restarted with another TSNET_ADVERTISE_ADDRESS`,
});

/** What was switched off. */
export const spoiltChecksums: DoctorFinding = {
  kind: "checksums",
  peer: null,
  text: "a network card spoils the checksums of packets in the tunnel; they are made by the kernel instead, which costs speed: look for a newer driver, or say ethtool -K LINK tx-udp_tnl-csum-segmentation off tx-udp_tnl-segmentation off, and restart tsnet",
};
