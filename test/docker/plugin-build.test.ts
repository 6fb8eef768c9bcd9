import { createHash } from "node:crypto";
import { closeSync, lstatSync, openSync, readFileSync, readlinkSync, readSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { Host } from "../support/host.ts";
import { buildPlugin, importBase } from "../support/managed.ts";
import { build, listRootfs } from "../support/registry.ts";

const mostBytes = 200e6;
const fewestFiles = 1_000;

describe("the build of the managed plugin", () => {
  it("has five programs, no shell and no compiler among them, and less than 200 MB", () => {
    const rootfs = join(build(), "rootfs");
    const files = listRootfs(build()).filter((path) => lstatSync(join(rootfs, path)).isFile());
    const programs = files.filter((path) => isProgram(join(rootfs, path)));
    const network = ["conntrack", "nft", "xtables-legacy-multi", "xtables-nft-multi"];
    expect(programs).to.deep.equal(["usr/bin/node", ...network.map((name) => `usr/sbin/${name}`)]);
    const bytes = files.reduce((total, path) => total + lstatSync(join(rootfs, path)).size, 0);
    console.log(`      ${Math.round(bytes / 1e6)} MB`);
    expect(bytes).to.be.lessThan(mostBytes);
  });

  it("makes the same files each time", async () => {
    await using host = await Host.create();
    await host.dockerd.start();
    await importBase(host);
    const second = join(host.directory, "second");
    await buildPlugin(host, "--name", "", "--output", second);
    const [one, other] = [describeBuild(build()), describeBuild(second)];
    expect(one.length).to.be.greaterThan(fewestFiles);
    expect({ first: without(one, other), second: without(other, one) }).to.deep.equal({ first: [], second: [] });
  });
});

/** A file that the kernel runs, and neither a library nor an addon of Node. */
function isProgram(path: string): boolean {
  if ((lstatSync(path).mode & 0o111) === 0 || /\.(so|node)\b/.test(path)) return false;
  const start = Buffer.alloc(4);
  const file = openSync(path, "r");
  readSync(file, start);
  closeSync(file);
  return start.equals(Buffer.from("\x7fELF"));
}

/** A line for each file: path, mode and kind, owner, size, and what is in it. */
const describeBuild = (directory: string): string[] => [
  readFileSync(join(directory, "config.json"), "utf8"),
  ...listRootfs(directory).map((path) => describeFile(path, join(directory, "rootfs", path))),
];

function describeFile(name: string, path: string): string {
  const entry = lstatSync(path);
  const what = [name, entry.mode.toString(8), entry.uid, entry.gid];
  if (entry.isSymbolicLink()) what.push(readlinkSync(path));
  if (entry.isFile()) what.push(entry.size, createHash("sha256").update(readFileSync(path)).digest("hex"));
  return what.join(" ");
}

function without(lines: readonly string[], others: readonly string[]): string[] {
  const known = new Set(others);
  return lines.filter((line) => !known.has(line));
}
