/** `tsnet firewall explain`, as text. */
import type { ExplainAnswer, Explanation, Step } from "../driver/report-answers.ts";
import type { Names } from "./docker-names.ts";
import type { Listener } from "./listeners.ts";
import { printable } from "./table.ts";

/** What the command knows besides the plugin's answer. */
export interface ExplainContext {
  readonly names: Names;
  /** The programs of the host that have the port. */
  readonly listeners: readonly Listener[];
}

const verdicts = {
  reaches: "Reaches",
  "may reach": "May reach",
  dropped: "Dropped",
  host: "Not tsnet's",
} as const;

export function formatExplain(answer: ExplainAnswer, { names, listeners }: ExplainContext): string {
  const from = answer.from ?? "anywhere outside";
  const parts = answer.answers.map((one) => {
    const title = `${answer.port}/${answer.protocol}, from ${from} to ${one.to}`;
    const lines = [title, ...formatSteps(one.steps), formatVerdict(one)];
    const found = one.verdict.result === "host" ? [formatListeners(listeners)] : [];
    return [...lines, ...found].map((line) => `${printable(line)}\n`).join("");
  });
  return withNames(parts.join("\n"), names);
}

function formatSteps(steps: readonly Step[]): string[] {
  const width = Math.max(...steps.map(({ at }) => at.length));
  return steps.flatMap(({ at, text, rules = [] }, index) => [
    `  ${index + 1}. ${at.padEnd(width)}   ${text}`,
    ...rules.map((rule) => `${" ".repeat(width + 8)}${rule}`),
  ]);
}

const formatVerdict = ({ verdict }: Explanation): string => `${verdicts[verdict.result]}: ${verdict.why}`;

const formatListeners = (listeners: readonly Listener[]): string =>
  listeners.length === 0
    ? "Nobody listens on this port here."
    : `Listening here: ${listeners.map(({ program, address }) => `${program} on ${address}`).join(", ")}`;

/** Docker's names in the place of short IDs. */
function withNames(text: string, { containers, networks }: Names): string {
  const shorten = (names: ReadonlyMap<string, string>) =>
    new Map([...names].map(([id, name]) => [id.slice(0, 12), name]));
  const known = { endpoint: shorten(containers), network: shorten(networks) };
  return text.replace(/\b(endpoint|network) ([0-9a-f]{12})\b/g, (whole, kind: "endpoint" | "network", id: string) => {
    const name = known[kind].get(id);
    return name === undefined ? whole : `${kind === "endpoint" ? "container" : kind} ${printable(name)}`;
  });
}
