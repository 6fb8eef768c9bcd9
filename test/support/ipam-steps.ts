/** Random sequences of what Docker and the plugin ask of address management, on a few small subnets. */
import fc from "fast-check";

export const spaces = ["tsnet-local", "tsnet-global"] as const;
export type Space = (typeof spaces)[number];

/** Subnets and sub pools that meet each other in all ways. */
export const forms = [
  ...[
    ["10.0.0.0/28"],
    ["10.0.0.0/28", "10.0.0.4/30"],
    ["10.0.0.0/28", "10.0.0.4/31"],
    ["10.0.0.0/29"],
    ["10.0.0.16/30"],
    ["10.0.0.16/30"],
  ],
  ...[["10.0.0.20/31"], ["10.0.0.22/32"], ["10.0.0.32/30"], ["10.0.0.16/28", "10.0.0.24/29"], ["10.0.0.36/31"]],
  ...[["fd00::/125"], ["fd00::/125", "fd00::4/126"], ["fd00::8/126"], ["fd00::c/127"], ["fd00::e/128"]],
] as const;

/** Requests that are refused whatever there is: pool, sub pool, IPv6, options. */
export const malformed: readonly (readonly [string, string, boolean, Readonly<Record<string, string>>])[] = [
  ["10.0.0.1/28", "", false, {}],
  ["10.0.0.0/33", "", false, {}],
  ["banana", "", false, {}],
  ["10.0.0.0/28", "10.0.0.32/30", false, {}],
  ["10.0.0.0/28", "10.0.0.5/30", false, {}],
  ["", "10.0.0.0/30", false, {}],
  ["10.0.0.0/28", "", true, {}],
  ["fd00::/125", "", false, {}],
  ["0.0.0.0/8", "", false, {}],
  ["10.0.0.32/30", "", false, { "tsnet.sticky_ttl": "10s" }],
  ["10.0.0.32/30", "", false, { "tsnet.sticky": "yes" }],
  ["10.0.0.32/30", "", false, { "tsnet.quarantine": "10" }],
  ["10.0.0.32/30", "", false, { "tsnet.stickyy": "true" }],
];

/** `--ipam-opt`, and what it means. */
export const optionSets = [
  { options: {}, sticky: false, stickyTtlMs: 86_400_000, quarantineMs: 0 },
  { options: { other: "1" }, sticky: false, stickyTtlMs: 86_400_000, quarantineMs: 0 },
  { options: { "tsnet.sticky": "true" }, sticky: true, stickyTtlMs: 86_400_000, quarantineMs: 0 },
  {
    options: { "tsnet.sticky": "true", "tsnet.sticky_ttl": "1m30s", "tsnet.quarantine": "20s" },
    ...{ sticky: true, stickyTtlMs: 90_000, quarantineMs: 20_000 },
  },
  { options: { "tsnet.quarantine": "45s" }, sticky: false, stickyTtlMs: 86_400_000, quarantineMs: 45_000 },
] as const;

/** What "any" means in `defaultPools`: prefix length that is asked for, undefined for none. */
export const anyForms = [
  { pool: "", v6: false, prefix: 30 },
  { pool: "0.0.0.0/30", v6: false, prefix: 30 },
  { pool: "0.0.0.0/31", v6: false, prefix: 31 },
  { pool: "", v6: true, prefix: 126 },
  { pool: "::/127", v6: true, prefix: 127 },
] as const;

/** Two of this host alone, two of a swarm. */
export const networks = ["a".repeat(64), "b".repeat(64), "c".repeat(25), "d".repeat(25)] as const;

export const identities = [null, "name:web", "name:db", "name:api", "mac:02:42:0a:00:00:02"] as const;

/** An index of what there is, or now and then of what there could be. */
const some = fc.nat(1000);
const call = <N extends string, F extends object>(name: N, fields: { [K in keyof F]: fc.Arbitrary<F[K]> }) =>
  fc.record({ call: fc.constant(name), ...fields } as unknown as {
    [K in keyof (F & { call: N })]: fc.Arbitrary<(F & { call: N })[K]>;
  });

export const anyStep = fc.oneof(
  {
    weight: 4,
    arbitrary: call("request pool", {
      space: fc.constantFrom(...spaces),
      form: fc.constantFrom(...forms),
      options: fc.constantFrom(...optionSets),
    }),
  },
  {
    weight: 2,
    arbitrary: call("request any pool", {
      space: fc.constantFrom(...spaces),
      form: fc.constantFrom(...anyForms),
      options: fc.constantFrom(...optionSets),
    }),
  },
  { weight: 1, arbitrary: call("request malformed pool", { form: fc.constantFrom(...malformed) }) },
  { weight: 1, arbitrary: call("release pool", { pool: some }) },
  {
    weight: 8,
    arbitrary: call("request any address", {
      ...{ pool: some, serial: fc.boolean(), identity: fc.constantFrom(...identities) },
      isGateway: fc.nat(5).map((n) => n === 0),
    }),
  },
  {
    weight: 4,
    arbitrary: call("request address", {
      ...{ pool: some, address: some, identity: fc.constantFrom(...identities) },
      isGateway: fc.nat(3).map((n) => n === 0),
    }),
  },
  { weight: 6, arbitrary: call("release address", { pool: some, address: some }) },
  { weight: 6, arbitrary: call("release held address", { pool: some, lease: some, via: some }) },
  {
    weight: 3,
    arbitrary: call("attach", {
      ...{ network: fc.constantFrom(...networks), pools: fc.array(some, { minLength: 1, maxLength: 2 }) },
      gateway: some,
      auxiliary: some,
    }),
  },
  {
    weight: 5,
    arbitrary: call("note leases", { network: fc.constantFrom(...networks), leases: fc.array(some, { maxLength: 6 }) }),
  },
  { weight: 2, arbitrary: call("release noted leases", { note: some }) },
  { weight: 3, arbitrary: call("release noted grant", { note: some }) },
  { weight: 3, arbitrary: call("time passes", { ms: fc.constantFrom(10, 15_000, 25_000, 60_000, 86_400_000) }) },
  { weight: 1, arbitrary: call("restart", {}) },
  { weight: 1, arbitrary: call("new epoch", {}) },
  { weight: 2, arbitrary: call("replay", { pool: some }) },
);
export type Step = typeof anyStep extends fc.Arbitrary<infer T> ? T : never;
