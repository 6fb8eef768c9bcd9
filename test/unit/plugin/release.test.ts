import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { archive, checksums } from "../../../plugin/release.ts";

/** Files of a plugin, made in this order and at this time. */
function makePlugin(directory: string, names: readonly string[], seconds: number): void {
  mkdirSync(join(directory, "rootfs"), { recursive: true });
  writeFileSync(join(directory, "config.json"), "{}");
  for (const name of names) {
    const file = join(directory, "rootfs", name);
    writeFileSync(file, name);
    chmodSync(file, 0o755);
    utimesSync(file, seconds, seconds);
  }
  symlinkSync("b", join(directory, "rootfs", "link"));
}

const hashOf = (file: string): string => createHash("sha256").update(readFileSync(file)).digest("hex");

describe("a release of the plugin", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "tsnet-release-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it("has an archive that is the same for the same files, and another for others", () => {
    const cases: [name: string, files: string[], seconds: number][] = [
      ["one", ["a", "b", "c"], 1_000_000],
      ["two", ["c", "b", "a"], 2_000_000],
      ["three", ["a", "b", "d"], 1_000_000],
    ];
    const hashes = cases.map(([name, files, seconds]) => {
      const plugin = join(directory, name);
      makePlugin(plugin, files, seconds);
      archive(plugin, ["config.json", "rootfs"], `${plugin}.tar.gz`);
      return hashOf(`${plugin}.tar.gz`);
    });
    expect(hashes[1]).to.equal(hashes[0]);
    expect(hashes[2]).to.not.equal(hashes[0]);
  });

  it("unpacks to what docker plugin create takes", () => {
    makePlugin(join(directory, "made"), ["b"], 1_000_000);
    archive(join(directory, "made"), ["config.json", "rootfs"], join(directory, "made.tar.gz"));
    const listed = execFileSync("tar", ["-tzvf", join(directory, "made.tar.gz"), "--numeric-owner"], {
      encoding: "utf8",
    });
    const entries = listed.trim().split("\n");
    expect(entries.map((line) => line.split(/\s+/).slice(5).join(" "))).to.deep.equal([
      "config.json",
      "rootfs/",
      "rootfs/b",
      "rootfs/link -> b",
    ]);
    for (const line of entries) expect(line).to.include(" 0/0 ").and.include(" 1970-01-01 ");
    expect(entries[2]).to.match(/^-rwxr-xr-x /);
  });

  it("has no archive where something is missing", () => {
    expect(() => archive(directory, ["config.json"], join(directory, "x.tar.gz"))).to.throw("config.json");
  });

  it("has checksums that sha256sum takes, until a file changes", () => {
    const files = ["one", "two"].map((name) => join(directory, name));
    for (const file of files) writeFileSync(file, file);
    writeFileSync(join(directory, "SHA256SUMS"), checksums(files));
    const check = () =>
      execFileSync("sha256sum", ["-c", "SHA256SUMS"], { cwd: directory, encoding: "utf8", stdio: "pipe" });
    expect(check()).to.equal("one: OK\ntwo: OK\n");
    writeFileSync(join(directory, "two"), "changed");
    expect(check).to.throw("1 computed checksum did NOT match");
  });
});
