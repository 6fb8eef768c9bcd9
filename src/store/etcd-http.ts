/** Requests to one etcd server by its JSON gateway (etcd's docs, "gRPC gateway"): the one file that knows HTTP and TLS. */
import http from "node:http";
import https from "node:https";
import type { Socket } from "node:net";
import { createSecureContext, type SecureContext } from "node:tls";

/** PEM files: whom to trust, instead of those whom Node trusts by itself, and who we are. */
export interface EtcdTls {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** @throws Error if one of the files is none, or the key is another certificate's */
export const makeSecureContext = (tls: EtcdTls): SecureContext => createSecureContext(tls);

/** A request that got no answer of etcd's. The message is the cause alone. */
export class EndpointError extends Error {
  /** Whether etcd may have done what it was asked for. */
  readonly wasSent: boolean;

  constructor(message: string, wasSent: boolean) {
    super(message);
    this.wasSent = wasSent;
  }
}

/** How one request is made. */
export interface RequestOptions {
  readonly token: string | null;
  /** The most time to wait for a connection, and for all of it. */
  readonly connectMs: number;
  readonly totalMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** More connections than that do not make etcd faster. */
const maxSockets = 64;

/** How long a stream may be silent before the kernel asks whether the other side is there: it gives up ten seconds later. */
const keepAliveMs = 10_000;

/** How much of an answer that is not etcd's is shown. */
const shownCharacters = 120;

export class EtcdEndpoint {
  /** "https://10.0.0.1:2379" */
  readonly url: string;
  readonly #isTls: boolean;
  readonly #agent: http.Agent;
  readonly #streams: http.Agent;

  constructor(url: string, secureContext: SecureContext) {
    this.url = url;
    this.#isTls = url.startsWith("https:");
    const make = (options: http.AgentOptions) =>
      this.#isTls ? new https.Agent({ ...options, secureContext } as https.AgentOptions) : new http.Agent(options);
    this.#agent = make({ keepAlive: true, maxSockets });
    this.#streams = make({ keepAlive: false });
  }

  /** @throws EndpointError */
  async post(path: string, body: object, options: RequestOptions): Promise<Answer> {
    const exchange = new Exchange(options);
    try {
      const response = await exchange.begin((signal) => this.#request(path, this.#agent, options.token, signal), body);
      const text = await textOf(response);
      return { status: response.statusCode ?? 0, body: parseBody(response.statusCode, text) };
    } catch (error) {
      this.#dropIdle();
      exchange.abort();
      throw exchange.explain(error);
    } finally {
      exchange.end();
    }
  }

  /**
   * A request whose answer never ends: yields each JSON object of it. The time limits are those of its beginning.
   * @throws EndpointError
   */
  async *stream(path: string, body: object, options: RequestOptions): AsyncGenerator<unknown, void> {
    const exchange = new Exchange(options);
    try {
      const response = await exchange.begin(
        (signal) => this.#request(path, this.#streams, options.token, signal),
        body,
        (socket) => socket.setKeepAlive(true, keepAliveMs),
      );
      for await (const line of linesOf(response)) {
        exchange.stopClock();
        yield parseBody(response.statusCode, line);
      }
      throw new EndpointError("etcd has ended the connection", true);
    } catch (error) {
      throw exchange.explain(error);
    } finally {
      exchange.abort();
      exchange.end();
    }
  }

  close(): void {
    this.#agent.destroy();
    this.#streams.destroy();
  }

  #request(path: string, agent: http.Agent, token: string | null, signal: AbortSignal): http.ClientRequest {
    const headers = { "content-type": "application/json", ...(token === null ? {} : { authorization: token }) };
    const { request } = this.#isTls ? https : http;
    return request(`${this.url}${path}`, { method: "POST", agent, headers, signal });
  }

  /** What happened to one connection may have happened to all of them: those that wait are not used again. */
  #dropIdle(): void {
    for (const socket of Object.values(this.#agent.freeSockets).flat()) socket?.destroy();
  }
}

/** One request with its clocks. */
class Exchange {
  readonly #options: RequestOptions;
  readonly #abort = new AbortController();
  #connectTimer: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout | undefined;
  #wasSent = false;
  #timeout: string | undefined;
  readonly abort = (): void => this.#abort.abort();

  constructor(options: RequestOptions) {
    this.#options = options;
  }

  /** Sends the request. Resolves with the head of the answer. */
  begin(
    make: (signal: AbortSignal) => http.ClientRequest,
    body: object,
    onConnect: (socket: Socket) => void = () => {},
  ): Promise<http.IncomingMessage> {
    const { connectMs, totalMs, signal } = this.#options;
    this.#connectTimer = setTimeout(() => this.#expire(`no connection within ${seconds(connectMs)}`), connectMs);
    this.#timer = setTimeout(() => this.#expire(`no answer within ${seconds(totalMs)}`), totalMs);
    if (signal?.aborted) this.abort();
    signal?.addEventListener("abort", this.abort);
    return new Promise((resolve, reject) => {
      const request = make(this.#abort.signal);
      const connected = (socket: Socket): void => {
        this.#wasSent = true;
        clearTimeout(this.#connectTimer);
        onConnect(socket);
      };
      request.on("socket", (socket) => {
        if (request.reusedSocket) connected(socket);
        else socket.once("encrypted" in socket ? "secureConnect" : "connect", () => connected(socket));
      });
      request.on("error", reject);
      request.on("response", resolve);
      request.end(JSON.stringify(body));
    });
  }

  /** The beginning is over: from now on it takes as long as it takes. */
  stopClock(): void {
    clearTimeout(this.#timer);
  }

  end(): void {
    clearTimeout(this.#connectTimer);
    clearTimeout(this.#timer);
    this.#options.signal?.removeEventListener("abort", this.abort);
  }

  explain(error: unknown): EndpointError {
    if (this.#timeout !== undefined) return new EndpointError(this.#timeout, this.#wasSent);
    if (error instanceof EndpointError) return error;
    const { code = "", message, reason } = error as NodeJS.ErrnoException & { reason?: string };
    // with TLS 1.3 a server refuses our certificate after the connection is there for us
    const wasSent = this.#wasSent && !code.startsWith("ERR_SSL_");
    const hint = hints.find(([pattern]) => pattern.test(code))?.[1];
    // OpenSSL's messages go on with its source lines, Node's with its own advice
    const words = reason ?? message.split(/[;\n]/)[0];
    return new EndpointError(hint === undefined ? code || message : `${words} (${code}): ${hint}`, wasSent);
  }

  #expire(timeout: string): void {
    this.#timeout = timeout;
    this.#abort.abort();
  }
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** By the code of the error: OpenSSL's X509_V_ERR_* without its prefix, its alerts, and Node's own. */
const hints: readonly (readonly [RegExp, string])[] = [
  [/ALTNAME/, "its certificate is for another name: look at TSNET_ETCD_ENDPOINTS"],
  [/^CERT_(HAS_EXPIRED|NOT_YET_VALID)/, "renew its certificate, or set the clock"],
  [/^ERR_SSL_.*(ALERT|CERT)/, "it does not take our certificate: look at TSNET_ETCD_CERT and TSNET_ETCD_KEY"],
  [/^(EPROTO|ERR_SSL_)/, "it may not speak TLS: look at TSNET_ETCD_ENDPOINTS, http or https"],
  [/CERT|ISSUER|SIGNATURE/, "set TSNET_ETCD_CACERT to the certificate of its CA"],
];

async function textOf(response: http.IncomingMessage): Promise<string> {
  response.setEncoding("utf8");
  let text = "";
  for await (const chunk of response) text += chunk;
  return text;
}

async function* linesOf(response: http.IncomingMessage): AsyncGenerator<string, void> {
  response.setEncoding("utf8");
  let rest = "";
  for await (const chunk of response as AsyncIterable<string>) {
    rest += chunk;
    if (!chunk.includes("\n")) continue;
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

function parseBody(status: number | undefined, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const shown = text.trim().slice(0, shownCharacters);
    const hint = status === 404 ? ": etcd 3.4 or newer is needed, with its gRPC gateway enabled" : "";
    throw new EndpointError(`this is not etcd's JSON: HTTP ${status} ${JSON.stringify(shown)}${hint}`, status === 200);
  }
}
