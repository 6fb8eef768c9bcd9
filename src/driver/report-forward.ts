/** What becomes of an accepted packet in iptables' FORWARD, where a drop undoes an accept of our own table. */
import type { Family } from "../net/cidr.ts";
import { isDockerLink } from "../net/names.ts";
import { dockerBridges, dockerTable, forwardChains, isForwardRule, planForward } from "../plan/forward.ts";
import type { ObservedForward } from "../plan/observed.ts";
import type { IptablesProgram } from "../plan/op.ts";
import type { ForwardStatus, Step } from "./report-answers.ts";

type Lines = readonly string[];

/** Our rule in FORWARD of each program that has the chain. */
export const forwardStatus = (forward: ObservedForward, mark: number): ForwardStatus[] =>
  forwardChains(forward).map(([program, lines]) => ({ program, ...statusOf(program, lines, mark) }));

function statusOf(program: IptablesProgram, lines: Lines, mark: number): Pick<ForwardStatus, "rule" | "why"> {
  const ops = planForward({ [program]: lines }, mark);
  const why = `the policy of FORWARD is ${policyOf(lines)}`;
  if (ops.some(({ op }) => op === "insert-forward-rule")) {
    return { rule: "missing", why: `${why}; it is being put there` };
  }
  const isThere = lines.some((line) => isForwardRule(line, mark));
  return isThere
    ? { rule: "in place", why }
    : { rule: "not needed", why: `${why}, and no rule there drops everything` };
}

const policyOf = (lines: Lines): string => /^-P FORWARD (\S+)/m.exec(lines.join("\n"))?.[1] ?? "unknown";

/** How Docker makes its rules, from the chains that it has. */
export function dockerBackend(forward: ObservedForward): string {
  const found = forwardChains(forward).flatMap(([program, lines]) => {
    const jumps = lines.filter((line) => line.startsWith("-A FORWARD "));
    if (jumps.some((line) => line.endsWith(" -j DOCKER-FORWARD"))) return [`${program} (chain DOCKER-FORWARD)`];
    return jumps.some((line) => / -j DOCKER(-USER|-ISOLATION-STAGE-1)?$/.test(line)) ? [program] : [];
  });
  if (forward[dockerTable] !== undefined) found.push(`nftables (tables ${dockerTable})`);
  return found.length > 0 ? found.join(", ") : "none of its chains are there";
}

/** What FORWARD does with a packet that our table has accepted, and whether it gets through. */
export interface ForwardOutcome {
  readonly steps: readonly Step[];
  readonly result: "passes" | "may pass" | "dropped";
}

/**
 * The programs of one family, each in turn.
 * @param marked whether our table has set the mark: Docker's own rules decide where it has not
 */
export function explainForward(
  forward: ObservedForward,
  { family, mark, marked }: { readonly family: Family; readonly mark: number; readonly marked: boolean },
): ForwardOutcome {
  const programs = forwardChains(forward).filter(([program]) => program.startsWith("ip6tables") === (family === 6));
  const outcomes = programs.map(([program, lines]) => explainProgram(program, lines, { mark, marked }));
  if (!marked && forward[dockerTable] !== undefined) outcomes.push(dockersDecision(`tables ${dockerTable}`));
  const results = outcomes.map(({ result }) => result);
  return {
    steps: outcomes.flatMap(({ steps }) => steps),
    result: results.includes("dropped") ? "dropped" : results.includes("may pass") ? "may pass" : "passes",
  };
}

function explainProgram(
  program: IptablesProgram,
  lines: Lines,
  { mark, marked }: { readonly mark: number; readonly marked: boolean },
): ForwardOutcome {
  const first = othersRules(program, lines, mark);
  if (!marked) {
    const { steps, result } = dockersDecision(`${program}, chain FORWARD`);
    return { steps: [...first, ...steps], result };
  }
  const { rule, why } = statusOf(program, lines, mark);
  const texts = {
    "in place": "tsnet's rule accepts what inet tsnet has accepted and marked",
    missing: `tsnet's rule, which accepts what inet tsnet has marked, is missing: ${why}`,
    "not needed": `nothing here drops it: ${why}`,
  };
  const step: Step = { at: `${program}, chain FORWARD`, text: texts[rule] };
  const result = rule === "missing" ? "dropped" : first.length > 0 ? "may pass" : "passes";
  return { steps: [...first, step], result };
}

const dockersDecision = (at: string): ForwardOutcome => ({
  steps: [{ at, text: "what comes from a bridge of Docker's has no mark of tsnet's: Docker's own rules decide" }],
  result: "may pass",
});

/** The rules of others that a packet meets before our rule, and that may drop it. */
function othersRules(program: IptablesProgram, lines: Lines, mark: number): Step[] {
  const rules = lines.filter((line) => line.startsWith("-A FORWARD "));
  const ours = rules.findIndex((line) => isForwardRule(line, mark));
  const before = ours === -1 ? rules : rules.slice(0, ours);
  const user = before.some((line) => line.endsWith(" -j DOCKER-USER"))
    ? lines.filter((line) => line.startsWith("-A DOCKER-USER ") && line !== "-A DOCKER-USER -j RETURN")
    : [];
  const bridges = dockerBridges({ [program]: lines }, new Set());
  const foreign = before.filter((line) => mayDrop(line) && !isDockers(line, bridges));
  return [
    ...(user.some(mayDrop) ? [stepOf(program, "DOCKER-USER", user)] : []),
    ...(foreign.length === 0 ? [] : [stepOf(program, "FORWARD", foreign)]),
  ];
}

/** Not so an accept, a return, or what changes nothing. */
const mayDrop = (line: string): boolean => !/ -j (ACCEPT|RETURN|LOG|NFLOG|MARK|CONNMARK)( |$)/.test(line);

/** Whether a rule is a jump of Docker's, or about a bridge of Docker's: then it does not concern ours. */
const isDockers = (line: string, bridges: ReadonlySet<string>): boolean =>
  / -j DOCKER\S*$/.test(line) ||
  [...line.matchAll(/(?<! !) -[io] (\S+)/g)].some(([, link = ""]) => isDockerLink(link) || bridges.has(link));

const stepOf = (program: IptablesProgram, chain: string, rules: readonly string[]): Step => ({
  at: `${program}, chain ${chain}`,
  text: "these rules come first, and can still drop it:",
  rules,
});
