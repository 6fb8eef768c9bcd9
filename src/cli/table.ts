/** Text in columns, as the docker command prints them: a header in capitals, three blanks between columns. */

/** Without what would do something to a terminal: the name of a network, or of a program, may have any characters. */
export const printable = (text: string): string => text.replace(/\p{C}/gu, "?");

/** Each column is as wide as its widest cell. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [header, ...rows.map((row) => row.map(printable))];
  const widths = header.map((_, column) => lines.reduce((width, row) => Math.max(width, row[column]?.length ?? 0), 0));
  return lines.map((row) => `${formatRow(row, widths)}\n`).join("");
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
