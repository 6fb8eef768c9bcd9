/**
 * One nft table for all bridge networks of the host. Rules are constant; networks and ports are elements of its sets and maps,
 * so that the cost of a packet and of a change does not grow with what exists.
 *
 * What the table accepts gets a mark bit, since an accept here does not undo a drop in Docker's FORWARD chain; one rule there
 * accepts the mark (plan/forward.ts). `unmark` takes it off again before the packet leaves.
 *
 * Established connections come first in `ours`, because long connections are most of the packets. `published` comes before
 * `between`, so that a network without icc still lets its containers use published ports through the host; `between` before
 * `invalid`, so that bridged traffic is treated as Docker treats it.
 *
 * `unserved` answers for a published port that has no translation for a packet's family or address: it is refused, as a port
 * where nobody listens. Without it the socket that holds the port would swallow the packet.
 */

/** Family and name of our table. */
export const table = "inet tsnet";

export const setDefinitions = `
  set bridges      { type ifname; }
  set docker_links { type ifname; }
  set internal     { type ifname; }
  set masq4        { type ipv4_addr; flags interval; }
  set masq6        { type ipv6_addr; flags interval; }
  map snat4        { type ipv4_addr : ipv4_addr; flags interval; }
  map snat6        { type ipv6_addr : ipv6_addr; flags interval; }
  set own4         { type ifname . ipv4_addr; flags interval; }
  set own6         { type ifname . ipv6_addr; flags interval; }
  set multihomed4  { type ipv4_addr; }
  set multihomed6  { type ipv6_addr; }
  map port4        { type inet_proto . inet_service : ipv4_addr . inet_service; }
  map port6        { type inet_proto . inet_service : ipv6_addr . inet_service; }
  map bound4       { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
  map bound6       { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }
  map between      { type ifname . ifname : verdict; }
  map into         { type ifname : verdict; }
  map out          { type ifname : verdict; }`;

/** The chains. The mark is one bit, as in 0x01000000. */
export const chains = (mark: number): string => `
  chain raw {
    type filter hook prerouting priority raw; policy accept;
    iifname @bridges ip daddr 127.0.0.0/8 drop
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
    meta l4proto { tcp, udp, sctp } dnat ip to ip daddr . meta l4proto . th dport map @bound4
    meta l4proto { tcp, udp, sctp } dnat ip to meta l4proto . th dport map @port4
    meta l4proto { tcp, udp, sctp } dnat ip6 to ip6 daddr . meta l4proto . th dport map @bound6
    meta l4proto { tcp, udp, sctp } dnat ip6 to meta l4proto . th dport map @port6
  }
  chain forward {
    type filter hook forward priority filter - 5; policy accept;
    iifname @bridges goto ours
    oifname @bridges goto ours
  }
  chain ours {
    ct state established,related goto pass
    ct status dnat goto published
    iifname . oifname vmap @between
    ct state invalid drop
    oifname vmap @into
    iifname vmap @out
  }
  chain published {
    iifname @internal drop
    oifname @docker_links return
    goto pass
  }
  chain leave {
    oifname @docker_links drop
    goto pass
  }
  chain pass {
    meta mark set meta mark | ${hex(mark)}
    accept
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

const hex = (number: number): string => `0x${(number >>> 0).toString(16).padStart(8, "0")}`;
