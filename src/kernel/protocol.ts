/** What the main thread and a thread of its own that does the calls say to each other. */
import { type ErrorCode, TsnetError } from "../errors.ts";

/** One call. */
export interface Request {
  readonly id: number;
  readonly call: string;
  readonly args: readonly unknown[];
}

/** The thread's first message says that it is ready, or why not; then answers, and what it tells unasked. */
export type Message<Event = never> =
  | { readonly ready: true }
  | { readonly missing: readonly ErrorMessage[] }
  | { readonly failed: ErrorMessage }
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: ErrorMessage }
  | { readonly event: Event };

/** An error as a value: a structured clone keeps the message of an Error only. */
export interface ErrorMessage {
  /** Not there for an error that is not a TsnetError: a defect. */
  readonly code?: ErrorCode;
  readonly message: string;
  readonly errno?: string;
  readonly cause?: ErrorMessage;
}

export function encodeError(error: unknown): ErrorMessage {
  if (!(error instanceof Error)) return { message: String(error) };
  const cause = error.cause === undefined ? {} : { cause: encodeError(error.cause) };
  if (!(error instanceof TsnetError)) return { message: error.message, ...cause };
  const errno = error.errno === undefined ? {} : { errno: error.errno };
  return { code: error.code, message: error.message, ...errno, ...cause };
}

export function decodeError({ code, message, errno, cause }: ErrorMessage): TsnetError {
  return new TsnetError(code ?? "kernel", message, {
    ...(errno === undefined ? {} : { errno }),
    ...(cause === undefined ? {} : { cause: decodeError(cause) }),
  });
}
