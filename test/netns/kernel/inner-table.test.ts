/** A table in a namespace of ours, of which the kernel has refused a change. */
import { execFileSync } from "node:child_process";
import { expect } from "chai";
import { DirectTable } from "../../../src/kernel/direct/direct-table.ts";
import { inNamespace } from "../../../src/kernel/netlink/in-namespace.ts";
import { Nft } from "../../../src/kernel/nft.ts";
import { VipNamespace } from "../../../src/kernel/vip-namespace.ts";
import { directTable } from "../../../src/plan/direct.ts";
import type { Elements } from "../../../src/plan/observed.ts";
import type { SetTable } from "../../../src/plan/op-overlay.ts";
import { vipElements, vipTable } from "../../../src/plan/vip-table.ts";
import { expectNoLeftovers, ip } from "../../support/netns.ts";
import { idOf } from "../../support/values.ts";

const name = "inner";
const path = `/run/netns/${name}`;
const inside = (command: string): string => ip(`netns exec ${name} ${command}`);
const tables = (): string => inside("nft list tables").trim();
const mac = (n: number): string => `02:42:0a:05:00:0${n}`;

/** While another program has made a table of that name its own, the kernel refuses whatever we do with it; with its end, the table goes. */
function whileTaken(table: string, work: () => void): void {
  const other = inNamespace(path, () => new Nft());
  try {
    other.run(`add table ${table}\ndelete table ${table}\ntable ${table} {\n flags owner\n }`);
    expect(work).to.throw("Operation not permitted");
  } finally {
    other.close();
  }
  expect(tables()).to.equal("");
}

describe("a table in a namespace, of which the kernel has refused a change,", () => {
  let opened: { close(): void };
  expectNoLeftovers(() => {
    opened.close();
    ip(`netns delete ${name}`);
  });
  beforeEach(() => void ip(`netns add ${name}`));

  describe("that of virtual IPs,", () => {
    const leadTo = (...slots: readonly string[]): SetTable => ({
      ...{ op: "set-table", table: vipTable },
      elements: vipElements(slots.length === 0 ? [] : [{ vip: "10.5.0.200", slots }], []),
    });
    const slots = (): string[] => inside("nft list map ip tsnet-vip slots").match(/(?<= : )10\.5\.[\d.]+/g) ?? [];
    let vips: VipNamespace;
    beforeEach(() => {
      vips = new VipNamespace(path, () => {});
      opened = vips;
      vips.setTable(leadTo("10.5.0.11"));
      expect(slots()).to.deep.equal(["10.5.0.11"]);
    });

    it("is whole again when the same is asked for once more", () => {
      whileTaken("ip tsnet-vip", () => vips.setTable(leadTo("10.5.0.12")));
      vips.setTable(leadTo("10.5.0.12"));
      expect(slots()).to.deep.equal(["10.5.0.12"]);
      expect(vips.repair()).to.deep.equal([]);
    });

    it("is gone when none is asked for once more, of an earlier process", () => {
      vips.close();
      vips = new VipNamespace(path, () => {});
      opened = vips;
      whileTaken("ip tsnet-vip", () => vips.setTable(leadTo()));
      inside("nft add table ip tsnet-vip");
      vips.setTable(leadTo());
      expect(tables()).to.equal("");
    });
  });

  describe("that of the short way,", () => {
    const table = directTable({ id: idOf("d1"), mac: "02:00:00:00:00:01" });
    const way = (n: number): Elements => ({ direct4: { [`${mac(n)} . 10.5.0.${n}`]: "" } });
    const ways = (): string[] => inside("nft list set bridge tsnet direct4").match(/10\.5\.[\d.]+/g) ?? [];
    let direct: DirectTable;
    beforeEach(() => {
      direct = new DirectTable(path);
      opened = direct;
    });

    it("is whole again with the next change", () => {
      direct.change({ op: "change-direct", table, remove: {}, add: way(1) });
      const before = inside("nft list table bridge tsnet");
      whileTaken("bridge tsnet", () => direct.change({ op: "change-direct", table, remove: {}, add: way(2) }));
      execFileSync("ip", ["netns", "exec", name, "nft", "-f", "-"], { input: before });
      direct.change({ op: "change-direct", table, remove: {}, add: way(3) });
      expect(ways()).to.deep.equal(["10.5.0.1", "10.5.0.2", "10.5.0.3"]);
      expect(direct.repair(true)).to.deep.equal([]);
    });
  });
});
