/**
 * The one rule of ours in iptables' FORWARD, and what Docker's rules tell of its bridges. An accept in our own table does not
 * undo a drop there, so where FORWARD drops, it must accept our mark: right after the jump to DOCKER-USER, so that what users
 * write there comes first, and a RETURN there does not skip it.
 *
 * Where Docker uses nftables itself, its chain accepts what is neither from nor to its bridges, and nothing is needed there.
 */
import { isLinkName } from "../net/names.ts";
import type { ObservedForward } from "./observed.ts";
import type { IptablesProgram, Op } from "./op.ts";

/** What FORWARD of each program lacks, or has too much of. */
export function planForward(observed: ObservedForward, mark: number): Op[] {
  return perProgram(observed, (program, lines) => planProgram(program, lines, mark));
}

/** Every rule of ours goes. */
export function planForwardRemoval(observed: ObservedForward, mark: number): Op[] {
  return perProgram(observed, (program, lines) => removals(program, mark, findOurs(rulesOf(lines), mark).length));
}

/** The table of Docker's, one a family, where it uses nftables itself. It is also the key in what was observed. */
export const dockerTable = "docker-bridges";

/** The chains besides FORWARD in which Docker names its bridges; up to 28.0.0 FORWARD jumps to them itself. */
const namingChains = ["DOCKER-BRIDGE", "DOCKER-INTERNAL", "DOCKER-ISOLATION-STAGE-1"] as const;

/** In 28.0.0, and only there, FORWARD names subnets instead of bridges. */
const jumpBySubnet = /^-A FORWARD -m set --match-set docker-ext-bridges-v[46] dst -j DOCKER$/;

/** Which chains besides FORWARD may name bridges of Docker's, from the lines of FORWARD. Not all of them need to be there. */
export function dockerChains(lines: readonly string[]): readonly string[] {
  const isReached = (chain: string): boolean => lines.includes(`-A FORWARD -j ${chain}`);
  return [
    ...(isReached("DOCKER-FORWARD") ? namingChains : namingChains.filter(isReached)),
    ...(lines.some((line) => jumpBySubnet.test(line)) ? ["DOCKER"] : []),
  ];
}

/**
 * How Docker's rules name a bridge, once for each: in FORWARD (up to 27), DOCKER (28.0.0) or DOCKER-BRIDGE (since 28.0.1), and
 * one of an internal network in DOCKER-ISOLATION-STAGE-1 or, later, DOCKER-INTERNAL. With nftables (from 29.0) it is a chain.
 */
const dockerRules = [
  /^-A (?:FORWARD|DOCKER-BRIDGE) -o (\S+) -j DOCKER$/,
  /^-A DOCKER ! -i (\S+) -o \1 -j DROP$/,
  /^-A (?:DOCKER-ISOLATION-STAGE-1|DOCKER-INTERNAL) ! -s \S+ -o (\S+) -j DROP$/,
  /^filter-forward-in__(\S+)$/,
];

/**
 * The bridges that Docker's rules name, whatever they are called: a user may name them. Those that tsnet uses are left out, and
 * names that nft could misread.
 * @param own the bridges of our own networks
 */
export function dockerBridges(observed: ObservedForward, own: ReadonlySet<string>): Set<string> {
  const names = Object.values(observed).flatMap((lines) =>
    lines.flatMap((line) => dockerRules.flatMap((rule) => rule.exec(line)?.[1] ?? [])),
  );
  return new Set(names.filter((name) => isLinkName(name) && !own.has(name)));
}

/** FORWARD of each iptables program that has the chain. */
export const forwardChains = (observed: ObservedForward): [IptablesProgram, readonly string[]][] =>
  Object.entries(observed).filter((entry): entry is [IptablesProgram, readonly string[]] => entry[0] !== dockerTable);

function perProgram(
  observed: ObservedForward,
  plan: (program: IptablesProgram, lines: readonly string[]) => Op[],
): Op[] {
  return forwardChains(observed).flatMap(([program, lines]) => plan(program, lines));
}

function planProgram(program: IptablesProgram, lines: readonly string[], mark: number): Op[] {
  const rules = rulesOf(lines);
  const ours = findOurs(rules, mark);
  const needed = rules.some(isDrop) || lines.some((line) => /^-P FORWARD (?!ACCEPT$)/.test(line));
  if (!needed) return removals(program, mark, ours.length);

  const jump = rules.findIndex((rule) => / -j DOCKER-USER$/.test(rule));
  const drop = rules.findIndex((rule, index) => index > jump && isDrop(rule));
  const last = ours.at(-1) ?? -1;
  // iptables -D takes the first of equal rules, so it is the last that can stay
  if (last > jump && (drop === -1 || last < drop)) return removals(program, mark, ours.length - 1);

  const before = ours.filter((index) => index < jump).length;
  const insert = (position: number): Op => ({ op: "insert-forward-rule", program, position, mark });
  // without a moment in which there is none, where the new one is not the first that -D finds
  if (before === ours.length) return [insert(jump + 2), ...removals(program, mark, before)];
  return [...removals(program, mark, ours.length), insert(jump - before + 2)];
}

const removals = (program: IptablesProgram, mark: number, count: number): Op[] =>
  Array.from({ length: count }, () => ({ op: "remove-forward-rule", program, mark }));

const rulesOf = (lines: readonly string[]): string[] => lines.filter((line) => line.startsWith("-A FORWARD "));

/** Drops or rejects whatever comes to it; a comment is no condition. */
const isDrop = (rule: string): boolean =>
  /^-A FORWARD -j (DROP|REJECT)( |$)/.test(rule.replace(/ -m comment --comment ("(\\.|[^"\\])*"|\S+)/, ""));

/** Where our rule stands, from 0. */
const findOurs = (rules: readonly string[], mark: number): number[] =>
  rules.flatMap((rule, index) => (isForwardRule(rule, mark) ? [index] : []));

/** Whether a line of `-S FORWARD` is our rule. iptables prints numbers in hex, and quotes a comment or not. */
export function isForwardRule(line: string, mark: number): boolean {
  const hex = mark.toString(16);
  return (
    line.startsWith("-A FORWARD ") &&
    new RegExp(`(?<!! )--mark 0x${hex}/0x${hex} `).test(line) &&
    /--comment "?tsnet"? /.test(line) &&
    line.endsWith(" -j ACCEPT")
  );
}
