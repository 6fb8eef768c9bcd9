import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { registryAuth } from "../../../src/cli/registry-auth.ts";
import { removeDirectory } from "../../support/scratch.ts";
import { scratchDirectory } from "../../support/wire.ts";

describe("what docker login has left", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await scratchDirectory();
    const auth = Buffer.from("ann:secret").toString("base64");
    mkdirSync(join(directory, ".docker"));
    const auths = { "https://index.docker.io/v1/": { auth }, "reg.example:5000": { auth } };
    writeFileSync(join(directory, ".docker/config.json"), JSON.stringify({ auths }));
  });
  afterEach(() => removeDirectory(directory));

  const server = (reference: string): string | undefined => {
    const header = registryAuth(reference, { HOME: directory });
    return header === undefined ? undefined : JSON.parse(Buffer.from(header, "base64url").toString()).serveraddress;
  };

  const hub = "https://index.docker.io/v1/";
  for (const [reference, expected] of [
    ["ann/tsnet-plugin:1", hub],
    ["docker.io/ann/tsnet-plugin:1", hub],
    ["index.docker.io/ann/tsnet-plugin:1", hub],
    ["reg.example:5000/tsnet-plugin:1", "reg.example:5000"],
    ["other.example/tsnet-plugin:1", undefined],
  ] as const) {
    it(`is used for ${reference}: ${expected ?? "nothing"}`, () => {
      expect(server(reference)).to.equal(expected);
    });
  }
});
