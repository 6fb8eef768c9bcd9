/**
 * A set of namespaces of one's own: network, mount, pid, uts and control groups. A process with pid 1 in them holds them; when it
 * is killed, the kernel ends every other process inside, and with the last one go the links, mounts and rules.
 */
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { attempt, exitOf, type Outcome, run, startLogged } from "./commands.ts";
import { until } from "./poll.ts";
import { childOf } from "./processes.ts";
import { makeCgroups, removeCgroups } from "./scratch.ts";

/** Starting a program in here takes milliseconds; the rest is a slow machine. */
const startDeadlineMs = 10_000;

/** Puts itself into the control groups named before "--", then becomes the command after it. */
const joinCgroups = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift; exec "$@"';

/** The end of every set-up script: says that it is done, then adopts and reaps whatever loses its parent. */
const becomeInit = 'echo ready; exec "$(command -v docker-init || command -v tini)" -s -- sleep infinity';

/** A program that runs in namespaces until it is stopped. */
export interface Daemon {
  /** Its process number as this process sees it. */
  readonly pid: number;
  /** Resolves with the exit code when it has ended; -1 if by a signal. */
  readonly ended: Promise<number>;
}

export class Namespace implements AsyncDisposable {
  /** Process number of the holder, as this process sees it. */
  readonly pid: number;
  readonly #name: string;
  readonly #holder: ChildProcess;
  readonly #cgroups: readonly string[];

  private constructor(name: string, holder: ChildProcess, pid: number, cgroups: readonly string[]) {
    this.#name = name;
    this.#holder = holder;
    this.pid = pid;
    this.#cgroups = cgroups;
  }

  /**
   * Makes the namespaces and runs the script in them, as pid 1, to its end.
   * @param name of the control group; see scratch.ts
   * @throws Error with what the script wrote, if it fails
   */
  static async create(name: string, setUpScript: string, args: readonly string[] = []): Promise<Namespace> {
    const cgroups = makeCgroups(name);
    // the death signal ends all of it when this process is killed and can clean up no more
    const isolate = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--uts", "--pid", "--cgroup"];
    const fork = ["--fork", "--kill-child", "--propagation", "private", "--"];
    const init = ["sh", "-ec", `${setUpScript}\n${becomeInit}`, "sh", ...args];
    const command = ["-c", joinCgroups, "sh", ...cgroups, "--", ...isolate, ...fork, ...init];
    const holder = spawn("sh", command, { stdio: ["ignore", "pipe", "pipe"] });
    await ready(holder);
    const pid = childOf(holder.pid ?? 0);
    if (pid === undefined) throw new Error(`namespaces ${name}: pid 1 is gone`);
    return new Namespace(name, holder, pid, delegate(cgroups, holder.pid ?? 0, pid));
  }

  /** A command line that runs the command in all of these namespaces. */
  command(command: readonly string[]): string[] {
    const enter = ["nsenter", "-t", `${this.pid}`, "-m", "-u", "-n", "-p", "-C", "-r", "-w", "--"];
    return ["sh", "-c", joinCgroups, "sh", ...this.#cgroups, "--", ...enter, ...command];
  }

  /** A command line that runs the command in the network namespace only: quicker, and with the machine's files. */
  enter = (command: readonly string[]): string[] => ["nsenter", "-t", `${this.pid}`, "-n", "--", ...command];

  /** Runs a shell script inside. @throws Error if it fails */
  sh(script: string, input = ""): Promise<string> {
    return run(this.command(["bash", "-c", script]), { input });
  }

  /** Runs a shell script in the network namespace; a failing exit code is an answer. */
  exec(script: string): Promise<Outcome> {
    return attempt(this.enter(["bash", "-c", script]));
  }

  /** `ip -j ARGS`, parsed. */
  // biome-ignore lint/suspicious/noExplicitAny: the output of ip has no type; each test says what it reads
  ip = (args: string): Promise<any> => this.#json(`ip -j -d ${args}`);

  /** `bridge -j ARGS`, parsed. */
  // biome-ignore lint/suspicious/noExplicitAny: as above
  bridge = (args: string): Promise<any> => this.#json(`bridge -j -d ${args}`);

  /** `nft -j ARGS`, parsed: the list under "nftables". */
  // biome-ignore lint/suspicious/noExplicitAny: as above
  nft = async (args: string): Promise<any[]> => (await this.#json(`nft -j ${args}`)).nftables;

  // biome-ignore lint/suspicious/noExplicitAny: as above
  async #json(script: string): Promise<any> {
    const output = await run(this.enter(["bash", "-c", script]));
    return output === "" ? [] : JSON.parse(output);
  }

  /** Starts a program inside that goes on running; what it writes is appended to the file. */
  async start(command: readonly string[], logFile: string, env: NodeJS.ProcessEnv): Promise<Daemon> {
    const child = startLogged(this.command(command), logFile, env);
    const ended = exitOf(child);
    const pid = await until(`${command[0]} runs`, startDeadlineMs, () => {
      if (child.exitCode !== null) throw new Error(`${command[0]} has ended: ${readFileSync(logFile, "utf8")}`);
      return childOf(child.pid ?? 0);
    });
    return { pid, ended };
  }

  /** Ends everything inside at once, as a power cut does. */
  async kill(): Promise<void> {
    this.#holder.kill("SIGKILL");
    await exitOf(this.#holder);
    await until(`all processes of ${this.#name} are gone`, startDeadlineMs, () => {
      removeCgroups(this.#name); // EBUSY while one is left
      return true;
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}

/** Waits for "ready" on standard output. */
async function ready(holder: ChildProcess): Promise<void> {
  const { stdout, stderr } = holder;
  if (!stdout || !stderr) throw new Error("the holder of the namespaces has no output");
  const said = text(stderr);
  for await (const line of stdout) if (String(line).includes("ready")) return;
  throw new Error(`namespaces could not be made: ${await said}`);
}

/**
 * With control groups version 2 a group that has processes of its own cannot hand its controllers down, so that pid 1 moves to
 * a group below: Documentation/admin-guide/cgroup-v2.rst, "No Internal Process Constraint".
 * @returns where programs of these namespaces belong
 */
function delegate(cgroups: readonly string[], ...pids: readonly number[]): readonly string[] {
  const [unified] = cgroups;
  if (cgroups.length !== 1 || unified === undefined) return cgroups;
  const leaf = `${unified}/init`;
  mkdirSync(leaf);
  for (const pid of pids) writeFileSync(`${leaf}/cgroup.procs`, `${pid}`);
  const controllers = readFileSync(`${unified}/cgroup.controllers`, "utf8").trim().split(" ").filter(Boolean);
  for (const controller of controllers) writeFileSync(`${unified}/cgroup.subtree_control`, `+${controller}`);
  return [leaf];
}
