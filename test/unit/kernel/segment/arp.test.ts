import { expect } from "chai";
import fc from "fast-check";
import { arp } from "../../../../src/kernel/segment/arp.ts";

const mac = "02:42:c0:a8:01:0a";
const address = Uint8Array.of(192, 168, 1, 10);
const hex = (frame: Uint8Array): string => Buffer.from(frame).toString("hex");
const bytesOf = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

/** As the kernel sends it when a link with net.ipv4.conf.*.arp_notify=1 comes up, captured by tcpdump. */
const gratuitous = bytesOf(
  "ffffffffffff 0242c0a8010a 0806 0001 0800 0604 0001 0242c0a8010a c0a8010a 000000000000 c0a8010a",
);
const reply = bytesOf("0242c0a8010a 0242c0a80163 0806 0001 0800 0604 0002 0242c0a80163 c0a8010a 0242c0a8010a 00000000");

/** The frame with these bytes at an offset. */
const patched = (frame: Buffer, offset: number, text: string): Buffer => {
  const copy = Buffer.from(frame);
  copy.set(bytesOf(text), offset);
  return copy;
};

describe("ARP frames", () => {
  it("announce an address as the kernel does", () => {
    expect(hex(arp.encodeAnnouncement(mac, address))).to.equal(hex(gratuitous));
  });

  it("ask without a sender, so that no cache changes", () => {
    expect(hex(arp.encodeProbe(mac, address))).to.equal(hex(patched(gratuitous, 28, "00000000")));
  });

  it("say who has an address: requests, replies, with padding behind them", () => {
    const held = { address: "c0a8010a", mac, isProbe: false };
    expect(arp.decode(gratuitous)).to.deep.equal([held]);
    expect(arp.decode(reply)).to.deep.equal([{ ...held, mac: "02:42:c0:a8:01:63" }]);
    expect(arp.decode(Buffer.concat([reply, Buffer.alloc(18, 0xff)]))).to.deep.equal(arp.decode(reply));
  });

  it("say who asks whether it may take an address", () => {
    expect(arp.decode(arp.encodeProbe(mac, address))).to.deep.equal([{ address: "c0a8010a", mac, isProbe: true }]);
  });

  for (const [what, frame] of [
    ["a reply of nobody", patched(reply, 28, "00000000")],
    ["a frame that is cut off", reply.subarray(0, 41)],
    ["another Ethernet type", patched(reply, 12, "8100")],
    ["hardware that is not Ethernet", patched(reply, 14, "0006")],
    ["another protocol than IPv4", patched(reply, 16, "86dd")],
    ["other lengths of addresses", patched(reply, 18, "0810")],
    ["RARP", patched(reply, 20, "0003")],
  ] as const) {
    it(`take no notice of ${what}`, () => {
      expect(arp.decode(frame)).to.deep.equal([]);
    });
  }

  it("are decoded as they were encoded, and whatever else comes is taken", () => {
    const macs = fc
      .uint8Array({ minLength: 6, maxLength: 6 })
      .map((bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":"));
    const addresses = fc.uint8Array({ minLength: 4, maxLength: 4 }).filter((bytes) => bytes.some((byte) => byte !== 0));
    fc.assert(
      fc.property(macs, addresses, (mac, address) => {
        const said = { address: hex(address), mac };
        expect(arp.decode(arp.encodeProbe(mac, address))).to.deep.equal([{ ...said, isProbe: true }]);
        expect(arp.decode(arp.encodeAnnouncement(mac, address))).to.deep.equal([{ ...said, isProbe: false }]);
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        expect(arp.decode(Buffer.concat([gratuitous.subarray(0, 14), bytes])).length).to.be.at.most(1);
      }),
    );
  });
});
