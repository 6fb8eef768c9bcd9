import { median, percentile } from "./statistics.ts";

/** One line of the table: what was measured, for tsnet and, where it has the same, Docker's own driver. */
export interface Figure {
  readonly name: string;
  readonly unit:
    | "ms"
    | "µs"
    | "MiB"
    | "MB"
    | "KiB"
    | "ratio"
    | "1/s"
    | "Gbit/s"
    | "processes"
    | "segments"
    | "addresses"
    | "requests"
    | "tasks"
    | "%";
  readonly tsnet: readonly number[];
  readonly bridge?: readonly number[];
  /** What must not be exceeded, and by what; a figure without one is only told. */
  readonly limit?: {
    readonly of: "ratio" | "median" | "p99" | "min" | "max";
    readonly value: number;
    /** More is better: the value must be reached. */
    readonly atLeast?: boolean;
  };
}

/** The number that the limit is for. */
function measured(figure: Figure, of: NonNullable<Figure["limit"]>["of"]): number {
  switch (of) {
    case "ratio":
      return median(figure.tsnet) / median(figure.bridge ?? []);
    case "median":
      return median(figure.tsnet);
    case "p99":
      return percentile(figure.tsnet, 99);
    case "min":
      return Math.min(...figure.tsnet);
    case "max":
      return Math.max(...figure.tsnet);
  }
}

const number = (value: number): string => value.toFixed(value < 10 ? 2 : 1);

function row(figure: Figure): string[] {
  const { name, unit, tsnet, bridge, limit } = figure;
  const both = (samples: readonly number[] | undefined): string =>
    samples === undefined ? "" : `${number(median(samples))} / ${number(percentile(samples, 95))}`;
  return [name, `${tsnet.length}`, unit, both(tsnet), both(bridge), ...verdict(figure, limit)];
}

function verdict(figure: Figure, limit: Figure["limit"]): string[] {
  if (limit === undefined) return [figure.bridge ? `ratio ${number(measured(figure, "ratio"))}` : "", ""];
  const value = measured(figure, limit.of);
  const isMet = limit.atLeast ? value >= limit.value : value <= limit.value;
  const bound = `${limit.atLeast ? "at least" : "at most"} ${limit.value}`;
  return [`${limit.of} ${number(value)}`, `${bound}${isMet ? "" : " (missed)"}`];
}

const heading = ["figure", "n", "unit", "tsnet: median / p95", "Docker's own: median / p95", "measured", "wanted"];

/** The figures as a table in Markdown. */
export const formatTable = (figures: readonly Figure[]): string =>
  [heading, heading.map(() => "---"), ...figures.map(row)].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
