import { expect } from "chai";
import { Namespace } from "../support/namespace.ts";
import { newName } from "../support/scratch.ts";

/** What `ip link add name t0 WORDS` makes, where p0 is a parent. */
const links = [
  { words: "type dummy", kind: "dummy", data: {} },
  { words: "link p0 type vlan id 10", kind: "vlan", data: { protocol: "802.1Q", id: 10 } },
  { words: "link p0 type ipvlan mode l2", kind: "ipvlan", data: { mode: "l2", bridge: true } },
  { words: "link p0 type ipvlan mode l3 private", kind: "ipvlan", data: { mode: "l3", private: true } },
  { words: "link p0 type ipvlan mode l3s vepa", kind: "ipvlan", data: { mode: "l3s", vepa: true } },
  { words: "link p0 type macvlan mode vepa", kind: "macvlan", data: { mode: "vepa" } },
];

/** Other tests of this ring rely on it: where one of these fails, theirs say nothing about tsnet. */
describe("the kernel of the virtual machine", () => {
  let namespace: Namespace;

  beforeEach(async () => {
    namespace = await Namespace.create(newName(), "ip link add p0 type dummy && ip link set p0 up");
  });
  afterEach(() => namespace.kill());

  for (const { words, kind, data } of links) {
    it(`makes links by "${words}"`, async () => {
      await namespace.exec(`ip link add name t0 ${words} && ip link set t0 up`);
      const [link] = await namespace.ip("link show dev t0");
      expect(link.linkinfo.info_kind).to.equal(kind);
      expect(link.linkinfo.info_data ?? {}).to.include(data);
      expect(link.flags).to.include("UP");
    });
  }
});
