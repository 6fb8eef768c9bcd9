/** How things are printed. Text in columns, as the docker command prints them: a header in capitals, three blanks between columns. */

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

/** Order of names and addresses: "web2" before "web10". */
export const { compare } = new Intl.Collator("en", { numeric: true });

const units = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

/** As docker stats: "512B", "1.2kB", "34MB". */
export function formatBytes(bytes: number): string {
  const power = Math.min(bytes < 1 ? 0 : Math.floor(Math.log10(bytes) / 3), units.length - 1);
  return `${Number((bytes / 1000 ** power).toPrecision(3))}${units[power]}`;
}

/** Above this, a number is written as a power of two: of an IPv6 subnet, nobody reads all the digits. */
const largestExact = 10n ** 12n;

/** A number of addresses, of decimal digits: "65536", "2^64", "~2^64". */
export function formatCount(digits: string): string {
  const count = BigInt(digits);
  if (count <= largestExact) return digits;
  const power = Number(Math.log2(Number(count)).toFixed(1));
  return `${Number.isInteger(power) && count === 1n << BigInt(power) ? "" : "~"}2^${power}`;
}

/** Rounded down, so that nothing looks fuller than it is: "0%", "<0.01%", "0.39%", "79.9%", "100%". */
export function formatPercent(percent: number): string {
  if (percent > 0 && percent < 0.01) return "<0.01%";
  const steps = percent < 1 ? 100 : 10;
  return `${Math.floor(percent * steps + 1e-9) / steps}%`;
}

/** A time of ISO 8601 without the fraction of its second. */
export const formatTime = (iso: string): string => iso.replace(/\.\d+Z$/, "Z");

export const toJson = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;
