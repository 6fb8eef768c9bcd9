import type { Express } from "express";
import type { LinkReport } from "../driver/report-links.ts";
import { TsnetError } from "../errors.ts";
import { sendList } from "./admin-list.ts";
import { parameters } from "./admin-parameters.ts";

/** What the admin API answers about networks and endpoints. */
export type LinkReports = Pick<LinkReport, "networks" | "endpoints" | "failedNetworks">;

/** GET /v1/networks, and /v1/endpoints?network=ID, of all networks without it. */
export function addLinkRoutes(app: Express, links: LinkReports): void {
  app.get("/v1/networks", (request, response) => {
    parameters(request, []);
    return sendList(response, "networks", links.networks(), { failed: links.failedNetworks() });
  });
  app.get("/v1/endpoints", (request, response) => {
    const { network = null } = parameters(request, ["network"]);
    if (network === "") throw new TsnetError("invalid", "network: expected a full ID, as GET /v1/networks has them");
    return sendList(response, "endpoints", links.endpoints(network));
  });
}
