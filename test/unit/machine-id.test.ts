import { readFileSync, rmSync } from "node:fs";
import { mkdtemp, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { machineId } from "../../src/machine-id.ts";

describe("the machine's ID", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "tsnet-machine-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it("is the host's, where that can be seen", async () => {
    const file = join(directory, "hosts");
    await writeFile(file, "0123456789abcdef0123456789abcdef\n");
    expect(await machineId(directory, file)).to.equal("0123456789abcdef0123456789abcdef");
  });

  it("is made once and kept with the state, where it cannot", async () => {
    const state = join(directory, "state");
    const id = await machineId(state, "/none");
    expect(id).to.match(/^[0-9a-f]{32}$/);
    expect(await machineId(state, "/none")).to.equal(id);
    expect(readFileSync(join(state, "machine-id"), "utf8")).to.equal(`${id}\n`);
    expect((await stat(state)).mode & 0o777).to.equal(0o700);
  });

  it("is made again where what was kept is none", async () => {
    await writeFile(join(directory, "machine-id"), "");
    const id = await machineId(directory, "/none");
    expect(id).to.match(/^[0-9a-f]{32}$/);
    expect(await machineId(directory, "/none")).to.equal(id);
  });

  it("says where it cannot be kept", async () => {
    await writeFile(join(directory, "file"), "");
    const error = await machineId(join(directory, "file"), "/none").catch(({ code }) => code);
    expect(error).to.equal("EEXIST");
  });
});
