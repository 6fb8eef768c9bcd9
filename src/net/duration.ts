/** Lengths of time as Docker writes them: "90s", "1h30m", "1.5h" (Go's time.ParseDuration). */
import { TsnetError } from "../errors.ts";

/** The units, in milliseconds. */
const units: Readonly<Record<string, number>> = { us: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** What Go can hold at most: 2^63 ns, in milliseconds; some 292 years. */
const longest = 2 ** 63 / 1e6;

/**
 * @returns milliseconds, rounded
 * @throws TsnetError "invalid"
 */
export function parseDuration(text: string): number {
  const parts = [...text.matchAll(/(\d{1,20}(?:\.\d{1,20})?)(us|ms|s|m|h)/g)];
  const isWhole = parts.length > 0 && parts.map(([part]) => part).join("") === text;
  const sum = parts.reduce((total, [, amount, unit]) => total + Number(amount) * (units[unit ?? ""] ?? 0), 0);
  if (text === "0") return 0;
  if (isWhole && sum <= longest) return Math.round(sum);
  const what = isWhole ? "at most 292 years" : "a length of time with its unit, such as 90s, 10m or 1h30m";
  throw new TsnetError("invalid", `expected ${what}, got ${JSON.stringify(text)}`);
}
