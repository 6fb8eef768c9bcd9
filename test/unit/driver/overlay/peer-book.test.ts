import { expect } from "chai";
import type { FindingContext } from "../../../../src/driver/overlay/doctor-findings.ts";
import type { Verdict } from "../../../../src/driver/overlay/examination.ts";
import { PeerBook } from "../../../../src/driver/overlay/peer-book.ts";

const host = "10.0.0.2";
const context: FindingContext = {
  ...{ local: "10.0.0.1", port: 4789, wantedBytes: 1500 },
  path: { source: "10.0.0.1", link: "eth0", mtuBytes: 1500, gateway: "10.0.0.254" },
};
const ok = (...probes: (number | null)[]): Verdict => ({
  ...{ state: "ok", routeMtuBytes: 1500, verifiedMtuBytes: 1500, probes },
});
const bad = (state: Verdict["state"]): Verdict => ({ state, routeMtuBytes: 1500, verifiedMtuBytes: null, probes: [] });
const small: Verdict = { state: "small-mtu", routeMtuBytes: 1500, verifiedMtuBytes: 1400, probes: [1] };

describe("what is known of other hosts", () => {
  let said: string[];
  let book: PeerBook;
  const begin = (): number => book.begin(new Set([host]));
  const note = (verdict: Verdict, look = begin()): void => book.note(host, verdict, look, context);
  const answer = () => book.answers()[0];

  beforeEach(() => {
    said = [];
    const say =
      (level: string) =>
      (fields: object, text: string): number =>
        said.push(`${level} ${"kind" in fields ? fields.kind : ""}: ${text}`);
    const log = { debug: say("debug"), info: say("info"), warn: say("warn"), error: say("error") };
    book = new PeerBook({ log, now: () => 1_000 });
  });

  it("is the median of the last hundred round trips, and the loss", () => {
    note(ok(...Array.from({ length: 98 }, (_, n) => n + 1), null, null));
    expect(answer()).to.include({ probes: 100, loss: 0.02, roundTripMs: 49, lastSeen: "1970-01-01T00:00:01.000Z" });
    note(ok(...Array.from({ length: 100 }, () => 7)));
    expect(answer()).to.include({ probes: 100, loss: 0, roundTripMs: 7 });
  });

  it("counts nothing as lost before the first answer", () => {
    note(ok(null, null, 3));
    expect(answer()).to.include({ probes: 1, loss: 0 });
    note(ok(null, 3));
    expect(answer()).to.include({ probes: 3, loss: 1 / 3 });
  });

  it("counts nothing as lost before the first answer, whichever of two looks at a time has heard it", () => {
    const looks = [begin(), begin()];
    for (const look of looks) note(ok(null, 3), look);
    expect(answer()).to.include({ probes: 2, loss: 0 });
    note(ok(null, 3));
    expect(answer()).to.include({ probes: 4, loss: 1 / 4 });
    note(bad("unreachable"));
    note(ok(null, 3));
    expect(answer()).to.include({ probes: 5, loss: 1 / 5 });
  });

  it("forgets what is being looked at while all is forgotten", () => {
    const look = begin();
    note(ok(1));
    book.forget();
    note(ok(1), look);
    expect(book.answers()).to.deep.equal([]);
    note(ok(null, 1));
    expect(answer()).to.include({ probes: 1, loss: 0 });
  });

  it("begins anew when there is a tunnel, or none any more", () => {
    const idle = (...probes: (number | null)[]): Verdict => ({ ...bad("idle"), probes });
    note(idle(null));
    note(idle(1));
    expect(answer()).to.include({ probes: 2, loss: 1 / 2 });
    note(ok(1));
    expect(answer()).to.include({ probes: 1, loss: 0 });
    note(ok(null));
    note(idle(1));
    expect(answer()).to.include({ probes: 1, loss: 0 });
  });

  it("is found at once, and told when it is found again, once", () => {
    note(bad("port-filtered"));
    expect(book.findings().map(({ kind }) => kind)).to.deep.equal(["port-filtered"]);
    expect(said).to.deep.equal([]);
    note(bad("port-filtered"));
    note(bad("port-filtered"));
    expect(said).to.have.length(1);
    expect(said[0]).to.include("warn port-filtered: 10.0.0.2 answers, but not on UDP port 4789");
    note(ok(1));
    expect(said[1]).to.equal("info : the way to another host is as it should be again");
    expect(book.findings()).to.deep.equal([]);
    note(bad("unreachable"));
    note(ok(1));
    expect(said).to.have.length(2);
  });

  it("is the limit of what passes, where no route says it, until it passes", () => {
    note(small);
    expect([...book.limits]).to.deep.equal([[host, 1400]]);
    expect(book.findings()[0]?.text).to.match(/ip route replace 10\.0\.0\.2 via 10\.0\.0\.254 dev eth0 mtu lock 1400$/);
    note(bad("unreachable"));
    expect([...book.limits]).to.deep.equal([[host, 1400]]);
    note(ok(1));
    expect([...book.limits]).to.deep.equal([]);
    note({ ...small, routeMtuBytes: 1400 });
    expect([...book.limits]).to.deep.equal([]);
    expect(book.findings()[0]?.text).to.include("containers that run learn it by ICMP");
  });

  it("says so where too many are lost, and forgets hosts that are none any more", () => {
    note(ok(1, 1, 1, null));
    expect(book.findings()).to.deep.equal([]);
    note(ok(1, null));
    expect(book.findings()[0]?.text).to.include("2 of the last 6 probes to 10.0.0.2 were lost");
    book.begin(new Set());
    expect([book.answers(), book.findings(), [...book.limits]]).to.deep.equal([[], [], []]);
  });
});
