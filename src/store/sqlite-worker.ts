/** The thread in which the disk is waited for. It answers each request with one reply, in order. */
import { parentPort } from "node:worker_threads";
import { SqliteFile } from "./sqlite-file.ts";
import type { ConditionRow, Kind, Row } from "./store.ts";

export type Request =
  /** The first request. */
  | { readonly do: "open"; readonly path: string }
  /** Answered with IDs and JSON texts in turn, none if there are no more. */
  | { readonly do: "page"; readonly kind: Kind; readonly after: string }
  /** Answered with the JSON text of a record, or nothing. */
  | { readonly do: "get"; readonly kind: Kind; readonly id: string }
  /** Answered with the refusal of each commit. */
  | { readonly do: "write"; readonly commits: readonly (readonly Row[])[] }
  /** A commit with conditions. Answered with null if it took place, with nothing if they do not hold. */
  | { readonly do: "write-if"; readonly rows: readonly Row[]; readonly conditions: readonly ConditionRow[] }
  /** The last request; the thread is then ended from outside. */
  | { readonly do: "close" };

export type Reply = { readonly done: readonly (string | null)[] } | { readonly error: string };

let file: SqliteFile | undefined;

function run(request: Request): readonly (string | null)[] {
  if (request.do === "open") file = new SqliteFile(request.path);
  if (request.do === "page") return file?.page(request.kind, request.after) ?? [];
  if (request.do === "get") return file?.get(request.kind, request.id) ?? [];
  if (request.do === "write-if") return file?.writeIf(request.rows, request.conditions) ? [null] : [];
  if (request.do === "write") return file?.write(request.commits) ?? [];
  if (request.do === "close") file?.close();
  return [];
}

function answer(request: Request): Reply {
  try {
    return { done: run(request) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

parentPort?.on("message", (request: Request) => parentPort?.postMessage(answer(request)));
