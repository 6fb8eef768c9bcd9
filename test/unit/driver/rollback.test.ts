import { expect } from "chai";
import { withRollback } from "../../../src/driver/rollback.ts";
import { explain } from "../../../src/errors.ts";

describe("rollback", () => {
  const run = async (failingUndos: readonly string[]) => {
    const undone: string[] = [];
    const error = await withRollback(async (undo) => {
      for (const name of ["1", "2", "3"]) {
        undo(async () => {
          undone.push(name);
          if (failingUndos.includes(name)) throw new Error(`undo ${name}`);
        });
      }
      throw new Error("work");
    }).catch((reason: unknown) => reason);
    return { undone, error };
  };

  it("undoes nothing if all goes well", async () => {
    const undone: string[] = [];
    const result = await withRollback(async (undo) => {
      undo(async () => undone.push("1"));
      return "done";
    });
    expect([result, undone]).to.deep.equal(["done", []]);
  });

  it("undoes what was begun, newest first, and throws the first error", async () => {
    const { undone, error } = await run([]);
    expect(undone).to.deep.equal(["3", "2", "1"]);
    expect(explain(error)).to.equal("work");
  });

  it("goes on if an undo fails, and names all errors", async () => {
    const { undone, error } = await run(["3", "1"]);
    expect(undone).to.deep.equal(["3", "2", "1"]);
    expect(explain(error)).to.equal(
      "failed, and could not be undone in full; the reconciler goes on with it: work; undo 3; undo 1",
    );
  });
});
