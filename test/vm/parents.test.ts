import { expect } from "chai";
import { Namespace } from "../support/namespace.ts";
import { newName } from "../support/scratch.ts";

/** Makes the link t0 on p0. */
const kinds = [
  { kind: "dummy", words: "type dummy" },
  { kind: "vlan", words: "link p0 type vlan id 10", data: { protocol: "802.1Q", id: 10 } },
  { kind: "ipvlan", words: "link p0 type ipvlan mode l2", data: { mode: "l2", flags: ["bridge"] } },
  { kind: "ipvlan", words: "link p0 type ipvlan mode l3 private", data: { mode: "l3", flags: ["private"] } },
  { kind: "ipvlan", words: "link p0 type ipvlan mode l3s vepa", data: { mode: "l3s", flags: ["vepa"] } },
  { kind: "macvlan", words: "link p0 type macvlan mode vepa", data: { mode: "vepa" } },
];

describe("the kernel of the virtual machine", () => {
  let namespace: Namespace;

  before(async () => {
    namespace = await Namespace.create(newName(), "ip link add p0 type dummy && ip link set p0 up");
  });
  after(async () => {
    await namespace.kill();
  });

  for (const { kind, words, data } of kinds) {
    it(`makes links with "${words}"`, async () => {
      await namespace.sh(`ip link add name t0 ${words} && ip link set t0 up`);
      const [link] = await namespace.ip("link show dev t0");
      expect(link.linkinfo.info_kind).to.equal(kind);
      if (data) expect(link.linkinfo.info_data).to.deep.include(data);
      expect(link.flags).to.include("UP");
      await namespace.sh("ip link del t0");
    });
  }
});
