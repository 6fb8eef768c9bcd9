import { expect } from "chai";
import { Comparison, type Difference } from "../../../src/kernel/entry-comparison.ts";
import { EntryIndex, encodeEntry, type Where, wantedOf } from "../../../src/kernel/entry-index.ts";
import { putRequest } from "../../../src/kernel/entry-requests.ts";
import { encodeMessage } from "../../../src/kernel/netlink/codec.ts";
import { nda } from "../../../src/kernel/netlink/constants.ts";
import type { Entry, Place } from "../../../src/plan/places.ts";

const links = new Map([
  ["bridge", 2],
  ["vxlan", 3],
  ["tsv-1", 4],
]);
const where: Where = {
  ...{ bridge: 2, vxlan: 3, port: (name) => links.get(name) },
  name: (index) => [...links].find(([, one]) => one === index)?.[0] ?? `${index}`,
};

const place: Place = { mac: "02:00:00:00:00:01", ips: ["10.1.0.2", "fd00::2"], port: "vxlan", vtep: "192.0.2.7" };
const tables = ["bridge", "vxlan", "flood", "neighbor"] as const;

/** The message by which the kernel would tell of the entry. */
function messageOf(entry: Entry): Buffer {
  const { attributes, ...request } = putRequest(encodeEntry(entry), where);
  const master = entry.table === "bridge" ? [[nda.master, Uint8Array.of(2, 0, 0, 0)] as const] : [];
  return encodeMessage({ ...request, attributes: [...attributes, ...master] }, 1).subarray(16);
}

const all: readonly Entry[] = [
  { table: "vxlan", mac: place.mac, vtep: "192.0.2.7" },
  { table: "bridge", mac: place.mac, port: "vxlan" },
  { table: "neighbor", ip: "10.1.0.2", mac: place.mac },
  { table: "neighbor", ip: "fd00::2", mac: place.mac },
  { table: "flood", vtep: "192.0.2.8" },
];

describe("the comparison of forwarding entries", () => {
  let index: EntryIndex;
  let comparison: Comparison;
  beforeEach(() => {
    index = new EntryIndex();
    for (const one of [...wantedOf(place), encodeEntry({ table: "flood", vtep: "192.0.2.8" })]) index.put(one);
    comparison = new Comparison(index, where);
    comparison.begin(tables);
  });
  const show = (entries: readonly Entry[]): void => {
    for (const entry of entries) comparison.see(messageOf(entry));
  };
  const reasons = (): string[] => comparison.end().map(({ reason }) => reason);

  it("finds nothing where all is there", () => {
    show(all);
    expect(reasons()).to.deep.equal([]);
  });

  for (const [n, entry] of all.entries()) {
    it(`finds that the ${entry.table} entry ${n} is gone`, () => {
      show(all.filter((one) => one !== entry));
      const [{ remove, put }, ...others] = comparison.end() as [Difference, ...Difference[]];
      expect(others).to.deep.equal([]);
      expect({ remove, table: put?.table }).to.deep.equal({ remove: null, table: entry.table });
      expect(reasons()[0]).to.match(/ is gone$/);
    });
  }

  it("finds what leads elsewhere, and what is nobody's", () => {
    show(all.slice(4));
    show([
      { table: "vxlan", mac: place.mac, vtep: "192.0.2.9" },
      { table: "bridge", mac: place.mac, port: "tsv-1" },
      { table: "neighbor", ip: "10.1.0.2", mac: "02:00:00:00:00:09" },
      { table: "neighbor", ip: "fd00::2", mac: place.mac },
      { table: "flood", vtep: "192.0.2.9" },
    ]);
    expect(reasons()).to.deep.equal([
      "forwarding entry 02:00:00:00:00:01 at host 192.0.2.9 should be forwarding entry 02:00:00:00:00:01 at host 192.0.2.7",
      "forwarding entry 02:00:00:00:00:01 at port tsv-1 should be forwarding entry 02:00:00:00:00:01 at port vxlan",
      "neighbor 10.1.0.2 = 02:00:00:00:00:09 should be neighbor 10.1.0.2 = 02:00:00:00:00:01",
      "host 192.0.2.9 in the flood list is nobody's",
    ]);
  });

  it("begins anew when it is told to, table by table", () => {
    show(all);
    comparison.begin(["neighbor"]);
    expect(reasons()).to.deep.equal([
      "neighbor 10.1.0.2 = 02:00:00:00:00:01 is gone",
      "neighbor fd00::2 = 02:00:00:00:00:01 is gone",
    ]);
    show([{ table: "neighbor", ip: "10.1.0.9", mac: place.mac }]);
    comparison.begin(["neighbor"]);
    show(all.slice(2, 4));
    expect(reasons()).to.deep.equal([]);
  });

  it("says nothing of what was put or deleted meanwhile", () => {
    show(all.slice(1));
    index.put(encodeEntry({ table: "neighbor", ip: "10.1.0.7", mac: place.mac }));
    index.delete(encodeEntry(all[0] as Entry));
    index.delete(encodeEntry(all[2] as Entry));
    expect(reasons()).to.deep.equal([]);
  });

  it("says nothing of an entry whose port is gone with its container", () => {
    show(all);
    index.put(encodeEntry({ table: "bridge", mac: "02:00:00:00:00:02", port: "tsv-2" }));
    comparison = new Comparison(index, where);
    comparison.begin(tables);
    show(all);
    expect(reasons()).to.deep.equal([]);
  });

  it("says nothing of learned entries, of other VLANs, and of links' own addresses", () => {
    show(all);
    const bridge = messageOf({ table: "bridge", mac: "02:00:00:00:00:05", port: "tsv-1" });
    for (const state of [0x02, 0x80]) {
      const other = Buffer.from(bridge);
      other.writeUInt16LE(state, 8);
      comparison.see(other);
    }
    expect(reasons()).to.deep.equal([]);
    comparison.see(bridge);
    expect(reasons()).to.have.length(1);
  });
});
