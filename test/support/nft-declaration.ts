/** How a set or a map is declared: by types, or by expressions that have them. */

const types: Readonly<Record<string, string>> = {
  iifname: "ifname",
  oifname: "ifname",
  "ip saddr": "ipv4_addr",
  "ip6 saddr": "ipv6_addr",
  "arp saddr ip": "ipv4_addr",
  "meta l4proto": "inet_proto",
  "meta nfproto": "nf_proto",
  "th dport": "inet_service",
};

/** The types of the key and, in a map, of the data: of "typeof iifname . oifname : verdict", [["ifname", "ifname"], ["verdict"]]. */
export function typesOf(declaration: string): string[][] {
  const [, word, rest = ""] = /^(type|typeof) (.*)$/.exec(declaration) ?? [];
  return rest
    .split(" : ")
    .map((side) => side.split(" . ").map((part) => (word === "type" ? part : (types[part] ?? part))));
}
