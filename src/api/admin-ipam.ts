import type { Express } from "express";
import type { IpamReport } from "../driver/ipam/report.ts";
import { TsnetError } from "../errors.ts";
import { sendList } from "./admin-list.ts";
import { parameters } from "./admin-parameters.ts";

/** What the admin API answers about addresses. */
export type IpamReports = Pick<IpamReport, "pools" | "leases" | "check" | "repair">;

/** GET /v1/ipam, /v1/ipam/leases?pool=ID and /v1/ipam/check; POST /v1/ipam/check, which repairs. */
export function addIpamRoutes(app: Express, ipam: IpamReports): void {
  app.get("/v1/ipam", (request, response) => {
    parameters(request, []);
    response.json(ipam.pools());
  });
  app.get("/v1/ipam/leases", (request, response) => {
    const { pool = "" } = parameters(request, ["pool"]);
    if (pool === "") throw new TsnetError("invalid", "pool: expected the ID of a pool, as GET /v1/ipam has them");
    return sendList(response, "leases", ipam.leases(pool));
  });
  app.get("/v1/ipam/check", async (request, response) => {
    parameters(request, []);
    response.json(await ipam.check());
  });
  app.post("/v1/ipam/check", async (request, response) => {
    parameters(request, []);
    response.json(await ipam.repair());
  });
}
