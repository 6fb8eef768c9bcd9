import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import { nodeEnvironment } from "../../../src/compile-cache.ts";

const deadlineMs = 5_000;

/** Opens a pipe that nobody writes to, as often as is said: each waits on a thread of the pool. Then it looks at a file. */
const script = `
  const fs = require("node:fs");
  for (let n = 0; n < Number(process.argv[2]); n++) fs.open(process.argv[1], "r", () => {});
  fs.stat("/", () => {
    console.log("looked");
    process.kill(process.pid, "SIGKILL");
  });`;

describe("the pool of threads", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "tsnet-pool-"));
    execFileSync("mkfifo", [join(directory, "pipe")]);
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  /** What it said while so many threads wait. */
  const said = async (waiting: number): Promise<string> => {
    const words = ["-e", script, join(directory, "pipe"), `${waiting}`];
    const env = { ...process.env, ...nodeEnvironment };
    const failure = await promisify(execFile)(process.execPath, words, {
      env,
      timeout: deadlineMs,
      killSignal: "SIGKILL",
    }).then(
      () => expect.fail("it kills itself"),
      (error: { readonly stdout: string }) => error,
    );
    return failure.stdout;
  };

  it("has threads left while four wait for the kernel, and two for names", async () => {
    expect(await said(6)).to.equal("looked\n");
  });
});
