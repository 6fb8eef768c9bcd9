import { execFileSync } from "node:child_process";
import { expect } from "chai";
import { Nft } from "../../../src/kernel/nft.ts";
import { Observer } from "../../../src/kernel/observer.ts";
import { removeTableScript, tableScript } from "../../../src/plan/firewall-script.ts";

const mark = 0x0100_0000;
const run = (program: string, words: string): string => execFileSync(program, words.split(" "), { encoding: "utf8" });

/** Mappings of so many ports, two parts of 500 and a rest. */
const count = 1203;
const port4 = Object.fromEntries(
  Array.from({ length: count }, (_, index) => [`tcp . ${1000 + index}`, `172.18.0.2 . ${1 + index}`]),
);

describe("the observer", () => {
  const observer = new Observer();
  let nft: Nft;
  before(() => {
    nft = new Nft();
  });
  after(() => nft.close());
  afterEach(() => {
    nft.run(removeTableScript);
    execFileSync("sh", ["-c", "iptables -F && iptables -X && iptables -P FORWARD ACCEPT"]);
    for (const table of ["ip filter", "ip6 filter"]) nft.run(`add table ${table}\ndelete table ${table}`);
  });

  it("reads the table, of however many parts, as it is in the kernel", async () => {
    nft.run(tableScript({ bridges: { "tsb-1": "" }, port4 }, mark));
    const { firewall } = await observer.observeRules();
    expect(firewall?.elements).to.deep.include({ port4, bridges: { "tsb-1": "" }, port6: {} });
    nft.run("add chain inet tsnet other");
    expect((await observer.observeRules()).firewall?.skeleton)
      .to.be.a("string")
      .and.not.equal(firewall?.skeleton);
  });

  it("says that there is no table", async () => {
    expect((await observer.observeRules()).firewall).to.equal(undefined);
    expect(await observer.observeCounters()).to.deep.equal({});
  });

  it("reads all counters", async () => {
    nft.run(tableScript({ port4, traffic4: { "172.18.0.2 . tcp . 80": "" } }, mark));
    nft.run("delete element inet tsnet port4 { tcp . 1000 }");
    nft.run("add element inet tsnet port4 { tcp . 1000 counter packets 5 bytes 300 : 172.18.0.2 . 1 }");
    const counters = await observer.observeCounters();
    expect(Object.keys(counters["port4"] ?? {})).to.have.length(count);
    expect(counters["port4"]?.["tcp . 1000"]).to.deep.equal({ packets: 5, bytes: 300 });
    expect(counters["traffic4"]).to.deep.equal({ "172.18.0.2 . tcp . 80": { packets: 0, bytes: 0 } });
    expect(counters).not.to.have.property("bridges");
  });

  it("reads FORWARD, and the rules of DOCKER-USER where FORWARD leads there", async () => {
    run("iptables", "-N DOCKER-USER");
    run("iptables", "-A DOCKER-USER -s 198.51.100.7 -j DROP");
    run("iptables", "-P FORWARD DROP");
    expect((await observer.observeRules()).forward["iptables-nft"]).to.deep.equal(["-P FORWARD DROP"]);
    run("iptables", "-A FORWARD -j DOCKER-USER");
    expect((await observer.observeRules()).forward["iptables-nft"]).to.include.members([
      "-P FORWARD DROP",
      "-A FORWARD -j DOCKER-USER",
      "-A DOCKER-USER -s 198.51.100.7/32 -j DROP",
    ]);
  });

  it("answers questions that come at once, each with its own answer", async () => {
    nft.run(tableScript({ port4 }, mark));
    const [rules, counters, again] = await Promise.all([
      observer.observeRules(),
      observer.observeCounters(),
      observer.observeRules(),
    ]);
    expect(rules).to.deep.equal(again);
    expect(Object.values(counters["port4"] ?? {})[0]).to.deep.equal({ packets: 0, bytes: 0 });
  });
});
