/** The thread that holds the published ports, so that what is passed on never delays a call of Docker's, nor a call it. */
import { workerData } from "node:worker_threads";
import type { KernelSettings } from "../calls.ts";
import { serve } from "../serve.ts";
import { PortCalls } from "./calls.ts";

serve(() => new PortCalls(workerData as KernelSettings));
