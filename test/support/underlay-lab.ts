/**
 * Two hosts and a router between them, in the namespace of this process, which is the first host. What the second has for probes is
 * made by commands, as src/plan/probe.ts says it.
 */
import { execFileSync } from "node:child_process";
import { parseIp } from "../../src/net/cidr.ts";
import { macOf } from "../../src/net/mac.ts";

/** Runs a shell script. @returns what it wrote. @throws Error if it fails */
export const sh = (script: string): string =>
  execFileSync("bash", ["-euc", script], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

export const addresses = {
  4: { own: "10.97.1.1", other: "10.97.2.2", routerOwn: "10.97.1.254", routerOther: "10.97.2.254", bits: 24, host: 32 },
  6: { own: "fd97:1::1", other: "fd97:2::2", routerOwn: "fd97:1::ff", routerOther: "fd97:2::ff", bits: 64, host: 128 },
} as const;

const nodad = { 4: "", 6: "nodad" } as const;
const macAt = (address: string): string => macOf("tsnet probe", parseIp(address));

/** @param family that of the tunnel */
export function makeLab(family: 4 | 6): void {
  const { own, other, routerOwn, routerOther, bits } = addresses[family];
  sh(`
    for name in other router; do ip netns add $name; ip -n $name link set lo up; done
    # until its own duplicate check is over, a link asks for no neighbor of IPv6
    for enter in "" "ip netns exec other" "ip netns exec router"; do $enter sysctl -qw net.ipv6.conf.default.accept_dad=0; done
    ip link add eth0 type veth peer name a netns router
    ip -n other link add eth0 type veth peer name b netns router
    ip netns exec router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
    ip -n router address add ${routerOwn}/${bits} dev a ${nodad[family]}
    ip -n router address add ${routerOther}/${bits} dev b ${nodad[family]}
    for link in a b; do ip -n router link set dev $link up; done
    ip address add ${own}/${bits} dev eth0 ${nodad[family]}
    ip -n other address add ${other}/${bits} dev eth0 ${nodad[family]}`);
  upAgain(family, "own");
  upAgain(family, "other");
  makeProbes(family);
}

/** Takes a host's link down, and up with its default route; what was known of paths is forgotten. */
export function upAgain(family: 4 | 6, which: "own" | "other"): void {
  const { own, other, routerOwn, routerOther, bits } = addresses[family];
  const [ip, address, gateway] = which === "own" ? ["ip", own, routerOwn] : ["ip -n other", other, routerOther];
  sh(`
    ${ip} link set dev eth0 down
    ${ip} link set dev eth0 up
    ${ip} address replace ${address}/${bits} dev eth0 ${nodad[family]}
    ${ip} route replace default via ${gateway}`);
}

/** The other host's side, by hand. */
function makeProbes(family: 4 | 6): void {
  const { own, other, host } = addresses[family];
  sh(`
    ip netns add probes
    ip -n other link add tsx-probe type vxlan id 16777214 dstport 4789 local ${other} nolearning df set
    ip -n other link set tsx-probe netns probes
    ip netns exec probes sysctl -qw net.ipv4.icmp_ratemask=0 net.ipv6.icmp.ratelimit=0
    ip -n probes link add tsb-probe type bridge vlan_default_pvid 0
    ip -n probes link set dev tsb-probe address ${macAt(other)} mtu 65000
    ip -n probes link set dev tsb-probe up
    ip -n probes link set dev tsx-probe mtu 65000 master tsb-probe up
    ip -n probes address add ${other}/${host} dev tsb-probe ${nodad[family]}
    ip -n probes -${family} route add default dev tsb-probe
    bridge -n probes fdb replace ${macAt(own)} dev tsx-probe dst ${own} self permanent
    bridge -n probes fdb replace ${macAt(own)} dev tsx-probe master static sticky
    ip -n probes neigh replace ${own} lladdr ${macAt(own)} dev tsb-probe nud permanent`);
}

export function removeLab(): void {
  sh(`
    ip netns pids other | xargs -r kill
    for name in probes other router; do ip netns delete $name 2>/dev/null || true; done
    ip link delete eth0 2>/dev/null || true`);
}

/** Commands in the other host or in the router. */
export const inside = (name: "other" | "router" | "probes", script: string): string =>
  sh(`ip netns exec ${name} bash -euc '${script}'`);

/** A chain at a hook of the other host or the router, with one rule. */
export const filter = (name: "other" | "router", hook: string, rule: string): string =>
  inside(
    name,
    `nft "add table inet lab; add chain inet lab c { type filter hook ${hook} priority 0; }; add rule inet lab c ${rule}"`,
  );

export const unfilter = (name: "other" | "router"): string => inside(name, "nft flush ruleset");

/**
 * The checksum of a UDP packet inside the tunnel that nobody has made yet: the sum over the pseudo header (RFC 768), which the
 * kernel leaves there for the network card.
 * @param bytes of the packet inside
 * @param ends its sender and receiver
 */
export function unmade(bytes: number, ends: readonly string[] = [addresses[4].own, addresses[4].other]): number {
  const words = ends.flatMap((address) => {
    const [a = 0, b = 0, c = 0, d = 0] = address.split(".").map(Number);
    return [a * 256 + b, c * 256 + d];
  });
  const sum = [...words, 17, bytes - 20].reduce((total, word) => total + word, 0);
  return (sum & 0xffff) + (sum >>> 16);
}
