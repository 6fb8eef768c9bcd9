/** What README.md and docs/overlay.md say of overlay networks, and the program. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { firstChosenVni, largestVni, probeVni } from "../../src/net/vni.ts";
import { directProtocol, directRoutingTable, directRulePriority } from "../../src/plan/direct.ts";
import { overheadBytes } from "../../src/plan/overlay.ts";
import { overlayKeys } from "../../src/plan/overlay-options.ts";
import { overlaySettings } from "../../src/settings/overlay.ts";

const read = (path: string): string => readFileSync(join(import.meta.dirname, "../..", path), "utf8");
const readme = read("README.md");
const page = read("docs/overlay.md");

/** From a heading to the next. */
function section(text: string, heading: string): string {
  const [, from = ""] = text.split(`\n${heading}\n`);
  return from.split(/^#+ /m)[0] ?? "";
}

describe("what is written of overlay networks", () => {
  const options = section(readme, "### overlay");

  it("names each option, and no other", () => {
    const ofAllModes = ["mode", "com.docker.network.enable_ipv4", "com.docker.network.enable_ipv6"];
    for (const key of overlayKeys.filter((one) => !ofAllModes.includes(one))) expect(options).to.include(`\`${key}\``);
    const rows = options.split("\n").filter((line) => line.startsWith("| `"));
    const named = rows.flatMap((row) => [...(row.split(" | ")[0] ?? "").matchAll(/`([^`]+)`/g)].map(([, key]) => key));
    expect(overlayKeys).to.include.members(named);
  });

  it("names each setting, with its default", () => {
    for (const { name, fallback } of Object.values(overlaySettings)) {
      const row = section(readme, "## Settings of the plugin")
        .split("\n")
        .find((line) => line.startsWith(`| \`${name}\``));
      expect(row, name).to.include(fallback === "" ? "|" : `\`${fallback}\` |`);
      expect(section(page, "## Settings")).to.include(`\`${name}\``);
    }
  });

  it("has the numbers of the program", () => {
    expect(options).to.include(`1 to ${largestVni}, but for ${probeVni}`).and.include(`from ${firstChosenVni} up`);
    expect(options).to.include(`${overheadBytes.ipv4} less, ${overheadBytes.ipv6} if`);
    const changes = section(readme, "## What it changes on the host");
    expect(changes)
      .to.include(`table ${directRoutingTable}`)
      .and.match(new RegExp(`priority\\s+${directRulePriority}`));
    expect(changes).to.match(new RegExp(`protocol\\s+${directProtocol}`));
    expect(page).to.include(`begin at ${firstChosenVni}`);
  });
});
