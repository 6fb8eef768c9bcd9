import { expect } from "chai";
import fc from "fast-check";
import { parseConfig, sharedSettings } from "../../../src/config.ts";
import {
  decodeAnswer,
  decodeQuestion,
  encodeAnswer,
  encodeQuestion,
  nonceBytes,
  questionBytes,
} from "../../../src/plan/facts-message.ts";
import { factsBytes, formatFacts, type HostFacts, parseFacts } from "../../../src/plan/host-facts.ts";
import { ownVersion } from "../../../src/version.ts";

const facts: HostFacts = {
  ...{ name: "web-2", version: "0.2.0-rc.1+b7" },
  settings: { TSNET_SCOPE: "global", TSNET_ETCD_ENDPOINTS: "not set" },
};
const textOf = (change: object): string => JSON.stringify({ format: 1, ...facts, ...change });

describe("what a host tells of itself", () => {
  it("is understood as it was meant", () => {
    expect(parseFacts(formatFacts(facts))).to.deep.equal(facts);
  });

  it("fits in whatever the host is called and however it is set, and has no secret in it", async () => {
    const environment = {
      ...{ TSNET_SCOPE: "global", TSNET_VXLAN_PORT: "65535", TSNET_REQUIRES_MAC_ADDRESS: "false" },
      ...{ TSNET_ETCD_ENDPOINTS: "https://10.0.0.1:2379", TSNET_ETCD_USER: "root:secret" },
    };
    const settings = sharedSettings(parseConfig(environment));
    expect(settings).to.deep.equal({
      ...{ TSNET_SCOPE: "global", TSNET_VXLAN_PORT: "65535", TSNET_REQUIRES_MAC_ADDRESS: "false" },
      ...{ TSNET_DOCKER_SOCKET: "set", TSNET_ETCD_ENDPOINTS: "set" },
    });
    const longest = { name: "n".repeat(63), version: await ownVersion(), settings };
    expect(parseFacts(formatFacts(longest))).to.deep.equal(longest);
    const none = sharedSettings(parseConfig({ TSNET_DOCKER_SOCKET: "none" }));
    expect(none).to.include({ TSNET_DOCKER_SOCKET: "none", TSNET_ETCD_ENDPOINTS: "not set", TSNET_SCOPE: "local" });
  });

  it("has no name of characters that names of hosts do not have", () => {
    for (const name of ["", "web 2", "\u001b[31mweb", "ü", "n".repeat(64), "-web"])
      expect(parseFacts(formatFacts({ ...facts, name }))?.name).to.equal("");
  });

  it("is not told where it is none that others would understand", () => {
    const settings = Object.fromEntries(
      Array.from({ length: 12 }, (_, n) => [`TSNET_${"AB"[n % 2]?.repeat(n + 1)}`, "x".repeat(30)]),
    );
    expect(() => formatFacts({ ...facts, settings })).to.throw(RangeError);
    expect(() => formatFacts({ ...facts, version: "" })).to.throw(RangeError);
  });

  it("has name and version alone in a format that is not known", () => {
    const later = { format: 2, settings: ["anything"] };
    expect(parseFacts(textOf(later))).to.deep.equal({ ...facts, settings: {} });
  });

  const refused: readonly string[] = [
    ...["", "null", "[]", "1", '"text"', "{", `${textOf({})}}`, textOf({}).replace("}", "\u0000}")],
    ...[{ format: "1" }, { format: 1.5 }, { version: 1 }, { version: "0.1\u001b[0m" }, { version: "v".repeat(33) }].map(
      textOf,
    ),
    ...[{ name: null }, { name: "a b" }, { name: "a\nb" }, { settings: null }, { settings: [] }, { settings: "x" }].map(
      textOf,
    ),
    ...[{ PATH: "x" }, { TSNET_A: 1 }, { TSNET_A: "" }, { TSNET_A: "a\u0007b" }, { TSNET_A: "x".repeat(33) }].map(
      (settings) => textOf({ settings }),
    ),
    textOf({ settings: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`TSNET_${"A".repeat(n + 1)}`, "x"])) }),
    textOf({ more: "x".repeat(factsBytes) }),
    '{"format":1,"name":"a","version":"1","settings":{"__proto__":{"TSNET_SCOPE":"x"}}}',
  ];
  for (const [n, text] of refused.entries()) {
    it(`is not believed: ${JSON.stringify(text.slice(0, 60))} (${n})`, () => {
      expect(parseFacts(text)).to.equal(undefined);
    });
  }

  it("is nothing but short texts of printable characters, whatever comes", () => {
    const words = fc.oneof(fc.string(), fc.string({ unit: "binary" }));
    const value = fc.oneof(words, fc.jsonValue());
    const some = fc.record(
      {
        format: fc.constantFrom(1, 2, "1"),
        name: value,
        version: value,
        settings: fc.dictionary(words, value),
      },
      { requiredKeys: [] },
    );
    const texts = fc.oneof(
      fc.string(),
      fc.json(),
      some.map((told) => JSON.stringify({ ...facts, ...told })),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const told = parseFacts(text);
        for (const word of told ? [told.name, told.version, ...Object.entries(told.settings).flat()] : [])
          expect(word).to.match(/^[\x20-\x7e]{0,63}$/);
      }),
    );
  });
});

describe("a question to a host, and its answer", () => {
  const nonce = Uint8Array.from({ length: nonceBytes }, (_, n) => n);
  const question = encodeQuestion(nonce);
  const answer = encodeAnswer(nonce, formatFacts(facts));

  it("belong together by the nonce, which is a copy", () => {
    const received = Buffer.from(question);
    const found = decodeQuestion(received);
    received.fill(0xff);
    expect(found).to.deep.equal(nonce);
    expect(decodeAnswer(answer)).to.deep.equal({ nonce, facts });
  });

  it("are not mistaken for each other, so that two hosts that answer do not talk for ever", () => {
    expect(decodeQuestion(encodeAnswer(nonce, formatFacts(facts).padEnd(questionBytes)))).to.equal(undefined);
    expect(decodeAnswer(question)).to.equal(undefined);
  });

  it("are of no use when they are too short or of another kind; an answer never is as long as its question", () => {
    for (let length = 0; length < questionBytes; length++)
      expect(decodeQuestion(question.subarray(0, length))).to.equal(undefined);
    for (let length = 0; length < answer.length; length++)
      expect(decodeAnswer(answer.subarray(0, length))).to.equal(undefined);
    expect(decodeQuestion(Uint8Array.from(question, (byte, n) => (n === 7 ? byte + 1 : byte)))).to.equal(undefined);
    const longest = encodeAnswer(nonce, "x".repeat(factsBytes));
    expect(longest.length).to.be.below(questionBytes);
  });

  it("are nothing when they are anything", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
        expect(decodeQuestion(bytes)).to.equal(undefined);
        expect(decodeAnswer(bytes)).to.equal(undefined);
        const told = decodeAnswer(Buffer.concat([answer.subarray(0, 24), bytes]));
        expect(told).to.equal(undefined);
      }),
    );
  });
});
