import { explain } from "../errors.ts";
import { MalformedBody } from "./parse.ts";

/** An error as Docker wants to read it. */
export interface ErrorAnswer {
  readonly status: number;
  readonly body: object;
  readonly text: string;
}

/**
 * The network driver's errors are in `Err`, the IPAM driver's in `Error`. With status 200 Docker shows "remote: TEXT"; for any
 * other status it reads `Err` alone (moby, pkg/plugins/client.go), and shows "METHOD: TEXT".
 */
export function errorAnswer(method: string, error: unknown): ErrorAnswer {
  const status = malformedStatus(error);
  const text = printable(shorten(status === undefined ? explain(error) : `${method}: ${malformedText(error)}`));
  if (method.startsWith("IpamDriver.")) return { status: 200, body: { Error: text }, text };
  return { status: status ?? 200, body: { Err: text }, text };
}

/** Nobody reads more; what a request had in it is repeated in many an error. */
const longest = 4096;

const shorten = (text: string): string => (text.length > longest ? `${text.slice(0, longest)}…` : text);

/** An option that was mistyped may have in it what a terminal obeys, or does not show. */
const printable = (text: string): string =>
  text.replaceAll(/(?![\n\t])[\p{Cc}\p{Cf}]/gu, (sign) => `\\u{${sign.codePointAt(0)?.toString(16)}}`);

/** The status for a request that could not be read; undefined for an error of another kind. */
function malformedStatus(error: unknown): number | undefined {
  if (error instanceof MalformedBody) return 400;
  const status = (error as { status?: unknown } | null)?.status;
  return typeof status === "number" && status >= 400 && status < 500 ? status : undefined;
}

function malformedText(error: unknown): string {
  const { type, message, limit } = error as { type?: string; message?: string; limit?: number };
  if (type === "entity.too.large") return `the body is larger than ${formatSize(Number(limit))}`;
  return String(message);
}

const formatSize = (bytes: number): string => (bytes < 2 ** 20 ? `${bytes / 1024} KiB` : `${bytes / 2 ** 20} MiB`);
