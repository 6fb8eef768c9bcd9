import { execFileSync } from "node:child_process";
import { expect } from "chai";
import { Nft } from "../../../src/kernel/nft.ts";
import { NftEvents } from "../../../src/kernel/nft-events.ts";
import { NftTable } from "../../../src/kernel/nft-table.ts";
import { hostAccessTable } from "../../../src/plan/host-access-table.ts";
import { elementScript, planTable, removalScript, wholeTableScript } from "../../../src/plan/nft-script.ts";

const others = (command: string): unknown => execFileSync("nft", [command], { stdio: "pipe" });
const elements = {
  shims: { "tsh-1": "", "tsh-2": "" },
  reach: { "tsh-1 . 192.168.1.10": "", "tsh-2 . 192.168.1.11": "" },
  hosts: { "192.168.1.250": "" },
  at: { "tsh-1 . 192.168.1.250": "" },
};

describe("the table arp tsnet", () => {
  let nft: Nft;
  let table: NftTable;
  let events: NftEvents;
  let skeleton: string;
  const observe = () => table.observe("arp tsnet");
  beforeEach(() => {
    others("flush ruleset");
    nft = new Nft();
    table = new NftTable();
    nft.run(wholeTableScript(hostAccessTable, elements));
    skeleton = observe()?.skeleton ?? "";
    events = new NftEvents();
    events.ignore(nft.portId);
  });
  afterEach(() => {
    events.close();
    table.close();
    nft.close();
    others("flush ruleset");
  });

  it("is read as it was written, and is another than inet tsnet", () => {
    expect(observe()?.elements).to.deep.equal(elements);
    expect(table.observe("inet tsnet")).to.equal(undefined);
    nft.run(elementScript(hostAccessTable, { remove: [["shims", "tsh-2", ""]], add: [["hosts", "192.168.1.9", ""]] }));
    expect(observe()?.elements).to.deep.include({ shims: { "tsh-1": "" } });
    expect(Object.keys(observe()?.elements["hosts"] ?? {})).to.have.members(["192.168.1.250", "192.168.1.9"]);
    nft.run(removalScript(hostAccessTable));
    expect(observe()).to.equal(undefined);
  });

  for (const change of [
    "flush ruleset",
    "flush chain arp tsnet input",
    "insert rule arp tsnet input accept",
    'delete element arp tsnet shims { "tsh-1" }',
    'add element arp tsnet reach { "tsh-1" . 192.168.1.99 }',
    "add chain arp tsnet mine { type filter hook input priority -1; }",
  ]) {
    it(`tells of this change of somebody's, and is repaired: ${change}`, () => {
      others(change);
      expect(events.read()).to.deep.equal({ firewall: true, forward: false, everything: false });
      nft.run(planTable(hostAccessTable, elements, observe(), skeleton) ?? "");
      expect(observe()).to.deep.equal({ skeleton, elements });
      expect(planTable(hostAccessTable, elements, observe(), skeleton)).to.equal(undefined);
      expect(events.read().firewall, "our own").to.equal(false);
    });
  }

  it("is not the table of that name in another family, nor another one in its own", () => {
    others("add table ip tsnet; add table arp filter; add chain arp filter FORWARD; delete table ip tsnet");
    expect(events.read()).to.deep.equal({ firewall: false, forward: false, everything: false });
  });
});
