import { globSync, readFileSync } from "node:fs";
import { expect } from "chai";
import { strip } from "../../../plugin/strip.ts";

const root = new URL("../../..", import.meta.url).pathname;

describe("plugin/strip.ts", () => {
  it("leaves JavaScript, in the lines and columns of the source, which asks for JavaScript", () => {
    const source = [
      'import { b } from "./b.ts";',
      'import type { C } from "../c.ts";',
      "const program: URL = new URL('./worker.ts', import.meta.url);",
      'const { d } = await import("../d/d.ts");',
      'const text = "see ./b.ts, and main.ts";',
    ].join("\n");
    expect(strip(source).split("\n")).to.deep.equal([
      'import { b } from "./b.js";',
      "                                 ",
      "const program      = new URL('./worker.js', import.meta.url);",
      'const { d } = await import("../d/d.js");',
      'const text = "see ./b.ts, and main.ts";',
    ]);
  });

  it("leaves no module of tsnet asking for TypeScript", () => {
    const files = globSync("src/**/*.ts", { cwd: root });
    const asking = files.filter((file) =>
      /["'`](\.{1,2}\/|\/)[^"'`\n]*\.ts["'`]/.test(strip(readFileSync(root + file, "utf8"))),
    );
    expect(files).to.include("src/start.ts");
    expect(asking).to.deep.equal([]);
  });
});
