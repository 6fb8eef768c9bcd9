/** `tsnet firewall`, as text. */
import type { FirewallAnswer } from "../driver/report-answers.ts";
import { formatTable } from "./table.ts";

export function formatFirewall({ table, mark, forward, docker, repairs }: FirewallAnswer): string {
  const elements = Object.values(table.elements).reduce((sum, count) => sum + count, 0);
  const state = table.state === "missing" ? "missing; being repaired" : `in place, ${elements} elements`;
  const lines: readonly (readonly [label: string, values: readonly string[]])[] = [
    ["Table", [`${table.name}: ${state}`]],
    ["Mark", [mark]],
    ["FORWARD", forward.map(({ program, rule, why }) => `${program}: tsnet's rule is ${rule} (${why})`)],
    ["Docker", [docker.backend]],
    ["Docker's bridges", docker.bridges.length > 0 ? [docker.bridges.join(", ")] : ["none"]],
    ["Repairs", repairs.map(({ kind, count, last }) => `${kind}: ${count}, last at ${last}`)],
  ];
  const width = Math.max(...lines.map(([label]) => label.length)) + 4;
  const status = lines.flatMap(([label, values]) =>
    (values.length > 0 ? values : ["none"]).map(
      (value, index) => `${(index === 0 ? `${label}:` : "").padEnd(width)}${value}\n`,
    ),
  );
  const chains = table.chains.map(({ chain, hook, priority }) => [chain, hook, priority]);
  return `${status.join("")}\n${formatTable(["CHAIN", "HOOK", "PRIORITY"], chains)}`;
}
