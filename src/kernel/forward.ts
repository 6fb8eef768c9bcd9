/**
 * The FORWARD chains of iptables, and Docker's behind them, through its own programs: only they know how their rules are laid
 * out in the kernel, and how their lock works. Nothing here creates a table or chain that is not there.
 */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { TsnetError } from "../errors.ts";
import { dockerChains, dockerTable, forwardChains, isForwardRule } from "../plan/forward.ts";
import type { ObservedForward } from "../plan/observed.ts";
import type { InsertForwardRule, IptablesProgram, RemoveForwardRule } from "../plan/op.ts";
import { observeDockerTables } from "./docker-tables.ts";

const programs = ["iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy"] as const;

/** How long iptables waits for its lock. */
const lockSeconds = 5;

/** How long a program may take in all; it is killed then. */
const timeoutMs = 8000;

/** More than `-S` prints of any chain that iptables can still work with. */
const outputBytes = 64 << 20;

/** What iptables says if the chain or the rule is not there (man 8 iptables: "1 ... errors", so the text decides). */
const absent =
  /No chain\/target\/match by that name|does a matching rule exist|does a chain named|Bad rule|does not exist/;

/** A chain of that name that was made with nft, and holds what iptables cannot read, is no FORWARD of iptables'. */
const foreign = /is incompatible, use 'nft' tool/;

/**
 * FORWARD of every program that is installed and has it, and the chains in which Docker names its bridges, where FORWARD leads
 * to them; the chains of Docker's own tables. Equivalent to: `iptables-nft -S FORWARD; iptables-nft -S DOCKER-BRIDGE` and so on.
 * @throws TsnetError "kernel" with what the program said
 */
export async function observeForward(): Promise<ObservedForward> {
  const observed: Partial<Record<IptablesProgram, readonly string[]>> = {};
  for (const program of programs) {
    const lines = await observeProgram(program);
    if (lines !== undefined) observed[program] = lines;
  }
  const chains = observeDockerTables();
  return chains === undefined ? observed : { ...observed, [dockerTable]: chains };
}

/**
 * The same, and the users' own rules, in DOCKER-USER.
 * @throws TsnetError "kernel" with what the program said
 */
export async function observeForwardAndUsers(): Promise<ObservedForward> {
  const observed = await observeForward();
  const all: Partial<Record<IptablesProgram, readonly string[]>> = {};
  for (const [program, lines] of forwardChains(observed)) {
    const isReached = lines.includes("-A FORWARD -j DOCKER-USER");
    all[program] = isReached ? [...lines, ...((await listChain(program, "DOCKER-USER")) ?? [])] : lines;
  }
  return { ...observed, ...all };
}

/**
 * Our rule at this position; if it stands there already, nothing. Equivalent to:
 * `iptables -w -I FORWARD POSITION -m mark --mark MARK/MARK -m comment --comment tsnet -j ACCEPT`.
 * @throws TsnetError "kernel" with what the program said
 */
export async function insertForwardRule(op: InsertForwardRule): Promise<void> {
  const position = String(op.position);
  const there = await run(op.program, ["-S", "FORWARD", position]);
  if (!isForwardRule(there.trim(), op.mark)) await run(op.program, ["-I", "FORWARD", position, ...rule(op.mark)]);
}

/**
 * The first of our rules goes; if there is none, that is success. Equivalent to: `iptables -w -D FORWARD -m mark …`.
 * @throws TsnetError "kernel" with what the program said
 */
export async function removeForwardRule(op: RemoveForwardRule): Promise<void> {
  if (!(await hasFilterTable(op.program))) return;
  try {
    await run(op.program, ["-D", "FORWARD", ...rule(op.mark)]);
  } catch (error) {
    if (!(error instanceof TsnetError && (error.errno === "ENOENT" || absent.test(error.message)))) throw error;
  }
}

async function observeProgram(program: IptablesProgram): Promise<readonly string[] | undefined> {
  if (!(await hasFilterTable(program))) return undefined;
  const lines = await listChain(program, "FORWARD");
  if (lines === undefined) return undefined;
  const others: string[] = [];
  for (const chain of dockerChains(lines)) others.push(...((await listChain(program, chain)) ?? []));
  return [...lines, ...others];
}

/** What `-S` prints of a chain; undefined if it is not there, or no chain of iptables'. */
async function listChain(program: IptablesProgram, chain: string): Promise<readonly string[] | undefined> {
  try {
    return (await run(program, ["-S", chain])).split("\n").filter((line) => line.startsWith("-"));
  } catch (error) {
    if (!(error instanceof TsnetError)) throw error;
    if (error.errno === "ENOENT" || absent.test(error.message) || foreign.test(error.message)) return undefined;
    throw error;
  }
}

/** Whether iptables-legacy may be asked: the question creates the table. The nft programs can always be asked. */
async function hasFilterTable(program: IptablesProgram): Promise<boolean> {
  if (!program.endsWith("-legacy")) return true;
  const path = `/proc/thread-self/net/${program.startsWith("ip6") ? "ip6" : "ip"}_tables_names`;
  try {
    return (await readFile(path, "utf8")).split("\n").includes("filter");
  } catch {
    return false; // a kernel without ip_tables
  }
}

const rule = (mark: number): string[] => {
  const bit = `0x${mark.toString(16)}`;
  return ["-m", "mark", "--mark", `${bit}/${bit}`, "-m", "comment", "--comment", "tsnet", "-j", "ACCEPT"];
};

const execute = promisify(execFile);

/** What the program prints. errno ENOENT: it is not installed. */
async function run(program: IptablesProgram, words: readonly string[]): Promise<string> {
  const env = { ...process.env, PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` };
  const options = { env, timeout: timeoutMs, maxBuffer: outputBytes };
  try {
    return (await execute(program, ["-w", String(lockSeconds), ...words], options)).stdout;
  } catch (error) {
    const failure = error as NodeJS.ErrnoException & { readonly stderr?: string; readonly killed?: boolean };
    const said = failure.killed ? `no end after ${timeoutMs} ms` : failure.stderr?.trim() || failure.message;
    const errno = failure.code === "ENOENT" ? { errno: "ENOENT" } : {};
    throw new TsnetError("kernel", `${program} ${words.join(" ")}: ${said}`, errno);
  }
}
