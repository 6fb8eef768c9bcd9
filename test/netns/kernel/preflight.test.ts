import { execFileSync } from "node:child_process";
import { expect } from "chai";
import { missingLinkKind, missingPrerequisites } from "../../../src/kernel/preflight.ts";
import { expectNoLeftovers } from "../../support/netns.ts";

describe("the prerequisites", () => {
  expectNoLeftovers();

  it("are all there on a machine that runs the tests", () => {
    expect(missingPrerequisites()).to.deep.equal([]);
  });

  it("name a kind of link that the kernel does not know", () => {
    const messages = missingLinkKind("nonesuch").map(({ message }) => message);
    expect(messages).to.have.length(1);
    expect(messages[0]).to.match(/^the kernel knows no links of kind nonesuch: load the module/);
  });

  it("name nf_tables where the kernel has no sockets for it, which would end libnftables' process", () => {
    const url = (path: string): string => new URL(path, import.meta.url).pathname;
    const preflight = url("../../../src/kernel/preflight.ts");
    const script = `import { missingPrerequisites } from "${preflight}"; console.log(missingPrerequisites().join());`;
    const node = [process.execPath, "--input-type=module", "-e", script];
    const run = (...words: string[]): string => execFileSync(process.execPath, words, { encoding: "utf8" });
    expect(run(...node.slice(1))).to.equal("\n");
    expect(run(url("../../support/without-netfilter.ts"), ...node)).to.match(
      /^TsnetError: the kernel has no nf_tables that can be used: load the module nf_tables, or take a kernel that has it/,
    );
  });
});
