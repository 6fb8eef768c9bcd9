import type { Express } from "express";
import type { ServiceReport } from "../driver/report-services.ts";
import { sendList } from "./admin-list.ts";
import { parameters } from "./admin-parameters.ts";

/** What the admin API answers about the services of a swarm. */
export type ServiceReports = Pick<ServiceReport, "services">;

/** GET /v1/services. */
export function addServiceRoutes(app: Express, reports: ServiceReports): void {
  app.get("/v1/services", (request, response) => {
    parameters(request, []);
    return sendList(response, "services", reports.services());
  });
}
