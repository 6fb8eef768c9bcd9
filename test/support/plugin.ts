import { readFileSync } from "node:fs";
import { request } from "node:http";
import { json } from "node:stream/consumers";
import { until } from "./poll.ts";

/** The driver under test. `TEST_TSNET_DRIVER=bridge` shows what Docker's own does, and the plugin is not started. */
export const driver = process.env["TEST_TSNET_DRIVER"] ?? "tsnet";

/** How tsnet is installed: as a program with a socket, or as a managed plugin. */
export type Packaging = "socket" | "managed";
export const packagings: readonly Packaging[] = ["socket", "managed"];
export const packaging = (process.env["TEST_TSNET_PACKAGING"] ?? "socket") as Packaging;

/** Where dockerd finds it as `-d tsnet`, in both packagings. */
export const socketInside = "/run/docker/plugins/tsnet.sock";

/** Docker passes on what a managed plugin writes within this time. */
export const loggedMs = 5_000;

/** A line of its log. */
export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** tsnet itself, on a host. */
export abstract class Plugin {
  /** Where its log is, among other things perhaps. */
  abstract readonly logFile: string;
  /** Its state, as a directory of this process. */
  abstract readonly stateDirectory: string;
  /** Process number as this process sees it. @throws Error if it does not run */
  abstract get pid(): number;
  /** Its socket, reachable from outside the host. */
  abstract get socket(): string;

  /** Starts it and waits until it answers; `settings` are environment variables besides, by default those of the last start. */
  abstract start(settings?: NodeJS.ProcessEnv): Promise<void>;
  /** Ends it as an operator does. @returns its exit code, where that is known */
  abstract stop(): Promise<number>;
  /** SIGKILL. Docker starts a managed plugin again at once. */
  abstract kill(): Promise<void>;
  /** Its log's lines, from the first on. */
  protected abstract logLines(): string[];
  /** Called when dockerd has started and answers. */
  async dockerdStarted(): Promise<void> {}

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** One call of the plugin protocol, as dockerd makes it. */
  // biome-ignore lint/suspicious/noExplicitAny: answers differ by method; each test says what it reads
  async call(method: string, body?: object): Promise<any> {
    const socketPath = this.socket;
    const headers = { accept: "application/vnd.docker.plugins.v1.2+json" };
    return await new Promise((resolve, reject) => {
      const call = request({ socketPath, method: "POST", path: `/${method}`, headers }, (response) => {
        json(response).then(resolve, reject);
      });
      call.on("error", reject);
      call.end(body ? JSON.stringify(body) : undefined);
    });
  }

  /** Lines of the log with this level or worse: 40 is warn, 50 is error. */
  logged(level: number): LogLine[] {
    const lines = this.logLines().filter((line) => line.startsWith("{"));
    return lines.map((line) => JSON.parse(line)).filter((entry) => entry.level >= level);
  }

  /** Waits for lines of the log: of a managed plugin they come by way of Docker, a moment after what they tell of. */
  untilLogged(level: number, what: string, isMeant: (line: LogLine) => boolean): Promise<LogLine[]> {
    return until(`the log says ${what}`, loggedMs, () => {
      const lines = this.logged(level).filter(isMeant);
      return lines.length > 0 && lines;
    });
  }

  protected logTail = (): string => readFileSync(this.logFile, "utf8").split("\n").slice(-15).join("\n");
}
