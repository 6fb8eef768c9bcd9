/** What goes wrong with a call of etcd, in words. */
import { TsnetError } from "../errors.ts";
import { EndpointError } from "./etcd-http.ts";

/** What etcd says instead of an answer. The codes are gRPC's (https://grpc.io/docs/guides/status-codes). */
export class Refusal extends Error {
  readonly #code: number;

  /** @param body the object that etcd's JSON gateway answers with; that of a stream has other names */
  constructor(body: { error?: unknown; message?: unknown; code?: unknown; grpc_code?: unknown }) {
    super(String(body.message ?? body.error));
    this.#code = Number(body.grpc_code ?? body.code);
  }

  /** Whether it is for sure that nothing was done, and that another server would say the same. */
  get isFinal(): boolean {
    return finalCodes.includes(this.#code);
  }

  /** The token has expired, or etcd has lost it when it started; or users and roles were changed. */
  get isOfToken(): boolean {
    return /invalid auth token|user name is empty|revision of auth store is old/.test(this.message);
  }

  get isAuthOff(): boolean {
    return /authentication is not enabled/.test(this.message);
  }
}

/** InvalidArgument, NotFound, PermissionDenied, ResourceExhausted, FailedPrecondition, OutOfRange, Unimplemented, Unauthenticated. */
const finalCodes = [3, 5, 7, 8, 9, 11, 12, 16];

const hints: readonly (readonly [RegExp, string])[] = [
  [/permission denied/, "give the role of the user in TSNET_ETCD_USER the right to read and write below PREFIX"],
  [/authentication failed/, "look at TSNET_ETCD_USER"],
  [/user name is empty/, "it wants a user: set TSNET_ETCD_USER"],
  [/database space exceeded/, "compact it, defragment it, and disarm its alarm (etcd's manual, Maintenance)"],
  [/too many operations/, "start etcd with --max-txn-ops=128 or more"],
  [/request is too large/, "start etcd with a larger --max-request-bytes"],
];

/** One server, and why it did not answer. */
export interface Failure {
  /** "https://10.0.0.1:2379" */
  readonly url: string;
  readonly error: EndpointError | Refusal;
}

/** A call that no server answered. */
export class CallFailed extends Error {
  readonly failures: readonly Failure[];

  constructor(failures: readonly Failure[]) {
    super("etcd did not answer");
    this.failures = failures;
  }

  /** The refusal that ended it, if one did. */
  get refusal(): Refusal | undefined {
    const error = this.failures.at(-1)?.error;
    return error instanceof Refusal ? error : undefined;
  }

  /** Whether etcd may have done what it was asked for. */
  get mayBeDone(): boolean {
    return this.failures.some(({ error }) => mayBeDone(error));
  }
}

export const mayBeDone = (error: EndpointError | Refusal): boolean =>
  error instanceof EndpointError ? error.wasSent : !error.isFinal;

/**
 * One sentence that names the servers, what each said, and what to do.
 * @param context for messages: where etcd should be, and the prefix of our keys
 */
export function explainCall(
  { failures, refusal, mayBeDone }: CallFailed,
  context: { readonly endpoints: readonly string[]; readonly prefix: string; readonly isRead: boolean },
): TsnetError {
  const ending = context.isRead ? "" : mayBeDone ? "; it may have been done or not" : "; nothing was changed";
  if (refusal?.isFinal) {
    const hint = hints.find(([pattern]) => pattern.test(refusal.message))?.[1].replace("PREFIX", context.prefix);
    const text = `etcd refuses: ${failures.at(-1)?.url}: ${refusal.message}`;
    return new TsnetError("store", `${text}${hint === undefined ? "" : `: ${hint}`}${ending}`);
  }
  const causes = failures.map(({ url, error }) => `${url}: ${error.message}`);
  if (causes.length === 0) causes.push(`${context.endpoints.join(", ")}: the time was over before it was asked`);
  const todo = "see whether etcd runs there, and whether TSNET_ETCD_ENDPOINTS has the right scheme, address and port";
  return new TsnetError("store", `etcd cannot be reached: ${causes.join("; ")}; ${todo}${ending}`);
}
