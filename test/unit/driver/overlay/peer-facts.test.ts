import { expect } from "chai";
import { settingFindings, versionNotes } from "../../../../src/driver/overlay/fact-findings.ts";
import { PeerFacts } from "../../../../src/driver/overlay/peer-facts.ts";
import { TsnetError } from "../../../../src/errors.ts";
import { type HostFacts, parseFacts } from "../../../../src/plan/host-facts.ts";

const own: HostFacts = {
  ...{ name: "web-1", version: "0.2.0" },
  settings: { TSNET_REQUIRES_MAC_ADDRESS: "false", TSNET_ETCD_ENDPOINTS: "set" },
};
const other: HostFacts = { ...own, name: "web-2", version: "0.1.0" };
const hosts = (count: number) => Array.from({ length: count }, (_, n) => ({ address: `10.0.0.${n + 2}`, name: "" }));

describe("what hosts tell each other", () => {
  let said: string[];
  let answering: string[];
  let failure: Error | undefined;
  let told: ReadonlyMap<string, HostFacts>;
  let facts: PeerFacts;
  const say = (_: object, text: string): number => said.push(text);
  const of = (host: HostFacts): PeerFacts =>
    new PeerFacts({
      kernel: {
        answerFacts: async (wanted) => {
          answering.push(wanted === null ? "nothing" : `${wanted.namespace} ${wanted.address}`);
          if (wanted !== null) expect(parseFacts(wanted.facts)).to.deep.equal(own);
          if (failure) throw failure;
        },
        askFacts: async ({ addresses }) => {
          if (failure) throw failure;
          return addresses.map((address) => told.get(address) ?? null);
        },
      },
      facts: host,
      log: { debug: say, info: say, warn: say, error: say },
    });

  beforeEach(() => {
    [said, answering, failure, told] = [[], [], undefined, new Map([["10.0.0.2", other]])];
    facts = of(own);
  });

  it("is answered from the namespace of the probes, until that goes", async () => {
    await facts.silence();
    await facts.answer("10.0.0.1");
    await facts.silence();
    await facts.silence();
    expect(answering).to.deep.equal(["tsnet-probe 10.0.0.1", "nothing"]);
  });

  it("is known of who has answered the last time only", async () => {
    await facts.ask(["10.0.0.2", "10.0.0.3"]);
    expect([facts.versionOf("10.0.0.2"), facts.versionOf("10.0.0.3")]).to.deep.equal(["0.1.0", null]);
    expect(facts.notes().map(({ peer }) => peer)).to.deep.equal(["10.0.0.2"]);
    told = new Map();
    await facts.ask(["10.0.0.2"]);
    expect(facts.versionOf("10.0.0.2")).to.equal(null);
    expect(facts.notes()).to.deep.equal([]);
  });

  it("is said once in the log when it cannot be, and found until it can", async () => {
    failure = new TsnetError("kernel", "bind: EADDRINUSE");
    await facts.answer("10.0.0.1");
    await facts.answer("10.0.0.1");
    expect(said).to.deep.equal(["other hosts cannot ask this one for its version and settings"]);
    expect(facts.findings(false)).to.deep.equal([{ kind: "probes", peer: null, text: `${said[0]}: bind: EADDRINUSE` }]);
    await facts.ask(["10.0.0.2"]);
    expect(facts.findings(false).map(({ kind }) => kind)).to.deep.equal(["probes", "probes"]);
    failure = new TsnetError("not-found", "no namespace", { errno: "ENOENT" });
    await facts.ask(["10.0.0.2"]);
    expect(facts.findings(false)).to.have.length(1);
    failure = undefined;
    await facts.answer("10.0.0.1");
    expect(facts.findings(false)).to.deep.equal([]);
  });

  it("cannot be asked for where it is longer than what is told, and the others are asked all the same", async () => {
    facts = of({ ...own, version: `0.2.0-${"x".repeat(32)}` });
    await facts.answer("10.0.0.1");
    expect(answering).to.deep.equal([]);
    const [finding, ...more] = facts.findings(false);
    expect(more).to.deep.equal([]);
    expect(finding?.text).to.match(/^other hosts cannot ask this one .*: no host tells this of itself: .*0\.2\.0-xxx/);
    await facts.ask(["10.0.0.2"]);
    expect(facts.versionOf("10.0.0.2")).to.equal("0.1.0");
  });
});

describe("what differs between hosts, in words", () => {
  const mac = { what: "TSNET_REQUIRES_MAC_ADDRESS", own: "false", theirs: "true" };

  it("is wrong of settings, of those of a swarm in a swarm alone", () => {
    const differences = [{ ...mac, hosts: [{ address: "10.0.0.2", name: "web-2" }] }];
    const [finding, ...more] = settingFindings(differences, true);
    expect(more).to.deep.equal([]);
    expect(finding).to.include({ kind: "settings", peer: "10.0.0.2" });
    expect(finding?.text).to.match(/^host web-2 \(10\.0\.0\.2\) has TSNET_REQUIRES_MAC_ADDRESS=true, this one false: /);
    expect(finding?.text).to.match(/; set the same on all hosts$/);
    expect(settingFindings(differences, false)).to.deep.equal([]);
    const etcd = [{ what: "TSNET_ETCD_ENDPOINTS", own: "set", theirs: "not set", hosts: hosts(1) }];
    expect(settingFindings(etcd, false)[0]?.text).to.match(
      /^host 10\.0\.0\.2 has TSNET_ETCD_ENDPOINTS not set, this one set: hosts with etcd /,
    );
  });

  it("is one finding for all hosts that have it alike, of which five are named", () => {
    const texts = [2, 6, 7].map((count) => settingFindings([{ ...mac, hosts: hosts(count) }], true)[0]);
    expect(texts.map((finding) => finding?.peer)).to.deep.equal([null, null, null]);
    expect(texts[0]?.text).to.match(/^hosts 10\.0\.0\.2 and 10\.0\.0\.3 have TSNET_REQ/);
    expect(texts[1]?.text).to.match(/^hosts 10\.0\.0\.2, .*, 10\.0\.0\.6 and 1 more have TSNET_REQ/);
    expect(texts[2]?.text).to.match(/^hosts 10\.0\.0\.2, .*, 10\.0\.0\.6 and 2 more have TSNET_REQ/);
  });

  it("is worth to be known of versions, and nothing wrong", () => {
    const differences = [{ what: "version", own: "0.2.0", theirs: "0.1.0", hosts: hosts(2) }];
    expect(settingFindings(differences, true)).to.deep.equal([]);
    expect(versionNotes(differences)).to.deep.equal([
      {
        ...{ kind: "version", peer: null },
        text: "hosts 10.0.0.2 and 10.0.0.3 run tsnet 0.1.0, this one 0.2.0: unless an upgrade is under way, give all hosts the same (tsnet upgrade, on each)",
      },
    ]);
    expect(versionNotes([{ ...mac, hosts: hosts(1) }])).to.deep.equal([]);
  });
});
