/**
 * One nft table for all bridge networks of the host. Rules are constant; networks and ports are elements of its sets and maps,
 * so that the cost of a packet and of a change does not grow with what exists.
 *
 * What the table accepts gets a mark bit, since an accept here does not undo a drop in Docker's FORWARD chain; one rule there
 * accepts the mark (plan/forward.ts). `unmark` takes it off again before the packet leaves.
 *
 * Established connections come first in `ours`, because long connections are most of the packets. `published` comes before
 * `between`, so that a network without icc still lets its containers use published ports through the host; `between` before
 * `invalid`, so that bridged traffic is treated as Docker treats it; `internal` before `into`, so that an internal network does
 * not get out into one that lets everybody in.
 *
 * Docker's bridges (`docker_links`): nothing that goes there or comes from there gets the mark with its first packet, so that
 * Docker's own rules decide, those of its internal networks too.
 *
 * Addresses of the host's loopback are never translated on their way in: a neighbor that routes 127.0.0.0/8 to this host reaches
 * nothing. A proxied port on such an address has a socket that the kernel would hand the packet to where route_localnet is on, so
 * `loopback4` names all ports that are published there.
 *
 * What a socket of the plugin passes on is the host's own traffic, not forwarded: `proxied` and so on name these ports, so that an
 * internal network does not get out by them either. It reaches whatever else the host listens with on its bridge. An element is
 * one port: sets of intervals take the longer to delete from the more they hold.
 *
 * A mapping's counter counts its connections, since the nat hooks see first packets only. `traffic4` and `traffic6` count the
 * packets and bytes of container ports, both ways; not those of the host itself, which are not forwarded.
 *
 * Packets between containers on two hosts that go without a tunnel (plan/direct.ts) are known by the link they come by and both
 * addresses, which are the network's: `direct4`, `direct6`. No connection of theirs is tracked, so that none is translated.
 *
 * What has one value in its key or data is declared by "typeof": nft 1.0.6 (Debian 12) crashes when it lists "type ifname" as nft 1.1
 * has made it, and the managed plugin's nft is not the host's.
 */

/** Family and name of our table. */
export const table = "inet tsnet" as const;

export const setDefinitions = `
  set bridges      { typeof iifname; }
  set docker_links { typeof iifname; }
  set internal     { typeof iifname; }
  set trusted      { type ifname . ifname; }
  set restricted   { typeof iifname; }
  set sources4     { type ifname . ipv4_addr; flags interval; }
  set sources6     { type ifname . ipv6_addr; flags interval; }
  set masq4        { typeof ip saddr; flags interval; }
  set masq6        { typeof ip6 saddr; flags interval; }
  map snat4        { typeof ip saddr : ip saddr; flags interval; }
  map snat6        { typeof ip6 saddr : ip6 saddr; flags interval; }
  set own4         { type ifname . ipv4_addr; flags interval; }
  set own6         { type ifname . ipv6_addr; flags interval; }
  set multihomed4  { typeof ip saddr; }
  set multihomed6  { typeof ip6 saddr; }
  set direct4      { type ifname . ipv4_addr . ipv4_addr; flags interval; }
  set direct6      { type ifname . ipv6_addr . ipv6_addr; flags interval; }
  set loopback4    { type ipv4_addr . inet_proto . inet_service; flags interval; }
  set proxied      { type nf_proto . inet_proto . inet_service; }
  set proxied4     { type ipv4_addr . inet_proto . inet_service; }
  set proxied6     { type ipv6_addr . inet_proto . inet_service; }
  map port4        { type inet_proto . inet_service : ipv4_addr . inet_service; counter; }
  map port6        { type inet_proto . inet_service : ipv6_addr . inet_service; counter; }
  map bound4       { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; counter; }
  map bound6       { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; counter; }
  map range4       { typeof meta l4proto . th dport : ip saddr; flags interval; counter; }
  map range6       { typeof meta l4proto . th dport : ip6 saddr; flags interval; counter; }
  map boundrange4  { typeof ip saddr . meta l4proto . th dport : ip saddr; flags interval; counter; }
  map boundrange6  { typeof ip6 saddr . meta l4proto . th dport : ip6 saddr; flags interval; counter; }
  set open4        { type ipv4_addr . inet_proto . inet_service; flags interval; }
  set open6        { type ipv6_addr . inet_proto . inet_service; flags interval; }
  set traffic4     { type ipv4_addr . inet_proto . inet_service; counter; }
  set traffic6     { type ipv6_addr . inet_proto . inet_service; counter; }
  map between      { typeof iifname . oifname : verdict; }
  map into         { typeof meta nfproto . oifname : verdict; }`;

/** The chains. The mark is one bit, as in 0x01000000. */
export const chains = (mark: number): string => `
  chain raw {
    type filter hook prerouting priority raw; policy accept;
    ip daddr 127.0.0.0/8 iifname != "lo" goto loopback
    iifname . ip saddr . ip daddr @direct4 fib daddr type != local notrack
    iifname . ip6 saddr . ip6 daddr @direct6 fib daddr type != local notrack
  }
  chain loopback {
    iifname @bridges drop
    ip daddr . meta l4proto . th dport @loopback4 drop
  }
  chain prerouting {
    type nat hook prerouting priority dstnat - 5; policy accept;
    ip daddr 127.0.0.0/8 return
    ip6 daddr ::1 return
    fib daddr type local goto publish
  }
  chain output {
    type nat hook output priority -105; policy accept;
    ip6 daddr ::1 return
    fib daddr type local goto publish
  }
  chain publish {
    meta l4proto != { tcp, udp, sctp } return
${["ip", "ip6"].flatMap(translations).join("\n")}
  }
  chain input {
    type filter hook input priority filter - 5; policy accept;
    iifname @internal goto inside
  }
  chain inside {
    meta nfproto . meta l4proto . th dport @proxied drop
    ip daddr . meta l4proto . th dport @proxied4 drop
    ip6 daddr . meta l4proto . th dport @proxied6 drop
  }
  chain forward {
    type filter hook forward priority filter - 5; policy accept;
    iifname @bridges goto ours
    oifname @bridges goto ours
  }
  chain ours {
    ct state established,related goto pass
    ct status dnat goto published
    iifname . ip saddr . ip daddr @direct4 goto pass
    iifname . ip6 saddr . ip6 daddr @direct6 goto pass
    iifname . oifname vmap @between
    ct state invalid drop
    iifname @internal drop
    iifname . oifname @trusted goto trusting
    meta nfproto . oifname vmap @into
    iifname @bridges goto leave
  }
  chain trusting {
    ip daddr . meta l4proto . th dport @open4 goto admitted
    ip6 daddr . meta l4proto . th dport @open6 goto admitted
    meta nfproto . oifname vmap @into
  }
  chain published {
    iifname @internal drop
    goto admitted
  }
  chain admitted {
    oifname @restricted oifname . ip saddr != @sources4 drop
    oifname @restricted oifname . ip6 saddr != @sources6 drop
    oifname @docker_links return
    goto unprotected
  }
  chain unprotected {
    iifname @docker_links return
    goto pass
  }
  chain routed {
    meta l4proto { 1, 58 } goto unprotected
    ip daddr . meta l4proto . th dport @open4 goto admitted
    ip6 daddr . meta l4proto . th dport @open6 goto admitted
    drop
  }
  chain leave {
    oifname @docker_links drop
    goto pass
  }
  chain pass {
    ct status dnat jump measure
    meta mark set meta mark | ${hex(mark)}
    accept
  }
  chain measure {
    ct direction original ip daddr . meta l4proto . th dport @traffic4 return
    ct direction original ip6 daddr . meta l4proto . th dport @traffic6 return
    ct direction reply ip saddr . meta l4proto . th sport @traffic4 return
    ct direction reply ip6 saddr . meta l4proto . th sport @traffic6 return
  }
  chain postrouting {
    type nat hook postrouting priority srcnat - 5; policy accept;
    oifname @bridges goto inward
    snat ip to ip saddr map @snat4
    snat ip6 to ip6 saddr map @snat6
    ip saddr @masq4 masquerade
    ip6 saddr @masq6 masquerade
  }
  chain inward {
    ip saddr 127.0.0.0/8 masquerade
    ct status dnat oifname . ip saddr @own4 masquerade
    ct status dnat oifname . ip6 saddr @own6 masquerade
    ct status dnat ip daddr @multihomed4 ip saddr @masq4 masquerade
    ct status dnat ip6 daddr @multihomed6 ip6 saddr @masq6 masquerade
  }
  chain unmark {
    type filter hook postrouting priority srcnat + 10; policy accept;
    meta mark & ${hex(mark)} == ${hex(mark)} meta mark set meta mark & ${hex(~mark)}
  }`;

/** The rules of a family that translate, for one address of the host before those for all. */
function translations(family: string): string[] {
  const version = family === "ip" ? 4 : 6;
  const anyHost = "meta l4proto . th dport";
  const oneHost = `${family} daddr . ${anyHost}`;
  const lookups = [
    [oneHost, `bound${version}`],
    [oneHost, `boundrange${version}`],
    [anyHost, `port${version}`],
    [anyHost, `range${version}`],
  ];
  // without the family, a packet of the other one would be counted by the element that it finds
  const matches = `meta nfproto ipv${version} meta l4proto { tcp, udp, sctp }`;
  return lookups.map(([key, map]) => `    ${matches} dnat ${family} to ${key} map @${map}`);
}

const hex = (number: number): string => `0x${(number >>> 0).toString(16).padStart(8, "0")}`;
