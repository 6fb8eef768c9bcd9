import express, { type ErrorRequestHandler, type Express } from "express";
import type { Log } from "../driver/log.ts";
import { TsnetError } from "../errors.ts";
import { errorAnswer } from "./error-answer.ts";
import type { Method } from "./methods.ts";
import { parseJson } from "./parse.ts";
import { PluginSocket } from "./socket.ts";

/** Not imported: as a module, node:http has all of its exports at once, WebSocket among them, which takes 4 MB. */
const { createServer } = process.getBuiltinModule("node:http");

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

/** Lets `app` answer on a socket that is open. */
export const serve = (app: Express, socket: PluginSocket): void => socket.serve(createServer(app));

/** Opens the socket and lets `app` answer on it. @throws as PluginSocket.open */
export async function listen(app: Express, path: string, setting = "TSNET_SOCKET"): Promise<PluginSocket> {
  const socket = await PluginSocket.open(path, setting);
  serve(app, socket);
  return socket;
}
