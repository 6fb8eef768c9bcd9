import { spawnSync } from "node:child_process";
import { accessSync, constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";

const clone = join(import.meta.dirname, "../../..");
const unit = readFileSync(join(clone, "plugin/tsnet.service"), "utf8");

describe("the systemd unit", () => {
  it("starts what is in a clone", () => {
    const [, ...files] = /^ExecStart=(\S+) (\S+)$/m.exec(unit) ?? [];
    expect(files).to.have.length(2);
    for (const file of files) {
      expect(file).to.match(/^\/opt\/tsnet\//);
      accessSync(file.replace("/opt/tsnet", clone), constants.R_OK);
    }
  });

  it("starts before Docker, and with it", () => {
    expect(unit).to.match(/^Before=docker\.service$/m);
    expect(unit).to.match(/^WantedBy=docker\.service$/m);
  });

  it("is one that systemd takes, which would refuse another", function () {
    if (spawnSync("systemd-analyze", ["--version"]).status !== 0) return this.skip();
    expect(verify(unit)).to.equal("");
    expect(verify(unit.replace("RestartSec=1", "RestartSecs=1"))).to.include("RestartSecs");
  });
});

/** @returns what systemd has to say against it */
function verify(text: string): string {
  const directory = mkdtempSync(join(tmpdir(), "tsnet-unit-"));
  try {
    const file = join(directory, "tsnet.service");
    writeFileSync(file, text.replaceAll("/opt/tsnet", clone.replace(/\/$/, "")));
    const { stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", file], { encoding: "utf8" });
    return stderr
      .split("\n")
      .filter((line) => line.includes("tsnet.service"))
      .join("\n");
  } finally {
    rmSync(directory, { recursive: true });
  }
}
