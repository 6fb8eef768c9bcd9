/** Whom the command of the managed plugin's hosts, plugin/tsnet, takes for the plugin: it runs a program of his as root. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { attempt } from "../../support/commands.ts";

const command = new URL("../../../plugin/tsnet", import.meta.url).pathname;
const id = "a".repeat(64);

/** Makes DIRECTORY/plugins/ID/rootfs its root directory, as runc does for a plugin, and waits. */
const pretend = `mount --bind "$1" "$1" && cd "$1" && mkdir -p old && pivot_root . old && echo ready && read -r _`;

describe("plugin/tsnet", () => {
  let directory: string;
  let process: ChildProcess | undefined;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "tsnet-command-"));
    mkdirSync(join(directory, "plugins", id, "rootfs"), { recursive: true });
    for (const path of ["", "plugins", `plugins/${id}`, `plugins/${id}/rootfs`])
      chmodSync(join(directory, path), 0o777);
    mkdirSync(`/run/docker/plugins/${id}`, { recursive: true });
  });
  afterEach(async () => {
    if (process) {
      process.stdin?.end();
      await once(process, "close");
      process = undefined;
    }
    rmSync(directory, { recursive: true });
    rmSync(`/run/docker/plugins/${id}`, { recursive: true, force: true });
  });

  /** Starts somebody whose command line and root directory are the plugin's. */
  const start = async (...before: string[]): Promise<void> => {
    const [file = "", ...args] = [...before, "sh", "-c", pretend, "/usr/lib/tsnet/src/main.js"];
    process = spawn(file, [...args, join(directory, "plugins", id, "rootfs")], { stdio: ["pipe", "pipe", "inherit"] });
    const [line] = await once(process.stdout as NodeJS.ReadableStream, "data");
    expect(String(line)).to.equal("ready\n");
  };

  it("runs what is in the plugin's files", async () => {
    await start("unshare", "--mount");
    const { code, stderr } = await attempt(["sh", command, "networks"]);
    expect(stderr).to.match(/nsenter: .*\/usr\/bin\/node/);
    expect(code).to.equal(127);
  });

  it("runs nothing of a user who only looks like it, in a user namespace of his own", async () => {
    await start("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "unshare", "--map-root-user", "--mount");
    const { code, stderr } = await attempt(["sh", command, "networks"]);
    expect(stderr).to.match(/^tsnet: the managed plugin does not run/);
    expect(code).to.equal(1);
  });

  it("runs nothing of a plugin that dockerd does not know", async () => {
    rmSync(`/run/docker/plugins/${id}`, { recursive: true });
    await start("unshare", "--mount");
    const { stderr } = await attempt(["sh", command, "networks"]);
    expect(stderr).to.match(/^tsnet: the managed plugin does not run/);
  });
});
