/**
 * A network of the hosts themselves, by which each looks at its way to the others: a bridge and a VXLAN link as an overlay network has
 * them, with a VNI of its own, in a namespace where the bridge has this host's tunnel address, and the others theirs. What a packet
 * of a container meets on its way to another host (UDP port, firewalls, MTU, checksums made by network cards), a probe meets as well;
 * and the kernel over there answers it, whatever its plugin does. It is there as long as the host has an overlay network.
 */
import { parseIp } from "../net/cidr.ts";
import { macOf } from "../net/mac.ts";
import { bridgeName, linkAlias, namespaceName, vxlanName } from "../net/names.ts";
import { probeVni } from "../net/vni.ts";
import type { InnerOp, Op } from "./op.ts";
import { overheadBytes, type Underlay } from "./overlay.ts";
import type { Place } from "./places.ts";

/** No network's, as IDs of networks have hexadecimal digits, or 25 characters. */
const id = "probe";

export const probeNamespace = namespaceName(id);
const [bridge, vxlan] = [bridgeName(id), vxlanName(id)];

/** Nobody listens there. RFC 863 throws away what it gets. */
export const probePort = 9;

/** More than any path takes: a packet that is too big is to be refused by the path. */
const mtuBytes = 65_000;

/** What any host must take: RFC 791, RFC 8200. */
export const leastMtuBytes = (local: string): number => (isIpv6(local) ? 1280 : 576);

const isIpv6 = (address: string): boolean => address.includes(":");

/** What VXLAN adds to a packet on its way between hosts with such addresses. */
export const overheadOf = (local: string): number => (isIpv6(local) ? overheadBytes.ipv6 : overheadBytes.ipv4);

/** The namespace with all that is in it, but for the other hosts. */
export function planProbes({ local, port }: Pick<Underlay, "local" | "port">): Op[] {
  return [
    { op: "ensure-namespace", name: probeNamespace },
    {
      op: "in-namespace",
      namespace: probeNamespace,
      ops: [
        {
          ...{ op: "ensure-bridge", name: bridge, alias: linkAlias("bridge", id), mac: macAt(local), mtuBytes },
          ...{ nfCall: false, withoutVlans: true },
        },
        ...settings.map(
          (key): InnerOp => ({
            op: "set-sysctl",
            key: ["net", ...key.slice(0, -1)],
            value: key.at(-1) ?? "",
            optional: true,
          }),
        ),
        { op: "ensure-address", link: bridge, address: `${local}/${isIpv6(local) ? 128 : 32}` },
        { op: "ensure-route", link: bridge, destination: isIpv6(local) ? "::/0" : "0.0.0.0/0", source: null },
      ],
    },
    {
      op: "ensure-vxlan",
      namespace: probeNamespace,
      name: vxlan,
      alias: linkAlias("vxlan", id),
      master: bridge,
      vni: probeVni,
      port,
      local,
      mtuBytes,
      flags: { learning: false, suppress: true, flood: false },
    },
  ];
}

/** IPv6 on the bridge, and an answer to each probe: Documentation/networking/ip-sysctl.rst. A kernel without IPv6 lacks some. */
const settings: readonly (readonly string[])[] = [
  ["ipv6", "conf", bridge, "addr_gen_mode", "1"],
  ["ipv6", "conf", bridge, "accept_ra", "0"],
  ["ipv6", "conf", bridge, "accept_dad", "0"],
  ["ipv6", "conf", bridge, "disable_ipv6", "0"],
  ["ipv4", "icmp_ratemask", "0"],
  ["ipv6", "icmp", "ratelimit", "0"],
];

export const planProbesRemoval: Op = { op: "remove-namespace", name: probeNamespace };

/** Other hosts, by their tunnel addresses, can be probed from now on. */
export const planProbePeers = (peers: readonly string[]): Op =>
  inside({ op: "ensure-places", bridge, vxlan, places: peers.map(placeOf) });

/** These are probed no more. */
export const planProbePeersRemoval = (peers: readonly string[]): Op =>
  inside({ op: "remove-places", macs: peers.map(macAt) });

/** Whether network cards may make the checksums of what goes into the tunnel. */
export const planProbeChecksums = (on: boolean): Op => inside({ op: "set-tx-checksum", name: vxlan, on });

const inside = (op: InnerOp): Op => ({ op: "in-namespace", namespace: probeNamespace, ops: [op] });

/** Both hosts work it out of the address alone. */
const macAt = (address: string): string => macOf("tsnet probe", parseIp(address));

const placeOf = (address: string): Place => ({ mac: macAt(address), ips: [address], port: vxlan, vtep: address });

/**
 * Sizes to try between one that passes and one that does not, both left out: evenly spread, so that a few rounds find the limit.
 * @returns none where there is none in between
 */
export function sizesBetween(passes: number, fails: number, count = 16): number[] {
  const between = fails - passes - 1;
  if (between <= 0) return [];
  const steps = Math.min(count, between);
  return Array.from({ length: steps }, (_, n) => passes + Math.round(((n + 1) * (between + 1)) / (steps + 1)));
}
