/** The table of docs/compatibility.md: what the docker ring found, by group of tests, Docker's version and packaging. */
import { readFileSync, writeFileSync } from "node:fs";
import type { Count } from "./reporter.ts";

/** Each group, and how the names of its files begin. */
const groups: readonly [name: string, files: RegExp][] = [
  ["bridge networks", /^(network|container|conflicts|gateway-modes|ipv6-only|isolation|nat)\b/],
  ["published ports", /^(ports|publish)/],
  ["other firewalls", /^neighbor-/],
  ["macvlan and ipvlan", /^lan-/],
  ["IPAM", /^ipam/],
  ["restarts and faults", /^(crash|faults|restart)/],
  ["the command tsnet", /^cli/],
  ["the managed plugin", /^plugin-/],
];

const begin = "<!-- table: made by test/run.ts -->";
const end = "<!-- end of table -->";
const corner = "tests";
const none = "–";

/** The name of the group that a file, "network.test.ts", belongs to. */
export const groupOf = (file: string): string => groups.find(([, pattern]) => pattern.test(file))?.[0] ?? "others";

/** "41", or "40, 1 failed" */
const cell = ({ passed, failed }: Count): string => (failed === 0 ? `${passed}` : `${passed}, **${failed} failed**`);

/**
 * The page with one column of its table replaced, or added; columns are in the order of their names.
 * @param column "28.5.2, managed"
 */
export function withColumn(page: string, column: string, files: Readonly<Record<string, Count>>): string {
  const [before = "", rest = ""] = page.split(begin);
  const [table = "", after = ""] = rest.split(end);
  const columns = parse(table);
  columns.set(column, cellsOf(files));
  return `${before}${begin}\n${format(columns)}\n${end}${after}`;
}

/** Writes what a run found into the page. */
export function record(path: string, column: string, files: Readonly<Record<string, Count>>): void {
  writeFileSync(path, withColumn(readFileSync(path, "utf8"), column, files));
}

type Cells = ReadonlyMap<string, string>;

function cellsOf(files: Readonly<Record<string, Count>>): Cells {
  const counts = new Map<string, Count>();
  for (const [file, { passed, failed }] of Object.entries(files)) {
    const group = groupOf(file);
    const sum = counts.get(group) ?? { passed: 0, failed: 0 };
    counts.set(group, { passed: sum.passed + passed, failed: sum.failed + failed });
  }
  return new Map([...counts].map(([group, count]) => [group, cell(count)]));
}

function parse(table: string): Map<string, Cells> {
  const rows = table
    .split("\n")
    .filter((line) => line.startsWith("|") && !line.startsWith("|---"))
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((text) => text.trim()),
    );
  const [names = [], ...body] = rows;
  return new Map(
    names
      .slice(1)
      .map((name, index) => [
        name,
        new Map(body.map((row): [string, string] => [row[0] ?? "", row[index + 1] ?? none])),
      ]),
  );
}

function format(columns: ReadonlyMap<string, Cells>): string {
  const names = [...columns.keys()].toSorted();
  const found = new Set([...columns.values()].flatMap((cells) => [...cells.keys()]));
  const rows = [...groups.map(([name]) => name), "others"].filter((name) => found.has(name));
  const line = (words: readonly string[]): string => `| ${words.join(" | ")} |`;
  return [
    line([corner, ...names]),
    `|${"---|".repeat(names.length + 1)}`,
    ...rows.map((row) => line([row, ...names.map((name) => columns.get(name)?.get(row) ?? none)])),
  ].join("\n");
}
