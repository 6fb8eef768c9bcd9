import { median, percentile } from "./statistics.ts";

/** One line of the table: what was measured, for tsnet and, where it has the same, Docker's own bridge. */
export interface Figure {
  readonly name: string;
  readonly unit: "ms" | "MiB" | "ratio";
  readonly tsnet: readonly number[];
  readonly bridge?: readonly number[];
  /** What must not be exceeded, and by what; a figure without one is only told. */
  readonly limit?: { readonly of: "ratio" | "median" | "p99" | "max"; readonly value: number };
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
  if (limit === undefined) return ["", ""];
  const value = measured(figure, limit.of);
  return [`${limit.of} ${number(value)}`, `${limit.value}${value <= limit.value ? "" : " (missed)"}`];
}

const heading = ["figure", "n", "unit", "tsnet: median / p95", "bridge: median / p95", "measured", "at most"];

/** The figures as a table in Markdown. */
export const formatTable = (figures: readonly Figure[]): string =>
  [heading, heading.map(() => "---"), ...figures.map(row)].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
