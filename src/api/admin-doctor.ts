import type { Express } from "express";
import type { DoctorAnswer } from "../driver/overlay/doctor-answers.ts";
import { parameters } from "./admin-parameters.ts";

/** What the admin API answers about the ways to other hosts. */
export interface DoctorReports {
  /** Sends some probes before it answers, which takes seconds where hosts do not answer. */
  report(): Promise<DoctorAnswer>;
}

/** GET /v1/doctor. */
export function addDoctorRoutes(app: Express, doctor: DoctorReports): void {
  app.get("/v1/doctor", async (request, response) => {
    parameters(request, []);
    response.json(await doctor.report());
  });
}
