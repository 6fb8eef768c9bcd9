import { expect } from "chai";
import { differencesOf } from "../../../src/plan/fact-differences.ts";
import type { HostFacts } from "../../../src/plan/host-facts.ts";

const own: HostFacts = { name: "one", version: "0.2.0", settings: { TSNET_SCOPE: "global", TSNET_VXLAN_PORT: "4789" } };
const others = (...all: Partial<HostFacts>[]): ReadonlyMap<string, HostFacts> =>
  new Map(all.map((facts, n) => [`10.0.0.${n + 2}`, { ...own, name: `web-${n + 2}`, ...facts }]));
const host = (n: number) => ({ address: `10.0.0.${n}`, name: `web-${n}` });

describe("what differs between hosts", () => {
  it("is nothing where all is the same, or nobody has told anything", () => {
    expect(differencesOf(own, others({}, {}))).to.deep.equal([]);
    expect(differencesOf(own, new Map())).to.deep.equal([]);
  });

  it("is one thing for all hosts that have it alike, the version first", () => {
    const local = { settings: { ...own.settings, TSNET_SCOPE: "local" } };
    const found = differencesOf(
      own,
      others({ version: "0.1.0" }, local, { version: "0.1.0", ...local }, { version: "0.3.0" }),
    );
    expect(found).to.deep.equal([
      { what: "version", own: "0.2.0", theirs: "0.1.0", hosts: [host(2), host(4)] },
      { what: "version", own: "0.2.0", theirs: "0.3.0", hosts: [host(5)] },
      { what: "TSNET_SCOPE", own: "global", theirs: "local", hosts: [host(3), host(4)] },
    ]);
  });

  it("is not what only one of two tells, as another version does", () => {
    expect(
      differencesOf(own, others({ settings: {} }, { settings: { ...own.settings, TSNET_NEW: "x" } })),
    ).to.deep.equal([]);
    const odd: HostFacts = { ...own, settings: { constructor: "x" } };
    expect(differencesOf(odd, others({ settings: {} }))).to.deep.equal([]);
  });
});
