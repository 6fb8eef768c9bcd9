import { spawnSync } from "node:child_process";
import { expect } from "chai";
import { guestScript, initScript, parseResult } from "../../support/vm-guest.ts";

const asShell = (script: string, ...options: string[]) =>
  spawnSync("sh", [...options], { input: script, encoding: "utf8" });

describe("the virtual machine", () => {
  it("has scripts that a shell can read", () => {
    const run = { clone: "/root/it's mine", env: { NAME: "a 'b' $c" }, command: ["echo", "it's", "$HOME"] };
    const scripts = [null, "/root/it's a plugin"].map((plugin) => guestScript({ ...run, plugin }));
    for (const text of [initScript, ...scripts]) expect(asShell(text, "-n").stderr).to.equal("");
  });

  it("gives the command its words, its directory and its environment as they are", () => {
    const script = guestScript({
      clone: "/root/it's mine",
      plugin: null,
      env: { NAME: "a 'b' $c" },
      command: ["printf", "%s|", "it's", "$HOME"],
    });
    const kept = script.split("\n").filter((line) => /^(clone=|export NAME=|'printf')/.test(line));
    expect(kept).to.have.length(3);
    const { stdout } = asShell([...kept, 'echo "$clone|$NAME"'].join("\n"));
    expect(stdout).to.equal("it's|$HOME|/root/it's mine|a 'b' $c\n");
  });

  it("tells the exit code, and what was counted", () => {
    expect(parseResult('3\n{"passed":2,"failed":1}')).to.deep.equal({ code: 3, totals: { passed: 2, failed: 1 } });
    expect(parseResult("0\n")).to.deep.equal({ code: 0, totals: undefined });
  });

  it("has no result if it ended too early", () => {
    expect(parseResult("")).to.equal(undefined);
    expect(parseResult("3")).to.equal(undefined);
  });
});
