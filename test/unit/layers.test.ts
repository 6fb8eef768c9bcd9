import { globSync, readFileSync } from "node:fs";
import { expect } from "chai";
import { forbiddenImports } from "../support/layers.ts";

const root = new URL("../..", import.meta.url).pathname;
const files = globSync("src/**/*.ts", { cwd: root }).toSorted();

describe("the layers", () => {
  it("are all there to be looked at", () => {
    expect(files).to.include.members([
      "src/main.ts",
      "src/net/cidr.ts",
      "src/plan/op.ts",
      "src/driver/networks.ts",
      "src/api/server.ts",
    ]);
  });

  for (const file of files) {
    it(`let ${file} import what it imports`, () => {
      expect(forbiddenImports(file, readFileSync(`${root}${file}`, "utf8"))).to.deep.equal([]);
    });
  }

  const forbidden: [file: string, source: string, found: string[]][] = [
    ["src/net/mac.ts", 'import { a } from "../plan/op.ts";', ["../plan/op.ts"]],
    ["src/plan/bridge.ts", 'import type { Kernel } from "../driver/kernel.ts";', ["../driver/kernel.ts"]],
    ["src/plan/bridge.ts", 'import {\n  a,\n} from "../kernel/nft.ts";', ["../kernel/nft.ts"]],
    ["src/plan/bridge.ts", 'import { readFileSync } from "node:fs";', ["node:fs"]],
    ["src/driver/networks.ts", 'export { a } from "../store/store.ts";', ["../store/store.ts"]],
    ["src/driver/networks.ts", 'const a = await import("../kernel/apply.ts");', ["../kernel/apply.ts"]],
    ["src/driver/networks.ts", 'import "../api/server.ts";', ["../api/server.ts"]],
    ["src/kernel/netlink/codec.ts", 'import { a } from "../../driver/locks.ts";', ["../../driver/locks.ts"]],
    ["src/api/server.ts", "import { a } from '../store/store.ts';", ["../store/store.ts"]],
    ["src/config.ts", 'import { a } from "./plan/op.ts";', ["./plan/op.ts"]],
    [
      "src/plan/bridge.ts",
      'import { a } from "../net/cidr.ts";\nimport { b } from "../errors.ts";\nimport { c } from "./op.ts";',
      [],
    ],
    [
      "src/kernel/netlink/codec.ts",
      'import { a } from "../../plan/op.ts";\nimport { b } from "../../errors.ts";\nimport koffi from "koffi";',
      [],
    ],
    ["src/main.ts", 'import { a } from "./kernel/apply.ts";\nimport { b } from "./api/server.ts";', []],
  ];
  for (const [file, source, found] of forbidden) {
    it(`${found.length === 0 ? "take" : "refuse"} in ${file}: ${source}`, () => {
      expect(forbiddenImports(file, source)).to.deep.equal(found);
    });
  }
});
