import { expect } from "chai";
import { attempt } from "../support/commands.ts";

const root = new URL("../..", import.meta.url).pathname;

describe("src/start.ts", () => {
  it("can load every module to compile it: nothing begins to work because it is loaded", async () => {
    const load = `const { globSync } = require("node:fs");
      const files = globSync("${root}src/**/*.ts").filter((file) => !file.endsWith("start.ts"));
      Promise.all(files.map((file) => import(file))).then((modules) => console.log(modules.length > 100));`;
    const outcome = await attempt([process.execPath, "-e", load], { env: { ...process.env, NODE_NO_WARNINGS: "1" } });
    expect(outcome).to.deep.equal({ code: 0, stdout: "true\n", stderr: "" });
  });
});
