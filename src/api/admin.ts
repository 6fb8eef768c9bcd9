/** The admin API: what tsnet does, as JSON, for the owner of the socket. Errors are {"error": TEXT} with a status. */
import express, { type ErrorRequestHandler, type Express, type Request, type Response } from "express";
import type { Log } from "../driver/log.ts";
import type { Report } from "../driver/report.ts";
import type { PortProtocol, PublishedPort } from "../driver/report-answers.ts";
import type { ExplainQuery } from "../driver/report-explain.ts";
import { type ErrorCode, explain, TsnetError } from "../errors.ts";
import { parseIp } from "../net/cidr.ts";

/** What the admin API needs. */
export interface AdminNeeds {
  readonly report: Pick<Report, "ports" | "firewall" | "explain">;
  /** Resolves when the state is restored; nothing is answered before. */
  readonly ready: Promise<void>;
  readonly log: Log;
}

/** GET /v1/ports, /v1/firewall and /v1/firewall/explain?port=8080&protocol=tcp&from=ADDRESS&to=ADDRESS. */
export function createAdminApp({ report, ready, log }: AdminNeeds): Express {
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.use(async (_request, _response, next) => {
    await ready;
    next();
  });
  app.get("/v1/ports", (_request, response) => sendPorts(report.ports(), response));
  app.get("/v1/firewall", async (request, response) => {
    parameters(request, []);
    response.json(await report.firewall());
  });
  app.get("/v1/firewall/explain", async (request, response) => {
    response.json(await report.explain(parseExplain(parameters(request, ["port", "protocol", "from", "to"]))));
  });
  app.use((request) => {
    const paths = "/v1/ports, /v1/firewall, /v1/firewall/explain";
    throw new TsnetError("not-found", `${request.method} ${request.path}: there is GET of ${paths}`);
  });
  app.use(reportError(log));
  return app;
}

/** Written as it comes: the whole text of many thousand ports is never in memory. */
async function sendPorts(parts: AsyncIterable<readonly PublishedPort[]>, response: Response): Promise<void> {
  response.type("json");
  let separator = '{"ports":[\n';
  for await (const part of parts) {
    if (response.closed) return;
    for (const port of part) {
      response.write(separator + JSON.stringify(port));
      separator = ",\n";
    }
    if (response.writableNeedDrain) await drained(response);
  }
  response.end(separator.startsWith("{") ? '{"ports":[]}\n' : "\n]}\n");
}

/** Resolves when the client has taken what was written, or has gone. */
const drained = (response: Response): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      response.off("drain", done).off("close", done);
      resolve();
    };
    response.on("drain", done).on("close", done);
    if (response.closed) done();
  });

/** The parameters of a query, each at most once. */
function parameters({ query }: Request, known: readonly string[]): Readonly<Record<string, string | undefined>> {
  for (const [name, value] of Object.entries(query)) {
    if (!known.includes(name)) {
      throw new TsnetError("invalid", `${name}: unknown parameter; known: ${known.join(", ") || "none"}`);
    }
    if (typeof value !== "string") throw new TsnetError("invalid", `${name}: expected one value`);
  }
  return query as Record<string, string | undefined>;
}

const protocols: readonly PortProtocol[] = ["tcp", "udp", "sctp"];

function parseExplain(query: Readonly<Record<string, string | undefined>>): ExplainQuery {
  const { port = "", protocol: name = "tcp" } = query;
  const protocol = protocols.find((one) => one === name);
  if (protocol === undefined)
    throw new TsnetError("invalid", `protocol=${name}: expected one of ${protocols.join(", ")}`);
  if (!/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65535) {
    throw new TsnetError("invalid", `port=${port}: expected a number from 1 to 65535`);
  }
  return {
    protocol,
    port: Number(port),
    from: parseAddress("from", query["from"]),
    to: parseAddress("to", query["to"]),
  };
}

function parseAddress(name: string, text: string | undefined): ExplainQuery["from"] {
  if (text === undefined) return null;
  try {
    return parseIp(text);
  } catch (error) {
    throw new TsnetError("invalid", `${name}=${text}: ${explain(error)}`);
  }
}

const statuses: Readonly<Record<ErrorCode, number>> = {
  invalid: 400,
  "not-found": 404,
  conflict: 409,
  exhausted: 409,
  kernel: 500,
  store: 500,
  timeout: 504,
};

/** An answer that has begun can only be broken off. */
const reportError =
  (log: Log): ErrorRequestHandler =>
  (error: unknown, request, response, _next) => {
    const text = explain(error);
    const status = error instanceof TsnetError ? statuses[error.code] : 500;
    if (status >= 500) log.error({ path: request.path, error: text }, "the admin API could not answer");
    if (response.headersSent) response.destroy();
    else response.status(status).json({ error: text });
  };
