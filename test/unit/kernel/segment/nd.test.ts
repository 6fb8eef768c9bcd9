import { expect } from "chai";
import fc from "fast-check";
import { nd } from "../../../../src/kernel/segment/nd.ts";

const mac = "02:42:c0:a8:01:0a";
const address = Buffer.from("fd000000000000000000000000000010", "hex");
const key = address.toString("hex");
const hex = (frame: Uint8Array): string => Buffer.from(frame).toString("hex");
const bytesOf = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

/** As the kernel sends them when an address comes to a link: the detection of duplicates, without and with a nonce (RFC 7527). */
const probe = bytesOf(
  `3333ff000010 0242c0a8010a 86dd 60000000 0018 3aff ${"0".repeat(32)} ff0200000000000000000001ff000010
   87007d87 00000000 ${key}`.replaceAll("\n", ""),
);
const probeWithNonce = bytesOf(
  `3333ff000010 0242c0a8010a 86dd 60000000 0020 3aff ${"0".repeat(32)} ff0200000000000000000001ff000010
   87001660 00000000 ${key} 0e01f086a65fc237`.replaceAll("\n", ""),
);
/** As the kernel sends it with net.ipv6.conf.*.ndisc_notify=1. */
const announcement = bytesOf(
  `333300000001 0242c0a8010a 86dd 60000000 0020 3aff ${key} ff020000000000000000000000000001
   88009889 20000000 ${key} 02010242c0a8010a`.replaceAll("\n", ""),
);

/** The frame with these bytes at an offset. */
const patched = (frame: Buffer, offset: number, text: string): Buffer => {
  const copy = Buffer.from(frame);
  copy.set(bytesOf(text), offset);
  return copy;
};

/** An announcement whose option is another: a change of 16 bits, and the opposite change of the checksum. */
const withOption = (option: string): Buffer =>
  patched(
    patched(announcement, 78, option),
    56,
    ((0x9889 + 0x0201 - Number.parseInt(option, 16) + 0xffff) % 0xffff).toString(16).padStart(4, "0"),
  );

describe("frames of neighbor discovery", () => {
  it("ask as the kernel does", () => {
    expect(hex(nd.encodeProbe(mac, address))).to.equal(hex(probe));
  });

  it("announce an address as the kernel does", () => {
    expect(hex(nd.encodeAnnouncement(mac, address))).to.equal(hex(announcement));
  });

  it("say who asks whether it may take an address, with and without a nonce", () => {
    const asked = [{ address: key, mac, isProbe: true }];
    expect(nd.decode(probe)).to.deep.equal(asked);
    expect(nd.decode(probeWithNonce)).to.deep.equal(asked);
    expect(nd.decode(Buffer.concat([probe, Buffer.alloc(8, 0xff)]))).to.deep.equal(asked);
  });

  it("say who has an address: the target of an advertisement, and whoever sends", () => {
    const held = { address: key, mac, isProbe: false };
    expect(nd.decode(announcement)).to.deep.equal([held, held]);
    const byOther = patched(announcement, 6, "0242c0a80163");
    expect(nd.decode(byOther)).to.deep.equal([held, { ...held, mac: "02:42:c0:a8:01:63" }]);
  });

  it("say it by the sender of the frame where an advertisement has no MAC address", () => {
    expect(nd.decode(patched(withOption("0301"), 6, "0242c0a80163"))[0]).to.include({ mac: "02:42:c0:a8:01:63" });
  });

  it("end where an option has no length", () => {
    expect(nd.decode(patched(withOption("0300"), 6, "0242c0a80163"))[0]).to.include({ mac: "02:42:c0:a8:01:63" });
  });

  for (const [what, frame] of [
    ["a frame that is cut off", announcement.subarray(0, 85)],
    ["one that is shorter than its header", announcement.subarray(0, 60)],
    ["another Ethernet type", patched(announcement, 12, "8100")],
    ["another version of IP", patched(announcement, 14, "40")],
    ["another protocol than ICMPv6", patched(announcement, 20, "11")],
    ["what came through a router", patched(announcement, 21, "fe")],
    ["a router's message", patched(patched(announcement, 54, "86"), 56, "9a89")],
    ["another code", patched(patched(announcement, 55, "01"), 56, "9888")],
    ["a wrong checksum", patched(announcement, 56, "9888")],
    ["a length that is too short", patched(announcement, 18, "0010")],
    ["a length that is too long", patched(announcement, 18, "0030")],
  ] as const) {
    it(`take no notice of ${what}`, () => {
      expect(nd.decode(frame)).to.deep.equal([]);
    });
  }

  it("go to the groups of all nodes and of the address", () => {
    expect(nd.groupsOf(address).map(hex)).to.deep.equal(["333300000001", "3333ff000010"]);
  });

  it("are decoded as they were encoded, and whatever else comes is taken", () => {
    const macs = fc
      .uint8Array({ minLength: 6, maxLength: 6 })
      .map((bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":"));
    const addresses = fc
      .uint8Array({ minLength: 16, maxLength: 16 })
      .filter((bytes) => bytes.some((byte) => byte !== 0));
    fc.assert(
      fc.property(macs, addresses, (mac, address) => {
        const said = { address: hex(address), mac };
        expect(nd.decode(nd.encodeProbe(mac, address))).to.deep.equal([{ ...said, isProbe: true }]);
        const held = { ...said, isProbe: false };
        expect(nd.decode(nd.encodeAnnouncement(mac, address))).to.deep.equal([held, held]);
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat({ max: announcement.length }), (bytes, kept) => {
        expect(nd.decode(Buffer.concat([announcement.subarray(0, kept), bytes])).length).to.be.at.most(2);
      }),
    );
  });
});
