import { expect } from "chai";
import { groupOf, withColumn } from "../../support/compatibility.ts";

const page = "# Title\n\n<!-- table: made by test/run.ts -->\n<!-- end of table -->\n\nThe end.\n";
const passed = { "network.test.ts": { passed: 3, failed: 0 }, "nat.test.ts": { passed: 2, failed: 0 } };

describe("the table of docs/compatibility.md", () => {
  it("gets a column, which sums the files of a group, and leaves the rest of the page alone", () => {
    const made = withColumn(page, "20.10 socket", passed);
    const table = "| tests | 20.10 socket |\n|---|---|\n| bridge networks | 5 |";
    expect(made).to.equal(page.replace("-->\n<!-- end", `-->\n${table}\n<!-- end`));
    expect(withColumn(made, "20.10 socket", passed)).to.equal(made);
  });

  it("keeps other columns, in order, with a dash for what was not run", () => {
    const files = { "ipam.test.ts": { passed: 7, failed: 1 }, "plugin-live.test.ts": { passed: 1, failed: 0 } };
    const made = withColumn(withColumn(page, "28.5 managed", files), "20.10 socket", passed);
    expect(made.split("\n").filter((line) => line.startsWith("|"))).to.deep.equal([
      "| tests | 20.10 socket | 28.5 managed |",
      "|---|---|---|",
      "| bridge networks | 5 | – |",
      "| IPAM | – | 7, **1 failed** |",
      "| the managed plugin | – | 1 |",
    ]);
  });

  it("forgets what a column said before", () => {
    const made = withColumn(withColumn(page, "28.5 socket", passed), "28.5 socket", {
      "ports.test.ts": { passed: 1, failed: 0 },
    });
    expect(made).to.contain("| published ports | 1 |").and.not.contain("bridge networks");
  });

  it("has a group for each file", () => {
    expect(groupOf("lan-macvlan.test.ts")).to.equal("macvlan and ipvlan");
    expect(groupOf("new.test.ts")).to.equal("others");
  });
});
