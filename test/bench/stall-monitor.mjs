/**
 * Loaded into the plugin by `node --import`: measures how long its main event loop stands still. SIGUSR2 begins, and at each
 * further one, and at the end, the longest stall so far (ms) is written to the file BENCH_STALL_FILE.
 */
import { writeFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { isMainThread } from "node:worker_threads";

if (isMainThread) {
  const resolutionMs = 1;
  const histogram = monitorEventLoopDelay({ resolution: resolutionMs });
  let isOn = false;
  const write = () =>
    writeFileSync(process.env.BENCH_STALL_FILE, String(Math.max(0, histogram.max / 1e6 - resolutionMs)));
  process.on("SIGUSR2", () => {
    if (isOn) write();
    else histogram.enable();
    isOn = true;
  });
}
