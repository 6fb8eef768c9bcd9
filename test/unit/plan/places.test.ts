import { expect } from "chai";
import { describeEntry, type Place, placeEntries } from "../../../src/plan/places.ts";

const place: Place = { mac: "02:42:0a:01:00:02", ips: ["10.1.0.2", "fd00::2"], port: "tsv-1", vtep: null };

describe("entries of a place", () => {
  it("are its port, and a neighbor for each address", () => {
    expect(placeEntries(place)).to.deep.equal([
      { table: "bridge", mac: place.mac, port: "tsv-1" },
      { table: "neighbor", ip: "10.1.0.2", mac: place.mac },
      { table: "neighbor", ip: "fd00::2", mac: place.mac },
    ]);
  });

  it("are the host that has it as well, if it is another", () => {
    const entries = placeEntries({ ...place, ips: [], port: "tsx-1", vtep: "192.0.2.7" });
    expect(entries).to.deep.equal([
      { table: "vxlan", mac: place.mac, vtep: "192.0.2.7" },
      { table: "bridge", mac: place.mac, port: "tsx-1" },
    ]);
  });

  it("have descriptions", () => {
    const remote = placeEntries({ ...place, ips: ["10.1.0.2"], vtep: "192.0.2.7" });
    expect([...remote, { table: "flood", vtep: "192.0.2.7" } as const].map(describeEntry)).to.deep.equal([
      "forwarding entry 02:42:0a:01:00:02 at host 192.0.2.7",
      "forwarding entry 02:42:0a:01:00:02 at port tsv-1",
      "neighbor 10.1.0.2 = 02:42:0a:01:00:02",
      "host 192.0.2.7 in the flood list",
    ]);
    expect(describeEntry({ table: "vxlan", mac: place.mac, vtep: "" })).to.include("at host of nobody");
  });
});
