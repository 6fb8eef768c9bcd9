import { expect } from "chai";
import { parseFirewall } from "../../../src/kernel/nft-json.ts";

const listing = (...objects: readonly object[]): string =>
  JSON.stringify({ nftables: [{ metainfo: { version: "1.0.6" } }, ...objects] });

/** The keys and data of one set or map, as a listing with these elements gives them. */
const elementsOf = (kind: "set" | "map", type: unknown, elem: unknown[]): unknown => {
  const map = kind === "map" ? { map: "verdict" } : {};
  return parseFirewall(listing({ [kind]: { name: "it", type, ...map, handle: 3, elem } })).elements["it"];
};

describe("nft-json: elements", () => {
  it("writes single values, prefixes and ranges", () => {
    const elem = ["10.9.9.9", { prefix: { addr: "10.0.0.0", len: 25 } }, { range: ["10.7.0.0", "10.7.0.9"] }];
    expect(elementsOf("set", "ipv4_addr", elem)).to.deep.equal({
      "10.9.9.9": "",
      "10.0.0.0/25": "",
      "10.7.0.0-10.7.0.9": "",
    });
  });

  it("keeps an interface whose name is a number, as the name it is", () => {
    expect(elementsOf("set", "ifname", ["6", "br-x.y"])).to.deep.equal({ "6": "", "br-x.y": "" });
  });

  it("names protocols by their place, and leaves equal numbers in other places alone", () => {
    const elem = [{ concat: ["10.0.0.1", 6, 17] }, { concat: ["10.0.0.1", 132, { range: [8000, 8010] }] }];
    expect(elementsOf("set", ["ipv4_addr", "inet_proto", "inet_service"], elem)).to.deep.equal({
      "10.0.0.1 . tcp . 17": "",
      "10.0.0.1 . sctp . 8000-8010": "",
    });
  });

  it("leaves a protocol without a name as a number, which nft reads", () => {
    expect(elementsOf("set", ["inet_proto", "inet_service"], [{ concat: [253, 80] }])).to.deep.equal({
      "253 . 80": "",
    });
  });

  it("reads protocols that are names already", () => {
    expect(elementsOf("set", ["inet_proto", "inet_service"], [{ concat: ["udp", 53] }])).to.deep.equal({
      "udp . 53": "",
    });
  });

  it("looks through counters, and keeps none", () => {
    const counted = { elem: { val: { concat: [6, 8080] }, counter: { packets: 5, bytes: 300 } } };
    const elem = [[counted, { concat: ["172.18.0.2", 80] }]];
    expect(elementsOf("map", ["inet_proto", "inet_service"], elem)).to.deep.equal({ "tcp . 8080": "172.18.0.2 . 80" });
  });

  it("writes verdicts", () => {
    const elem = [
      [{ concat: ["a", "a"] }, { goto: { target: "pass" } }],
      [{ concat: ["b", "b"] }, { drop: null }],
      [{ concat: ["c", "c"] }, { jump: { target: "count" } }],
      ["d", { accept: null }],
    ];
    expect(elementsOf("map", ["ifname", "ifname"], elem)).to.deep.equal({
      "a . a": "goto pass",
      "b . b": "drop",
      "c . c": "jump count",
      d: "accept",
    });
  });

  it("lists a set without elements, empty", () => {
    expect(parseFirewall(listing({ set: { name: "bridges", type: "ifname" } })).elements).to.deep.equal({
      bridges: {},
    });
  });
});

describe("nft-json: skeleton", () => {
  const chain = (name: string, handle: number): object => ({ chain: { table: "tsnet", name, handle } });
  const rule = (inChain: string, handle: number, ...expr: object[]): object => ({
    rule: { table: "tsnet", chain: inChain, handle, expr },
  });
  const drop = { drop: null };
  const accept = { accept: null };
  const skeleton = (...objects: object[]): string => parseFirewall(listing(...objects)).skeleton;

  it("does not depend on handles, counted packets, elements, nor on the order of definitions", () => {
    const counted = (packets: number): object => ({ counter: { packets, bytes: 7 } });
    const one = skeleton(chain("a", 1), chain("b", 2), rule("a", 3, counted(1), drop), {
      set: { name: "s", elem: ["x"] },
    });
    const two = skeleton({ set: { name: "s" } }, chain("b", 8), rule("a", 4, counted(9), drop), chain("a", 9));
    expect(one).to.equal(two);
  });

  it("depends on the order of the rules of a chain", () => {
    expect(skeleton(rule("a", 1, drop), rule("a", 2, accept))).not.to.equal(
      skeleton(rule("a", 1, accept), rule("a", 2, drop)),
    );
  });

  it("does not depend on the order of the rules of different chains", () => {
    expect(skeleton(rule("a", 1, drop), rule("b", 2, accept))).to.equal(
      skeleton(rule("b", 1, accept), rule("a", 2, drop)),
    );
  });

  it("depends on a hook's policy, a set's flags, and whatever else stands in the table", () => {
    const policy = (value: string): string => skeleton({ chain: { name: "a", hook: "forward", policy: value } });
    expect(policy("accept")).not.to.equal(policy("drop"));
    expect(skeleton({ set: { name: "s", flags: ["interval"] } })).not.to.equal(skeleton({ set: { name: "s" } }));
    expect(skeleton(chain("a", 1), { counter: { name: "c" } })).not.to.equal(skeleton(chain("a", 1)));
  });

  it("refuses what is no listing", () => {
    expect(() => parseFirewall("{}")).to.throw(TypeError, "nftables");
    expect(() => parseFirewall("")).to.throw(SyntaxError);
  });
});
