import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { parseConfig } from "../../../src/config.ts";

const root = join(import.meta.dirname, "../../..");
const { env, mounts } = JSON.parse(readFileSync(join(root, "plugin/config.json"), "utf8"));
const page = readFileSync(join(root, "docs/managed-plugin.md"), "utf8");

interface Variable {
  readonly name: string;
  readonly value: string;
  readonly settable?: readonly string[];
}

/** What tsnet says it knows, when it is given something else. */
function knownSettings(): string[] {
  try {
    parseConfig({ TSNET_NONE: "1" });
  } catch (error) {
    return /known: (.*)/.exec((error as AggregateError).errors.join("\n"))?.[1]?.split(", ") ?? [];
  }
  return [];
}

describe("the settings of the managed plugin", () => {
  const names = env.map(({ name }: Variable) => name);

  it("are all that tsnet has", () => {
    expect(names).to.have.members(knownSettings()).and.have.length.above(10);
  });

  it("are right as they are", () => {
    const values = env.map(({ name, value }: Variable) => [name, value]);
    expect(parseConfig(Object.fromEntries(values)).socket).to.equal("/host/run/docker/plugins/tsnet.sock");
  });

  it("can be set, but for where Docker itself looks", () => {
    const fixed = env.filter(({ settable }: Variable) => settable === undefined).map(({ name }: Variable) => name);
    expect(fixed).to.have.members(["TSNET_MANAGED_SOCKET", "TSNET_STATE_DIR"]);
  });

  it("are in the table of the page, with their defaults", () => {
    const table = page.slice(page.indexOf("| setting |"), page.indexOf("With etcd and TLS"));
    for (const { name, value, settable } of env as Variable[]) {
      if (settable) expect(table).to.include(`\`${name}\``);
      if (settable && value !== "") expect(table).to.match(new RegExp(`^\\| \`${name}\` .*\`${value}\` \\|$`, "m"));
    }
    for (const { name, settable } of mounts) if (settable) expect(table).to.include(`\`${name}.source\``);
  });
});
