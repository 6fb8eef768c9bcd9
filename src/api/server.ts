import { chmod, lstat, mkdir, unlink } from "node:fs/promises";
import type { Server, ServerResponse } from "node:http";
import { connect } from "node:net";
import { dirname } from "node:path";
import express, { type ErrorRequestHandler, type Express } from "express";
import type { Log } from "../driver/log.ts";
import { TsnetError } from "../errors.ts";
import { errorAnswer } from "./error-answer.ts";
import type { Method } from "./methods.ts";
import { parseJson } from "./parse.ts";

/** Each request is answered within this time: dockerd itself may wait for ever (engine-contract, fact 6). */
const defaultDeadlineMs = 10_000;

/** Of a method that says nothing else. */
const defaultBodyLimitBytes = 1024 * 1024;

/** What the server needs. */
export interface ServerNeeds {
  readonly methods: Readonly<Record<string, Method>>;
  /** Resolves when the state is restored; only immediate methods are answered before. */
  readonly ready: Promise<void>;
  readonly log: Log;
  /** 10 s if left out. */
  readonly deadlineMs?: number;
}

/** Docker's protocol over HTTP: POST /NetworkDriver.CreateNetwork, JSON in and out. */
export function createApp({ methods, ready, log, deadlineMs = defaultDeadlineMs }: ServerNeeds): Express {
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  for (const [name, method] of Object.entries(methods)) {
    const limit = method.bodyLimitBytes ?? defaultBodyLimitBytes;
    // Not express.json, which takes an empty body for {}: dockerd repeats a call without its body (engine-contract, fact 5).
    app.post(`/${name}`, express.text({ type: () => true, limit }), async (request, response) => {
      const startedAt = performance.now();
      const run = async (overdue: AbortSignal) => method.run(parseJson(request.body), overdue);
      const begin = method.isImmediate ? Promise.resolve() : ready;
      response.json(await withDeadline(run, begin, name, deadlineMs));
      log.debug({ method: name, ms: round(performance.now() - startedAt) }, "answered");
    });
  }
  app.use((request, response) => {
    response.status(404).json({ Err: `${request.method} ${request.path} is no method of tsnet` });
  });
  app.use(reportError(log));
  return app;
}

const round = (ms: number): number => Math.round(ms * 1000) / 1000;

/** A body, short enough for the log. */
const shorten = (body: unknown): unknown => (typeof body === "string" ? body.slice(0, 4096) : body);

/** Express calls it for what a handler threw and for a body that it could not read. */
const reportError =
  (log: Log): ErrorRequestHandler =>
  (error: unknown, request, response, _next) => {
    const name = request.path.slice(1);
    const { status, body, text } = errorAnswer(name, error);
    log.warn({ method: name, error: text, request: shorten(request.body) }, "refused");
    response.status(status).json(body);
  };

/**
 * Runs `work` once `ready`, unless the deadline has passed by then: nothing is begun that has been answered already. Work that
 * is overdue learns it by the signal.
 */
async function withDeadline<T>(
  work: (overdue: AbortSignal) => Promise<T>,
  ready: Promise<void>,
  name: string,
  deadlineMs: number,
): Promise<T> {
  const overdue = new AbortController();
  const { promise: deadline, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const what = `${name} took longer than ${deadlineMs / 1000} s; see the log of tsnet for what holds it up`;
    const error = new TsnetError("timeout", what);
    overdue.abort(error);
    reject(error);
  }, deadlineMs);
  const begin = (): Promise<T> => {
    overdue.signal.throwIfAborted();
    return work(overdue.signal);
  };
  try {
    return await Promise.race([ready.then(begin), deadline]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Listens on a unix socket, for its owner only. A stale socket is replaced; directories that are missing are made, for their owner
 * only.
 * @param setting the environment variable that names the path
 * @throws TsnetError "conflict" if somebody answers on it
 */
export async function listen(app: Express, path: string, setting = "TSNET_SOCKET"): Promise<Server> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await removeStale(path, setting);
  const server = await new Promise<Server>((resolve, reject) => {
    const listening = app.listen(path, (error?: Error) => (error === undefined ? resolve(listening) : reject(error)));
    listening.once("error", reject);
  });
  // dockerd keeps connections for later; one that we close just as it calls costs it a second, and its retry has no body.
  server.keepAliveTimeout = 0;
  const calls = new Set<ServerResponse>();
  server.on("request", (_request, response) => {
    calls.add(response);
    response.on("close", () => calls.delete(response));
  });
  underWay.set(server, calls);
  await chmod(path, 0o600);
  return server;
}

/** The requests that are not answered yet. */
const underWay = new WeakMap<Server, ReadonlySet<ServerResponse>>();

/** A connection on which nothing has come for so long while all is answered is one that nothing comes on. */
const quietMs = 1000;

/**
 * Stops listening, and waits until the requests that are under way are answered: dockerd would repeat them without a body. It may
 * have opened a connection in advance: Node does not take one without a request for idle.
 */
export async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  let lastCallAt = performance.now();
  const close = (): void => {
    server.closeIdleConnections();
    if (underWay.get(server)?.size) lastCallAt = performance.now();
    else if (performance.now() - lastCallAt >= quietMs) server.closeAllConnections();
  };
  const closing = setInterval(close, 20);
  close();
  await closed;
  clearInterval(closing);
}

async function removeStale(path: string, setting: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket())
    throw new TsnetError("conflict", `${path} exists and is not a socket; remove it or set ${setting}`);
  const isLive = await new Promise<boolean>((resolve) => {
    const probe = connect(path, () => resolve(true)).on("error", () => resolve(false));
    probe.on("connect", () => probe.destroy());
  });
  if (isLive) throw new TsnetError("conflict", `another plugin is answering on ${path}; stop it or set ${setting}`);
  await unlink(path);
}
