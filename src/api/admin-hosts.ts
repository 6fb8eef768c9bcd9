import type { Express } from "express";
import type { HostReports } from "../driver/overlay/host-list.ts";
import { TsnetError } from "../errors.ts";
import { parameters } from "./admin-parameters.ts";

/** GET /v1/hosts; POST /v1/hosts/remove?host=NAME-OR-ID, with &force=true also for one that seems to live. */
export function addHostRoutes(app: Express, hosts: HostReports): void {
  app.get("/v1/hosts", (request, response) => {
    parameters(request, []);
    response.json(hosts.hosts());
  });
  app.post("/v1/hosts/remove", async (request, response) => {
    const { host = "", force = "false" } = parameters(request, ["host", "force"]);
    if (host === "")
      throw new TsnetError("invalid", "host: expected the name or the ID of a host, as GET /v1/hosts has them");
    if (force !== "true" && force !== "false")
      throw new TsnetError("invalid", `force=${force}: expected true or false`);
    response.json(await hosts.remove(host, force === "true"));
  });
}
