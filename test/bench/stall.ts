import { readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Host } from "../support/host.ts";
import { until } from "../support/poll.ts";

const program = fileURLToPath(new URL("stall-monitor.mjs", import.meta.url));

/** How long the plugin's main event loop has stood still, measured in the plugin by stall-monitor.mjs. */
export class StallMonitor {
  readonly #host: Host;
  readonly #file: string;
  /** What the plugin has to be started with. */
  readonly settings: NodeJS.ProcessEnv;

  constructor(host: Host) {
    this.#host = host;
    this.#file = `${host.directory}/stall`;
    this.settings = { NODE_OPTIONS: `--import=${program}`, BENCH_STALL_FILE: this.#file };
  }

  /** From now on. */
  begin(): void {
    process.kill(this.#host.plugin.pid, "SIGUSR2");
  }

  /** The longest so far, in milliseconds. */
  async longest(): Promise<number> {
    rmSync(this.#file, { force: true });
    process.kill(this.#host.plugin.pid, "SIGUSR2");
    const text = await until("the monitor has written", 5000, () => readFileSync(this.#file, "utf8"));
    return Number(text);
  }
}
