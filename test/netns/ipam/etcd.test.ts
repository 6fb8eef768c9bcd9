/** Hosts that share a pool in a real etcd, under load, while one of them and etcd are killed and come back. */
import { expect } from "chai";
import { EtcdServer } from "../../support/etcd.ts";
import { callersPerHost, IpamLoad, type LoadOutcome } from "../../support/ipam-load.ts";
import { patience } from "../../support/patience.ts";

/** What is promised. */
const answeredWithinMs = 5_000;
/** Who waits behind another's wait has twice as long; less than that may be the wait for a processor, when other tests have them all. */
const answeredAtLastMs = 9_000;

describe("three hosts that share a pool in etcd, with a host and etcd killed under load,", function () {
  this.timeout(180_000);
  let outcome: LoadOutcome;

  before(async () => {
    await using etcd = await EtcdServer.start();
    await using load = await IpamLoad.create(etcd);
    outcome = await load.run(4_000);
  });

  it("give no address twice", () => {
    expect(outcome.ledger.problems).to.deep.equal([]);
    expect(outcome.ledger.done).to.be.at.least(4_000);
  });

  it("refuse in time and in words what they cannot ask of etcd, and nothing else", () => {
    const { refusals } = outcome.ledger;
    expect(refusals).to.have.length.at.least(callersPerHost);
    for (const { text } of refusals) expect(text).to.match(/etcd at http:\/\/127\.0\.0\.1:\d+ /);
    const times = refusals.map(({ ms }) => ms);
    expect(Math.min(...times)).to.be.below(answeredWithinMs);
    expect(Math.max(...times)).to.be.below(answeredAtLastMs);
  });

  it("serve their own pools meanwhile", () => {
    expect(outcome.local.given).to.equal(50);
    expect(outcome.local.longestMs).to.be.below(1_000 * patience);
  });

  it("lose nothing: what is held in etcd is held by a caller, but for what the killed host was asked for last", () => {
    const { before, ledger } = outcome;
    expect(before.missing).to.deep.equal([]);
    expect(before.unknown.length).to.be.at.most(ledger.unheard.requests + ledger.unheard.releases);
    expect(before.unknown.filter((text) => !text.endsWith("host-b"))).to.deep.equal([]);
  });

  it("agree with their callers after the check", () => {
    expect(outcome.after).to.deep.equal({ unknown: [], missing: [] });
  });
});
