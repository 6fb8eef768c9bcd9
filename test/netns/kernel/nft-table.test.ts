import { execFileSync } from "node:child_process";
import { expect } from "chai";
import fc from "fast-check";
import { Nft } from "../../../src/kernel/nft.ts";
import { NftTable } from "../../../src/kernel/nft-table.ts";
import { bySet } from "../../../src/plan/elements.ts";
import { changeScript, removeTableScript, tableScript } from "../../../src/plan/firewall-script.ts";
import type { Elements } from "../../../src/plan/observed.ts";
import { setNames, someElements } from "../../support/nft-arbitrary.ts";
import { listCounters, listElements } from "../../support/nft-listing.ts";

const mark = 0x01000000;
const others = (command: string): unknown => execFileSync("nft", [command], { stdio: "pipe" });

/** Objects with a prototype, whatever they had: chai compares it. */
const plain = (elements: Elements | undefined): unknown =>
  Object.fromEntries(Object.entries(elements ?? {}).map(([set, content]) => [set, { ...content }]));

const plainCounters = (ours: NftTable): unknown =>
  Object.fromEntries(Object.entries(ours.observeCounters()).map(([set, counters]) => [set, { ...counters }]));

describe("nft table", () => {
  let nft: Nft;
  let ours: NftTable;
  let skeleton: string;
  beforeEach(() => {
    nft = new Nft();
    ours = new NftTable();
    nft.run(tableScript({}, mark));
    skeleton = ours.observe()?.skeleton ?? "";
  });
  afterEach(() => {
    nft.run(removeTableScript);
    ours.close();
    nft.close();
  });

  it("sees no table where there is none, and no counters of it", () => {
    nft.run(removeTableScript);
    expect(ours.observe()).to.equal(undefined);
    expect(ours.observeCounters()).to.deep.equal({});
  });

  it("sees every set of the table, empty", () => {
    const empty = Object.fromEntries(setNames.map((set) => [set, {}]));
    expect(plain(ours.observe()?.elements)).to.deep.equal(empty);
    expect(listElements()).to.deep.equal(empty);
  });

  it("reads what nft lists, in every set, whatever is written", () => {
    fc.assert(
      fc.property(someElements, (elements) => {
        nft.run(tableScript(bySet(elements), mark));
        const { elements: observed = {}, skeleton: now } = ours.observe() ?? {};
        expect(plain(observed)).to.deep.equal(listElements());
        const read = Object.entries(observed).flatMap(([set, content]) =>
          Object.entries(content).map(([key, data]) => [set, key, data] as const),
        );
        expect(read).to.have.length(elements.length);
        expect(now).to.equal(skeleton);
        nft.run(changeScript({ remove: read }));
        expect(Object.values(ours.observe()?.elements ?? {}).flatMap(Object.keys)).to.deep.equal([]);
      }),
      { numRuns: 60 },
    );
  });

  it("reads sets of many messages", () => {
    const keys = Array.from({ length: 60_000 }, (_, at) => `tcp . ${at + 1}`);
    const ranges = Array.from({ length: 1_000 }, (_, at) => `10.${at >> 8}.${at & 255}.0-10.${at >> 8}.${at & 255}.7`);
    nft.run(
      `add element inet tsnet port4 { ${keys.map((key, at) => `${key} : 10.0.0.1 . ${at}`).join(", ")} }
      add element inet tsnet masq4 { ${ranges.join(", ")} }`,
    );
    const { port4 = {}, masq4 = {} } = ours.observe()?.elements ?? {};
    const wrong = keys.filter((key, at) => port4[key] !== `10.0.0.1 . ${at}`);
    expect(wrong).to.deep.equal([]);
    expect(Object.keys(port4)).to.have.length(keys.length);
    expect(Object.keys(masq4).toSorted()).to.deep.equal(ranges.map((range) => range.replace(/-.*/, "/29")).toSorted());
  });

  it("reads counters of maps, interval maps and sets, and leaves out sets that have none", () => {
    nft.run(`add element inet tsnet port4 { tcp . 80 counter packets 5 bytes 300 : 10.0.0.1 . 80, udp . 1 : 10.0.0.1 . 2 }
      add element inet tsnet bound6 { ::1 . tcp . 80 counter packets 1 bytes 2 : fd00::1 . 80 }
      add element inet tsnet range4 { tcp . 8000-8010 counter packets 4294967297 bytes 9007199254740991 : 10.0.0.1 }
      add element inet tsnet traffic4 { 10.0.0.1 . tcp . 80 counter packets 7 bytes 9000 }
      add element inet tsnet bridges { "br0" }`);
    const listed = listCounters();
    expect(plainCounters(ours)).to.deep.include(listed);
    expect(listed).to.have.all.keys("port4", "bound6", "range4", "traffic4");
    expect(listed["range4"]).to.deep.equal({ "tcp . 8000-8010": { packets: 2 ** 32 + 1, bytes: 2 ** 53 - 1 } });
    expect(ours.observeCounters()).not.to.have.any.keys("bridges", "masq4", "between");
  });

  const foreign = [
    ["add element inet tsnet bridges { * }", "bridges"],
    ["add element inet tsnet port4 { * : 10.0.0.1 . 80 }", "port4"],
    ['add element inet tsnet own4 { "eth*" . 10.0.0.0/8 }', "own4"],
    ['add element inet tsnet between { "a . b" . "c" : drop }', "between"],
    ["add set inet tsnet x { type ether_type; }; add element inet tsnet x { arp }", "x"],
    ["add set inet tsnet x { type icmp_type . ifname; }; add element inet tsnet x { echo-request . lo }", "x"],
    ["add map inet tsnet x { type ifname : icmp_type; }; add element inet tsnet x { lo : echo-request }", "x"],
    [
      "add counter inet tsnet c; add map inet tsnet x { type ifname : counter; }; add element inet tsnet x { lo : c }",
      "x",
    ],
    [
      "add map inet tsnet x { type ifname : interval ipv4_addr; }; add element inet tsnet x { lo : 1.2.3.4-1.2.3.9 }",
      "x",
    ],
  ] as const;
  for (const [command, set] of foreign) {
    it(`says that what it could not write stands in the table, and reads the rest: ${command}`, () => {
      nft.run('add element inet tsnet bridges { "br0" }');
      others(command);
      const observed = ours.observe();
      expect(observed?.skeleton.split("\n").filter((line) => line.startsWith("foreign"))).to.deep.equal([
        `foreign elements in ${set}`,
      ]);
      expect({ ...observed?.elements["bridges"] }).to.deep.equal({ br0: "" });
    });
  }

  it("reads a set of somebody's with types that it knows, a timeout and a comment", () => {
    others("add set inet tsnet x { typeof ip saddr . tcp dport; timeout 1h; }");
    others('add element inet tsnet x { 1.2.3.4 . 80 comment "for now" }');
    const { elements, skeleton: now } = ours.observe() ?? {};
    expect({ ...elements?.["x"] }).to.deep.equal({ "1.2.3.4 . 80": "" });
    expect(now).not.to.equal(skeleton).and.not.to.contain("foreign");
  });

  it("has one skeleton for one script, whatever is in the table, beside it, and has passed it", () => {
    nft.run(
      tableScript(
        { bridges: { br0: "" }, between: { "br0 . br0": "goto pass" }, port4: { "tcp . 1": "10.0.0.1 . 1" } },
        mark,
      ),
    );
    expect(ours.observe()?.skeleton).to.equal(skeleton);
    others("add table inet other; add chain inet other x; add set inet other y { type ifname; }");
    expect(ours.observe()?.skeleton).to.equal(skeleton);
    others("delete table inet other");
    const counted = [1, 2].map((packets) => {
      nft.run(tableScript({}, mark));
      others(`insert rule inet tsnet unmark counter packets ${packets} bytes 7`);
      return ours.observe()?.skeleton;
    });
    expect(counted[0]).to.equal(counted[1]).and.not.to.equal(skeleton);
    nft.run(tableScript({}, mark));
    expect(ours.observe()?.skeleton).to.equal(skeleton);
  });

  const definitions = [
    "add table inet tsnet { flags dormant; }",
    "add chain inet tsnet x",
    "delete rule inet tsnet pass handle LAST",
    "replace rule inet tsnet pass handle LAST drop",
    "add rule inet tsnet pass accept",
    "replace rule inet tsnet publish handle FIRST meta l4proto != { tcp, udp } return",
    'replace rule inet tsnet pass handle LAST accept comment "mine"',
    "add chain inet tsnet forward { policy drop; }",
    "add chain inet tsnet x { type filter hook forward priority 0; }",
    "add set inet tsnet x { type ifname; }",
    "add counter inet tsnet x",
  ];
  for (const command of definitions) {
    it(`has another skeleton after: ${command}`, () => {
      const chain = /tsnet (\w+) handle/.exec(command)?.[1] ?? "pass";
      const listing = execFileSync("nft", ["-a", "list", "chain", "inet", "tsnet", chain], { encoding: "utf8" });
      const handles = [...listing.matchAll(/# handle (\d+)$/gm)].map(([, handle = ""]) => handle).slice(1);
      others(command.replace("LAST", handles.at(-1) ?? "").replace("FIRST", handles[0] ?? ""));
      expect(ours.observe()?.skeleton).not.to.equal(skeleton);
    });
  }
});
