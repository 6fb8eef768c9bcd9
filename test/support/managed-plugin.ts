import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import type { Host } from "./host.ts";
import { Plugin, socketInside } from "./plugin.ts";
import { until } from "./poll.ts";
import { listProcesses, readProc, readProcess } from "./processes.ts";

/** What it is installed as. */
export const pluginName = "tsnet-plugin:latest";

/** dockerd's own data of an installed plugin, which each host gets links to; see managed.ts. */
export const installedVariable = "TEST_TSNET_INSTALLED";

const startDeadlineMs = 30_000;

/** What the plugin's process runs, without types or with. */
const program = "/usr/lib/tsnet/src/main.";

/** tsnet as a managed plugin of a host's dockerd. It is installed, and not enabled, before dockerd first starts. */
export class ManagedPlugin extends Plugin {
  readonly #host: Host;
  #settings: NodeJS.ProcessEnv = {};
  /** What was given with `docker plugin set`. */
  #set: NodeJS.ProcessEnv = {};
  /** Whether it shall run: dockerd starts it then, when it starts itself. */
  #isWanted = false;

  constructor(host: Host) {
    super();
    this.#host = host;
    this.#install();
  }

  /** dockerd's: it has the lines of all plugins. */
  get logFile(): string {
    return this.#host.dockerd.logFile;
  }

  get stateDirectory(): string {
    return `${this.directory}/propagated-mount`;
  }

  /** Where dockerd keeps it. */
  get directory(): string {
    const id = readdirSync(this.#plugins).find((name) => /^[0-9a-f]{64}$/.test(name));
    if (id === undefined) throw new Error("the managed plugin is not installed");
    return `${this.#plugins}/${id}`;
  }

  get pid(): number {
    const pid = this.#pid();
    if (pid === undefined) throw new Error("tsnet is not running");
    return pid;
  }

  get socket(): string {
    return this.#host.path(socketInside);
  }

  /** Where dockerd does not run yet, it is started with it. */
  async start(settings: NodeJS.ProcessEnv = this.#settings): Promise<void> {
    this.#settings = settings;
    this.#isWanted = true;
    if (this.#host.dockerd.isRunning) await this.dockerdStarted();
  }

  override async dockerdStarted(): Promise<void> {
    if (!this.#isWanted) return;
    if (!(await this.#isEnabled())) {
      await this.#applySettings();
      await this.#host.docker("plugin", "enable", pluginName);
    }
    await until("tsnet answers", startDeadlineMs, async () => {
      await this.call("Plugin.Activate");
      return true;
    });
  }

  /** `docker plugin disable -f`, if it is enabled, or SIGTERM where dockerd does not run. @returns 0: Docker does not tell */
  async stop(): Promise<number> {
    this.#isWanted = false;
    if (!this.#host.dockerd.isRunning) await this.#end("SIGTERM");
    else if (await this.#isEnabled()) await this.#host.docker("plugin", "disable", "-f", pluginName);
    return 0;
  }

  kill(): Promise<void> {
    return this.#end("SIGKILL");
  }

  /** The lines that dockerd has of it: time="…" level=info msg="{\"level\":30,…}" plugin=ID */
  protected logLines = (): string[] =>
    readFileSync(this.logFile, "utf8")
      .split("\n")
      .flatMap((line) => {
        const [, text] = /\bmsg=("(?:[^"\\]|\\.)*") plugin=[0-9a-f]{64}/.exec(line) ?? [];
        return text === undefined ? [] : unquoted(text);
      });

  get #plugins(): string {
    return `${this.#host.directory}/docker/plugins`;
  }

  #install(): void {
    const installed = process.env[installedVariable];
    if (installed === undefined) throw new Error(`${installedVariable} is not set: run the tests by test/run.ts`);
    mkdirSync(`${this.#host.directory}/docker`, { mode: 0o710, recursive: true });
    // nothing writes to these files, so that links do
    if (!existsSync(this.#plugins)) execFileSync("cp", ["-al", installed, this.#plugins]);
  }

  async #applySettings(): Promise<void> {
    const wanted = { ...Object.fromEntries(Object.keys(this.#set).map((name) => [name, ""])), ...this.#settings };
    const words = Object.entries(wanted).map(([name, value]) => `${name}=${value ?? ""}`);
    if (words.length > 0) await this.#host.docker("plugin", "set", pluginName, ...words);
    this.#set = this.#settings;
  }

  async #isEnabled(): Promise<boolean> {
    return (await this.#host.dockerd.api("GET", `/plugins/${pluginName}/json`)).Enabled;
  }

  /** Of the host's processes the one that runs the program; the host's first process is the parent of all of them. */
  #pid(): number | undefined {
    const parents = new Map(listProcesses().map(({ pid, parent }) => [pid, parent]));
    const isOfHost = (pid: number | undefined): boolean =>
      pid !== undefined && (pid === this.#host.namespace.pid || isOfHost(parents.get(pid)));
    return [...parents.keys()].find((pid) => readProc(pid, "cmdline")?.includes(`\0${program}`) && isOfHost(pid));
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const { pid } = this;
    process.kill(pid, signal);
    await until("tsnet has ended", startDeadlineMs, () => readProcess(pid) === undefined);
  }
}

/** Go's quotes are JSON's here. */
function unquoted(text: string): string[] {
  try {
    return [JSON.parse(text)];
  } catch {
    return [];
  }
}
