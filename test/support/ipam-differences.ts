/** Where tsnet's address management has another outcome than Docker's own, and why that is meant. */
import { type Difference, refused } from "./ipam-trial.ts";

/** Each is the first cell of a row of docs/ipam.md, which says more. */
export const reasons = {
  order: "Order of the default pools",
  routes: "Routes through a gateway",
  ula: "IPv6 without a subnet",
  anySize: "`--subnet 0.0.0.0/N`, `--subnet ::/N`",
  overlap: "A subnet that overlaps with another, and has an `--ip-range`",
  input: "Host bits in a subnet or range, a range that is larger than its subnet",
  small: "/31 and /32",
  last: "The last address of an IPv6 subnet",
  options: "`--ipam-opt tsnet.…` that tsnet does not know",
  overflow: "A full subnet, and another one in the network",
  internal: "Gateway of an internal network's containers",
  special: "Multicast and IPv6 link-local subnets",
  words: "Words of errors",
} as const;

type Reason = keyof typeof reasons;

/** Docker's first version that the tests know, and its last. */
type Major = 20 | 28;

interface Meant {
  readonly why: Reason;
  readonly form: string;
  readonly command: string;
  /** Docker's outcome, or its beginning. */
  readonly theirs: string;
  /** Ours, or its beginning. */
  readonly ours: string;
  /** The only version where it is so. */
  readonly docker?: Major;
}

/** All entries of a reason, a form and a version: the command, their outcome, ours. */
const all = (
  why: Reason,
  form: string,
  docker: Major | undefined,
  ...entries: readonly (readonly [string, string, string])[]
): Meant[] =>
  entries.map(([command, theirs, ours]) => ({ why, form, command, theirs, ours, ...(docker ? { docker } : {}) }));

const noPool = "refused: could not find an available, non-overlapping IPv6 address pool";
const noGateway = "refused: failed to allocate gateway (";
const dual = "network create --ipv6 --subnet 10.91.0.0/24 --subnet";
const one = "network create --subnet 10.91.0.4";
const range = "network create --subnet 10.91.0.0/24 --ip-range";

const meant: readonly Meant[] = [
  ...all("order", "default pools", 20, ["network create again", "172.20.0.0/16 ", "172.18.0.0/16 "]),
  ...all("order", "a default pool that the host routes", 20, ["network create one", "192.168.", "172.19.0.0/16 "]),
  ...all("order", "default pools of IPv6", 20, [
    "network create --ipv6 --subnet 2001:db8:91::/64 four",
    "192.168.",
    "172.20.0.0/16 ",
  ]),
  ...all(
    "order",
    "subnets that are none",
    20,
    ["network create --subnet 2001:db8::/64 bad6", "192.168.", "172.18.0.0/16 "],
    ["network create --subnet 2001:db8::1/64 bad7", "192.168.", "172.18.0.0/16 "],
  ),
  ...all(
    "order",
    "Docker's own bridge",
    20,
    ["network create one", "192.168.", "172.18.0.0/16 "],
    ["network connect one ann", "192.168.", "172.18.0.2/16 "],
  ),
  ...all("routes", "a default pool that the host routes", 28, [
    "network create one",
    "172.18.0.0/16 gateway 172.18.0.1",
    "172.19.0.0/16 gateway 172.19.0.1",
  ]),
  ...all(
    "ula",
    "default pools of IPv6",
    20,
    ["network create --ipv6 one", noPool, "172.18.0.0/16 gateway 172.18.0.1, PREFIX::/64 "],
    ["network create --ipv6 two", noPool, "172.19.0.0/16 gateway 172.19.0.1, PREFIX:1::/64 "],
    ["network create --ipv6 --subnet 10.91.0.0/24 three", noPool, "10.91.0.0/24, PREFIX:2::/64 "],
  ),
  ...all(
    "anySize",
    "any subnet of a size",
    undefined,
    ["network connect one ann", "0.0.0.2/24 via 0.0.0.1", "172.18.0.2/24 via 172.18.0.1"],
    ["network create --subnet 0.0.0.0/8 eight", "0.0.0.0/8", `${refused}remote: invalid address pool: `],
    ["network create --subnet 0.0.0.0/0 all", refused, `${refused}remote: invalid address pool: `],
    [
      "network create --subnet 0.0.0.0/24 --ip-range 0.0.0.0/25 range",
      `${refused}cannot create network ID (BRIDGE): conflicts with network`,
      `${refused}remote: invalid sub pool: `,
    ],
    [
      "network create --ipv6 --subnet 10.91.0.0/24 --subnet ::/80 six",
      `${refused}failed to add IPv6 address ::1/80 to bridge`,
      "10.91.0.0/24, ::/80",
    ],
  ),
  ...all("overlap", "overlap", undefined, [
    "network create --subnet 10.91.7.0/24 --ip-range 10.91.7.0/25 part",
    `${refused}cannot create network ID (BRIDGE): conflicts with network ID (BRIDGE): networks have overlapping IPv4`,
    `${refused}remote: invalid pool request: Pool overlaps with other one on this address space: `,
  ]),
  ...all("overlap", "one subnet for two networks", undefined, [
    "network create --subnet 10.91.0.0/25 --ip-range 10.91.0.0/27 smaller",
    "10.91.0.0/25 range 10.91.0.0/27",
    `${refused}remote: invalid pool request: Pool overlaps with other one on this address space: `,
  ]),
  ...all(
    "input",
    "subnets that are none",
    20,
    ["network create --subnet 10.91.0.1/24 bad0", "10.91.0.1/24", `${refused}remote: invalid pool: 10.91.0.1/24`],
    [`${dual} 2001:db8::1/64 bad0`, "10.91.0.0/24, 2001:", `${refused}remote: invalid pool: 2001:db8::1/64`],
  ),
  ...all(
    "input",
    "ranges that are none",
    20,
    [`${range} 10.91.0.129/25 bad0`, "10.91.0.0/24 ", `${refused}remote: invalid sub pool: 10.91.0.129/25: `],
    [`${range} 10.91.0.0/23 bad2`, "10.91.0.0/24 ", `${refused}remote: invalid sub pool: 10.91.0.0/23 `],
  ),
  ...all("words", "ranges that are none", 20, [
    `${range} 10.91.0.5 bad4`,
    `${refused}failed to parse pool request for address space "LocalDefault"`,
    `${refused}remote: invalid sub pool: expected an address in CIDR form`,
  ]),
  ...all("small", "a /31", 20, [`${one}/31 one`, noGateway, "10.91.0.4/31"]),
  ...all("small", "a /31 with a gateway", 20, [`${one}/31 --gateway 10.91.0.4 one`, noGateway, "10.91.0.4/31 "]),
  ...all("small", "a /32", 20, [`${one}/32 one`, noGateway, "10.91.0.4/32"]),
  ...all("small", "a /32 with a gateway", 20, [`${one}/32 --gateway 10.91.0.4 one`, noGateway, "10.91.0.4/32 "]),
  ...all("small", "internal", 20, ["network create --internal --subnet 10.93.0.0/31 two", noGateway, "10.93.0.0/31"]),
  ...all("last", "IPv6", 20, [
    "network connect --ip6 2001:db8:91::ffff:ffff:ffff:ffff one dan",
    `${refused}bit does not belong to the sequence`,
    "10.91.0.9/24 via 10.91.0.1, 2001:db8:91:0:ffff:ffff:ffff:ffff/64 ",
  ]),
  ...all(
    "options",
    "options",
    undefined,
    [
      "network create --subnet 10.93.0.0/24 --ipam-opt tsnet.stick=true three",
      "10.93.0.0/24",
      `${refused}remote: unknown IPAM option tsnet.stick=true: did you mean tsnet.sticky?`,
    ],
    ["network create --subnet 10.94.0.0/24 --ipam-opt tsnet.sticky=perhaps four", "10.94.0.0/24", `${refused}remote: `],
  ),
  ...all("overflow", "several subnets of another driver's network", undefined, [
    "network connect one bob",
    "EITHER.2/30 via EITHER.1",
    `${refused}remote: no available IPv4 addresses on this network's address pools: `,
  ]),
  ...all("internal", "internal", 20, ["network connect one ann", "10.91.0.2/24 via 10.91.0.1", "10.91.0.2/24"]),
  ...all(
    "special",
    "subnets that are none",
    undefined,
    ["network create --subnet 224.0.0.0/24 bad5", "224.0.0.0/24", `${refused}remote: IPv4Data[0].Pool: multicast`],
    [`${dual} fe80::/64 bad2`, "10.91.0.0/24, fe80::/64", `${refused}remote: the subnet fe80::/64 overlaps with`],
    [`${dual} fe80::/10 bad3`, refused, `${refused}remote: IPv6Data[0].Pool: 'fe80::/10' clashes`],
    [`${dual} ff00::/64 bad4`, refused, `${refused}remote: IPv6Data[0].Pool: multicast subnet 'ff00::/64'`],
  ),
];

/** What is refused in other words, wherever it is. */
interface Wording {
  readonly theirs: RegExp;
  readonly ours: RegExp;
  readonly docker?: Major;
}

const wordings: readonly Wording[] = [
  {
    theirs: /^refused: no available IPv[46] addresses on this network's address pools: \w+ \(ID\)$/,
    ours: /^refused: remote: no available IPv[46] addresses on this network's address pools: /,
  },
  {
    theirs: /^refused: failed to allocate gateway \(\): [Nn]o available addresses on this pool$/,
    ours: /^refused: failed to allocate gateway \(\): remote: no available IPv6 addresses on this network's address pools: /,
  },
  {
    docker: 20,
    theirs: /^refused: Pool overlaps with other one on this address space$/,
    ours: /^refused: remote: invalid pool request: Pool overlaps with other one on this address space: /,
  },
  {
    docker: 20,
    theirs: /^refused: could not find an available, non-overlapping IPv4 address pool among the defaults/,
    ours: /^refused: remote: all predefined address pools have been fully subnetted/,
  },
];

/** A difference that is meant, and whether one that was found is it. */
export interface Expected {
  readonly name: string;
  matches(found: Difference): boolean;
}

/** @param major Docker's version */
export const meantIn = (form: string, major: number): Expected[] =>
  meant
    .filter((entry) => entry.form === form && (entry.docker ?? major) === major)
    .map(({ command, theirs, ours }) => ({
      name: command,
      matches: (found) => found.command === command && found.theirs.startsWith(theirs) && found.ours.startsWith(ours),
    }));

/** @param major Docker's version */
export const wordingsIn = (major: number): Expected[] =>
  wordings
    .filter(({ docker = major }) => docker === major)
    .map(({ theirs, ours }) => ({
      name: theirs.source,
      matches: (found) => theirs.test(found.theirs) && ours.test(found.ours),
    }));
