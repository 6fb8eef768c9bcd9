/** A host beside this one, on a segment of their own: a namespace that has an endpoint of an overlay network as addresses of its own. */
import { execFileSync } from "node:child_process";
import { ip } from "./netns.ts";

/** Runs a shell script in a namespace. @throws Error if it fails */
export const sh = (name: string, script: string): string =>
  execFileSync("ip", ["netns", "exec", name, "sh", "-ec", script], { encoding: "utf8" });

/** "peer", 192.168.77.2 and fd00:77::2 behind this host's link up0, with the endpoint's addresses 10.5.0.20 and fd00:5::20. */
export function makeNeighbor(): void {
  ip("netns add peer");
  ip("link add up0 type veth peer name eth0 netns peer");
  for (const address of ["192.168.77.1/24", "fd00:77::1/64"]) ip(`address add ${address} dev up0`);
  ip("link set up0 up");
  sh("peer", "echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad; ip link set lo up; ip link set eth0 up");
  for (const address of ["192.168.77.2/24", "fd00:77::2/64"]) ip(`-n peer address add ${address} dev eth0`);
  for (const address of ["10.5.0.20/32", "fd00:5::20/128"]) ip(`-n peer address add ${address} dev lo`);
  ip("-n peer route add 10.5.0.0/24 via 192.168.77.1");
  ip("-n peer route add fd00:5::/64 via fd00:77::1");
  // what was translated is not answered
  const rules = [
    "add table inet t",
    "add chain inet t c { type filter hook input priority 0; }",
    "add rule inet t c ip saddr 192.168.77.1 drop",
    "add rule inet t c ip6 saddr fd00:77::1 icmpv6 type echo-request drop",
  ];
  for (const rule of rules) sh("peer", `nft '${rule}'`);
}
