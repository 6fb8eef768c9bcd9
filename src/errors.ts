/** What went wrong, for programs. The message is for people. */
export type ErrorCode =
  /** The request or a setting is wrong; nothing was changed. */
  | "invalid"
  /** Something that exists stands in the way; it is named. */
  | "conflict"
  /** Something that was named does not exist. */
  | "not-found"
  /** A pool or a range has nothing left. */
  | "exhausted"
  /** The kernel, nft or iptables refused. */
  | "kernel"
  /** The state could not be read or written. */
  | "store"
  /** The deadline of the request passed. */
  | "timeout";

/** The one error of tsnet: a code for programs, and a message that names the object, the value and what to do. */
export class TsnetError extends Error {
  override readonly name = "TsnetError";
  readonly code: ErrorCode;
  /** The kernel's errno name, as in "EEXIST", where there is one. */
  readonly errno: string | undefined;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; errno?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.errno = options.errno ?? (options.cause instanceof TsnetError ? options.cause.errno : undefined);
  }
}

/** The chain of messages from what was asked for down to its cause: "create network 4f2a: ensure-bridge: EPERM". */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const errors = error instanceof AggregateError ? error.errors.map(explain).join("; ") : undefined;
  const below = errors ?? (error.cause === undefined ? undefined : explain(error.cause));
  return below === undefined ? error.message : `${error.message}: ${below}`;
}

/** Runs `work`; an error of it is wrapped with what was being done, and keeps its code. */
export async function during<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new TsnetError(cause instanceof TsnetError ? cause.code : "kernel", doing, { cause });
  }
}

/** Whether an error, or one of its causes, carries this errno. */
export function hasErrno(error: unknown, errno: string): boolean {
  return error instanceof TsnetError && error.errno === errno;
}
