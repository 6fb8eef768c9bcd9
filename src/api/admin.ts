/** The admin API: what tsnet does, as JSON, for the owner of the socket. Errors are {"error": TEXT} with a status. */
import express, { type ErrorRequestHandler, type Express } from "express";
import type { Log } from "../driver/log.ts";
import type { HostReports } from "../driver/overlay/host-list.ts";
import type { Report } from "../driver/report.ts";
import type { PortProtocol } from "../driver/report-answers.ts";
import type { ExplainQuery } from "../driver/report-explain.ts";
import { type ErrorCode, explain, TsnetError } from "../errors.ts";
import { parseIp } from "../net/cidr.ts";
import { addDoctorRoutes, type DoctorReports } from "./admin-doctor.ts";
import { addHostRoutes } from "./admin-hosts.ts";
import { addIpamRoutes, type IpamReports } from "./admin-ipam.ts";
import { addLinkRoutes, type LinkReports } from "./admin-links.ts";
import { sendList } from "./admin-list.ts";
import { parameters } from "./admin-parameters.ts";
import { addServiceRoutes, type ServiceReports } from "./admin-services.ts";

/** What the admin API needs. */
export interface AdminNeeds {
  readonly report: Pick<Report, "ports" | "firewall" | "explain">;
  readonly links: LinkReports;
  readonly ipam: IpamReports;
  readonly hosts: HostReports;
  readonly doctor: DoctorReports;
  readonly services: ServiceReports;
  /** Resolves when the state is restored; nothing is answered before. */
  readonly ready: Promise<void>;
  readonly log: Log;
}

/**
 * GET /v1/networks and /v1/endpoints?network=ID; GET /v1/ports, /v1/firewall and
 * /v1/firewall/explain?port=8080&protocol=tcp&from=ADDRESS&to=ADDRESS; GET /v1/ipam, /v1/ipam/leases?pool=ID and /v1/ipam/check;
 * POST /v1/ipam/check; GET /v1/hosts and POST /v1/hosts/remove?host=NAME&force=true; GET /v1/doctor; GET /v1/services.
 */
export function createAdminApp({ report, links, ipam, hosts, doctor, services, ready, log }: AdminNeeds): Express {
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.use(async (_request, _response, next) => {
    await ready;
    next();
  });
  app.get("/v1/ports", (request, response) => {
    parameters(request, []);
    return sendList(response, "ports", report.ports());
  });
  app.get("/v1/firewall", async (request, response) => {
    parameters(request, []);
    response.json(await report.firewall());
  });
  app.get("/v1/firewall/explain", async (request, response) => {
    response.json(await report.explain(parseExplain(parameters(request, ["port", "protocol", "from", "to"]))));
  });
  addLinkRoutes(app, links);
  addIpamRoutes(app, ipam);
  addHostRoutes(app, hosts);
  addDoctorRoutes(app, doctor);
  addServiceRoutes(app, services);
  app.use((request) => {
    const known = `there is GET of ${paths.join(", ")}, and POST of /v1/ipam/check and /v1/hosts/remove`;
    throw new TsnetError("not-found", `${request.method} ${request.path}: ${known}`);
  });
  app.use(reportError(log));
  return app;
}

const paths = [
  ...["/v1/networks", "/v1/endpoints", "/v1/ports", "/v1/firewall", "/v1/firewall/explain"],
  ...["/v1/ipam", "/v1/ipam/leases", "/v1/ipam/check", "/v1/hosts", "/v1/doctor", "/v1/services"],
];

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
