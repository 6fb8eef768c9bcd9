/** Programs of the machine, run for tests. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { text } from "node:stream/consumers";
import { patience } from "./patience.ts";

/** What a program did. */
export interface Outcome {
  /** Exit code; 128 + signal number is not computed: a program that a signal ended has -1. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  /** Written to the program's standard input; nothing by default. */
  readonly input?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** After this the program is killed, and the outcome says so. */
  readonly timeoutMs?: number;
}

/** No command of a test takes longer, unless it says so. */
const defaultTimeoutMs = 60_000 * patience;

/** Runs a program to its end; a failing exit code is an answer here. */
export async function attempt(command: readonly string[], options: CommandOptions = {}): Promise<Outcome> {
  const [file = "", ...args] = command;
  const child = spawn(file, args, {
    env: options.env ?? process.env,
    cwd: options.cwd,
    timeout: options.timeoutMs ?? defaultTimeoutMs,
    killSignal: "SIGKILL",
  });
  child.stdin.on("error", () => {}); // the program may end without having read its input
  child.stdin.end(options.input ?? "");
  const ended = exitOf(child);
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, stdout, stderr };
}

/**
 * Runs a program to its end.
 * @returns its standard output, without the last line break
 * @throws Error with the command, its exit code and what it wrote, if it fails
 */
export async function run(command: readonly string[], options: CommandOptions = {}): Promise<string> {
  const outcome = await attempt(command, options);
  if (outcome.code !== 0) throw new Error(describeFailure(command, outcome));
  return outcome.stdout.replace(/\n$/, "");
}

/** One text of a failed command: what was run, how it ended, what it said. */
export const describeFailure = (command: readonly string[], { code, stdout, stderr }: Outcome): string =>
  `${command.join(" ")}: exit code ${code}: ${stderr.trim() || stdout.trim() || "(no output)"}`;

/** Starts a program that goes on running; what it writes is appended to a file, and is there as soon as it is written. */
export function startLogged(
  command: readonly string[],
  logFile: string,
  env: NodeJS.ProcessEnv = process.env,
): ChildProcess {
  const [file = "", ...args] = command;
  const log = openSync(logFile, "a");
  try {
    return spawn(file, args, { env, stdio: ["ignore", log, log] });
  } finally {
    closeSync(log);
  }
}

/** Exit code of a child, also if it has ended already; -1 if a signal ended it. */
export async function exitOf(child: ChildProcess): Promise<number> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode ?? -1;
  return await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? -1));
  });
}
