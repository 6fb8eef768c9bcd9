import { expect } from "chai";
import { encodeEcho, internetChecksum, isEchoReply } from "../../../src/kernel/underlay/icmp.ts";

describe("ICMP echo", () => {
  it("has the checksum of RFC 1071", () => {
    // its own example: 00 01 f2 03 f4 f5 f6 f7, whose sum is ddf2
    expect(internetChecksum(Buffer.from("0001f203f4f5f6f7", "hex"))).to.equal(0xffff - 0xddf2);
    expect(internetChecksum(Buffer.from("0001f2", "hex"))).to.equal(0xffff - 0xf201);
  });

  it("is as long as it should be, and right", () => {
    const message = encodeEcho(4, 0x1234, 101);
    expect(message).to.have.length(101);
    expect(message.subarray(0, 2).toString("hex")).to.equal("0800");
    // RFC 1071: the sum over all of it is then 0
    expect(internetChecksum(message)).to.equal(0);
    expect(encodeEcho(6, 0x1234, 0).toString("hex")).to.equal("8000000012340000");
  });

  it("knows its answer behind an IP header of any length, and nothing else", () => {
    const reply = (type: number, id: number): Buffer => {
      const message = encodeEcho(4, id, 8);
      message.writeUInt8(type, 0);
      return message;
    };
    for (const words of [5, 8]) {
      const header = Buffer.alloc(words * 4);
      header.writeUInt8(0x40 | words, 0);
      const behind = (message: Buffer): Buffer => Buffer.concat([header, message]);
      expect(isEchoReply(4, behind(reply(0, 7)), 7)).to.equal(true);
      for (const other of [reply(0, 8), reply(8, 7), reply(3, 7), Buffer.alloc(3)]) {
        expect(isEchoReply(4, behind(other), 7)).to.equal(false);
      }
    }
    expect(isEchoReply(6, reply(129, 7), 7)).to.equal(true);
    expect(isEchoReply(6, reply(128, 7), 7)).to.equal(false);
  });
});
