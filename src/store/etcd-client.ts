/** Calls of etcd's API (v3, etcd 3.4 and newer) on whichever of its servers answers, as a user if there is one. */
import type { SecureContext } from "node:tls";
import { CallFailed, explainCall, type Failure, mayBeDone, Refusal } from "./etcd-errors.ts";
import { type Answer, EndpointError, EtcdEndpoint } from "./etcd-http.ts";

export interface EtcdClientOptions {
  /** "https://10.0.0.1:2379" */
  readonly endpoints: readonly string[];
  readonly secureContext: SecureContext;
  readonly user: string | null;
  readonly password: string | null;
  /** Of our keys; for messages. */
  readonly prefix: string;
  /** How long a call may take, all attempts together. */
  readonly timeoutMs: number;
}

export interface CallOptions {
  /** Whether it changes nothing, so that it can be asked again elsewhere though an answer may be on its way. */
  readonly isRead: boolean;
  /** When the time is over, by performance.now(). */
  readonly deadline: number;
  readonly signal?: AbortSignal | undefined;
  /** This server and no other. */
  readonly only?: EtcdEndpoint;
}

/** Bodies as etcd's API has them, in rpc.proto. */
// biome-ignore lint/suspicious/noExplicitAny: each caller says what it reads of an answer
export type Body = any;

/** Longer than a disk that works takes to write. */
const shortestChangeMs = 1_500;

export class EtcdClient {
  readonly #options: EtcdClientOptions;
  readonly #endpoints: readonly EtcdEndpoint[];
  /** The latest of etcd's that was heard of. */
  revision = 0n;
  /** That of the last answer; "" before the first. */
  cluster = "";
  #preferred = 0;
  #isClosed = false;
  #token: Promise<string | null> | undefined;

  constructor(options: EtcdClientOptions) {
    this.#options = options;
    this.#endpoints = options.endpoints.map((url) => new EtcdEndpoint(url, options.secureContext));
  }

  /** The time by which a call that begins now must have ended. */
  deadline = (): number => performance.now() + this.#options.timeoutMs;

  /** The server that answered last. */
  get endpoint(): EtcdEndpoint {
    return this.#endpoints[this.#preferred] as EtcdEndpoint;
  }

  /** Prefers the next server, if it was this one. */
  leave(endpoint: EtcdEndpoint): void {
    if (endpoint === this.endpoint) this.#preferred = (this.#preferred + 1) % this.#endpoints.length;
  }

  /** @throws TsnetError "store", which says whether something may have been changed */
  async call(path: string, body: object, options: CallOptions): Promise<Body> {
    const answer = await this.#inWords(options.isRead, () =>
      this.#asUser(options, (token) => this.#try(path, body, token, options)),
    );
    this.#note(answer);
    return answer;
  }

  #note({ header }: Body): void {
    this.cluster = String(header?.cluster_id ?? this.cluster);
    const revision = BigInt(header?.revision ?? 0);
    if (revision > this.revision) this.revision = revision;
  }

  /**
   * The objects of an answer that never ends, of the server that answered last. Ends by an error only.
   * @throws TsnetError "store"
   */
  async *stream(path: string, body: object, signal: AbortSignal): AsyncGenerator<Body, void> {
    const { endpoint } = this;
    const deadline = this.deadline();
    const token = await this.#inWords(true, () => this.#tokenBy(deadline));
    const leftMs = deadline - performance.now();
    const messages = endpoint.stream(path, body, { token, signal, connectMs: leftMs, totalMs: leftMs });
    try {
      for await (const message of messages as AsyncIterable<Body>) {
        if (message.error !== undefined) throw new Refusal(message.error);
        if (message.result.events !== undefined) this.#note(message.result);
        yield message.result;
      }
    } catch (error) {
      this.leave(endpoint);
      if (error instanceof Refusal && error.isOfToken) this.#token = undefined;
      throw this.#explain(new CallFailed([failureOf(endpoint, error)]), true);
    }
  }

  /** Ends what is under way. */
  close(): void {
    this.#isClosed = true;
    for (const endpoint of this.#endpoints) endpoint.close();
  }

  async #inWords<T>(isRead: boolean, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw error instanceof CallFailed ? this.#explain(error, isRead) : error;
    }
  }

  #explain = (failed: CallFailed, isRead: boolean): Error => explainCall(failed, { ...this.#options, isRead });

  /** Runs a call with a token, and once more with a new one if etcd does not know it any more. */
  async #asUser<T>({ deadline }: CallOptions, call: (token: string | null) => Promise<T>): Promise<T> {
    const token = await this.#tokenBy(deadline);
    const used = this.#token;
    try {
      return await call(token);
    } catch (error) {
      const isOfToken = error instanceof CallFailed && error.refusal?.isOfToken;
      if (!isOfToken || this.#options.user === null) throw error;
      if (this.#token === used) this.#token = undefined; // others may have a new one by now
      return await call(await this.#tokenBy(deadline));
    }
  }

  /** @returns null if there is no user, or etcd does not ask for one */
  #tokenBy(deadline: number): Promise<string | null> {
    if (this.#options.user === null) return Promise.resolve(null);
    if (this.#token) return this.#token;
    const token = this.#authenticate(deadline);
    this.#token = token;
    token.catch(() => {
      if (this.#token === token) this.#token = undefined;
    });
    return token;
  }

  async #authenticate(deadline: number): Promise<string | null> {
    const { user: name, password } = this.#options;
    try {
      return (await this.#try("/v3/auth/authenticate", { name, password }, null, { isRead: true, deadline })).token;
    } catch (error) {
      if (error instanceof CallFailed && error.refusal?.isAuthOff) return null;
      throw error;
    }
  }

  /** Asks one server after the other, the preferred one first, until one answers. */
  async #try(path: string, body: object, token: string | null, options: CallOptions): Promise<Body> {
    const { isRead, deadline, signal } = options;
    const failures: Failure[] = [];
    const endpoints = options.only ? [options.only] : this.#inOrder();
    for (const [index, endpoint] of endpoints.entries()) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0 || signal?.aborted || this.#isClosed) break;
      // each has its share of the time; what may have been done is asked for again by those who ask, if at all
      const connectMs = leftMs / (endpoints.length - index);
      try {
        const answer = await endpoint.post(path, body, {
          token,
          signal,
          connectMs,
          totalMs: isRead ? connectMs : Math.min(leftMs, this.#changeMs),
        });
        return bodyOf(answer);
      } catch (error) {
        const failure = failureOf(endpoint, error);
        failures.push(failure);
        if (failure.error instanceof Refusal && failure.error.isFinal) break;
        this.leave(endpoint);
        if (!isRead && mayBeDone(failure.error)) break;
      }
    }
    throw new CallFailed(failures);
  }

  /** So long one server may take for a change: one that is cut off keeps silent, and who tries again asks another. */
  get #changeMs(): number {
    return Math.max(shortestChangeMs, this.#options.timeoutMs / this.#endpoints.length);
  }

  #inOrder = (): EtcdEndpoint[] => [
    ...this.#endpoints.slice(this.#preferred),
    ...this.#endpoints.slice(0, this.#preferred),
  ];
}

function bodyOf({ status, body }: Answer): Body {
  if (status === 200) return body;
  throw new Refusal(body as Body);
}

const failureOf = ({ url }: EtcdEndpoint, error: unknown): Failure => ({
  url,
  error: error instanceof Refusal || error instanceof EndpointError ? error : new EndpointError(String(error), true),
});
