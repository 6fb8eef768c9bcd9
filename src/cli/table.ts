/** Text in columns, as the docker command prints them: a header in capitals, three blanks between columns. */

/** Each column is as wide as its widest cell. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) =>
    rows.reduce((width, row) => Math.max(width, row[column]?.length ?? 0), title.length),
  );
  return [header, ...rows].map((row) => `${formatRow(row, widths)}\n`).join("");
}

const formatRow = (row: readonly string[], widths: readonly number[]): string =>
  row
    .map((cell, column) => cell.padEnd(widths[column] ?? 0))
    .join("   ")
    .trimEnd();

const units = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

/** As docker stats: "512B", "1.2kB", "34MB". */
export function formatBytes(bytes: number): string {
  const power = Math.min(bytes < 1 ? 0 : Math.floor(Math.log10(bytes) / 3), units.length - 1);
  return `${Number((bytes / 1000 ** power).toPrecision(3))}${units[power]}`;
}
