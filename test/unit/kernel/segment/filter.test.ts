import { expect } from "chai";
import fc from "fast-check";
import { arp } from "../../../../src/kernel/segment/arp.ts";
import { nd } from "../../../../src/kernel/segment/nd.ts";
import type { SegmentProtocol } from "../../../../src/kernel/segment/protocol.ts";

/** PACKET_… of include/uapi/linux/if_packet.h. */
const kinds = { host: 0, broadcast: 1, multicast: 2, otherHost: 3, outgoing: 4 };

/** Where the kernel answers what kind of a packet it is. */
const kindOffset = 0xfffff004;

/** What the kernel does with a program of classic BPF, as far as ours go: whether the frame passes. */
function passes(program: Uint8Array, frame: Buffer, kind: number): boolean {
  const view = new DataView(program.buffer, program.byteOffset, program.length);
  let accumulator = 0;
  for (let n = 0; ; n += 8) {
    const [code, value] = [view.getUint16(n, true), view.getUint32(n + 4, true)];
    const skip = (isSo: boolean): number => view.getUint8(n + (isSo ? 2 : 3)) * 8;
    if (code === 0x06) return value > 0;
    if (code === 0x15) n += skip(accumulator === value);
    else if (code === 0x25) n += skip(accumulator > value);
    else if (value === kindOffset) accumulator = kind;
    else if (value + (code === 0x20 ? 4 : 1) > frame.length) return false;
    else accumulator = code === 0x20 ? frame.readUInt32BE(value) : frame.readUInt8(value);
  }
}

const macs = ["02:42:c0:a8:01:0a", "02:42:c0:a8:01:0b"] as const;
const v4 = (last: number): Buffer => Buffer.from([192, 168, 1, last]);
const v6 = (last: number): Buffer => Buffer.from(`fd${"0".repeat(28)}${last.toString(16).padStart(2, "0")}`, "hex");

for (const [name, protocol, addressOf] of [
  ["ARP", arp, v4],
  ["neighbor discovery", nd, v6],
] as const satisfies readonly (readonly [string, SegmentProtocol, (last: number) => Buffer])[]) {
  describe(`the filter of ${name}`, () => {
    const program = protocol.filterFor([addressOf(10), addressOf(11)]);
    const about = (last: number): Buffer[] => [
      protocol.encodeProbe(macs[0], addressOf(last)),
      protocol.encodeAnnouncement(macs[1], addressOf(last)),
    ];

    it("lets through what is about one of the addresses, and nothing about others", () => {
      for (const frame of [...about(10), ...about(11)]) expect(passes(program, frame, kinds.broadcast)).to.equal(true);
      for (const frame of about(12)) expect(passes(program, frame, kinds.broadcast)).to.equal(false);
    });

    it("drops what was sent here, and what is for others or another VLAN", () => {
      for (const [kind, isFor] of [
        [kinds.host, true],
        [kinds.multicast, true],
        [kinds.otherHost, false],
        [kinds.outgoing, false],
      ] as const) {
        for (const frame of about(10)) expect(passes(program, frame, kind)).to.equal(isFor);
      }
    });

    it("drops everything while nothing is asked for", () => {
      for (const frame of about(10)) expect(passes(protocol.filterFor([]), frame, kinds.broadcast)).to.equal(false);
    });

    it("lets everything of its kind through when there are too many addresses to be told apart", () => {
      const many = protocol.filterFor(Array.from({ length: 65 }, (_, n) => addressOf(n)));
      for (const frame of about(200)) expect(passes(many, frame, kinds.broadcast)).to.equal(true);
      expect(passes(many, about(1)[0] as Buffer, kinds.outgoing)).to.equal(false);
      expect(many.length).to.be.lessThan(200);
    });

    it("drops no frame, cut off or changed, that says something about the address", () => {
      const frames = fc.constantFrom(...about(10));
      fc.assert(
        fc.property(
          frames,
          fc.nat({ max: 90 }),
          fc.nat({ max: 90 }),
          fc.nat({ max: 255 }),
          (whole, length, at, byte) => {
            const frame = Buffer.from(whole.subarray(0, length));
            if (at < frame.length) frame[at] = byte;
            const said = protocol.decode(frame).some(({ address }) => address === addressOf(10).toString("hex"));
            if (said) expect(passes(program, frame, kinds.broadcast)).to.equal(true);
          },
        ),
      );
    });
  });
}

describe("the filter of neighbor discovery", () => {
  it("drops every other packet of IPv6, also from and to the address", () => {
    const program = nd.filterFor([v6(10)]);
    const frame = nd.encodeAnnouncement(macs[0], v6(10));
    for (const [at, byte] of [
      [20, 6],
      [54, 134],
      [54, 137],
    ] as const) {
      const other = Buffer.from(frame);
      other[at] = byte;
      expect(passes(program, other, kinds.multicast)).to.equal(false);
    }
  });
});
