import { setImmediate as nextTurn } from "node:timers/promises";
import { expect } from "chai";
import { Doctor } from "../../../../src/driver/overlay/doctor.ts";
import type { Op } from "../../../../src/plan/op.ts";
import type { Underlay } from "../../../../src/plan/overlay.ts";
import { overlayOf } from "../../../support/values.ts";

const underlay: Underlay = { local: "10.0.0.1", port: 4789, mtuBytes: 1500, knowsPlaces: true };
const other = "10.0.0.2";

/** Two hosts. */
class Fixture {
  readonly said: string[] = [];
  /** Whether no UDP of the tunnel passes while network cards make its checksums. */
  isSpoilt = true;
  isOffloaded = true;
  /** Whether UDP passes with checksums that the kernel makes. */
  isCured = true;
  /** Is called, and waited for, before what is sent without offload is answered. */
  meanwhile: () => Promise<void> = async () => {};
  /** Of all that is to be done in the kernel. */
  failure: Error | undefined;
  isActive = true;
  /** Of so many probes to come. */
  lost = 0;
  /** Is called, and waited for, before any probe is answered. */
  onProbe: () => Promise<void> = async () => {};
  /** Of networks. */
  readonly switchedOff: string[] = [];
  #settled: (() => void)[] = [];
  readonly doctor: Doctor;

  constructor() {
    const say = (_: object, text: string): number => this.said.push(text);
    this.doctor = new Doctor({
      kernel: {
        apply: async (ops) => {
          if (this.failure !== undefined) throw this.failure;
          for (const op of ops) this.#apply(op);
        },
        observeAddresses: async () => [{ link: 2, address: "10.0.0.1/24" }],
        observePath: async () => ({ source: underlay.local, link: "eth0", mtuBytes: 1500, gateway: "" }),
        probePaths: async ({ namespace, probes }) => {
          await this.onProbe();
          if (!this.isOffloaded) await this.meanwhile();
          const passes = (kind: string): boolean =>
            kind === "echo" || (namespace !== null && !(this.isSpoilt && this.isOffloaded) && this.isCured);
          const isAnswered = (kind: string): boolean => this.lost-- <= 0 && passes(kind);
          return probes.map(({ kind }) => ({ outcome: isAnswered(kind) ? "answered" : "silent", ms: 1 }));
        },
        repairEntries: async () => [],
        answerFacts: async () => {},
        askFacts: async ({ addresses }) => addresses.map(() => null),
      },
      facts: { name: "one", version: "0.1.0", settings: {} },
      plane: { hostsOf: () => [other] },
      ...{ peers: [other], vnis: () => [7], find: async () => underlay, now: () => Date.now() },
      active: () => (this.isActive ? [{ network: overlayOf({ "tsnet.vni": "7" }), underlay }] : []),
      log: { debug: say, info: say, warn: say, error: say },
    });
  }

  /** What the doctor does when networks come or go. */
  async settle(): Promise<void> {
    const settled = new Promise<void>((resolve) => this.#settled.push(resolve));
    this.doctor.lookSoon();
    await settled;
  }

  #apply(op: Op): void {
    if (op.op === "remove-namespace") for (const resolve of this.#settled.splice(0)) resolve();
    if (op.op !== "in-namespace" || op.ops[0]?.op !== "set-tx-checksum") return;
    if (op.namespace !== "tsnet-probe") {
      this.switchedOff.push(op.namespace);
      return;
    }
    this.isOffloaded = op.ops[0].on;
    for (const resolve of this.#settled.splice(0)) resolve();
  }
}

describe("checksums that network cards make", () => {
  let fixture: Fixture;
  beforeEach(() => {
    fixture = new Fixture();
  });
  afterEach(() => fixture.doctor.stop());

  it("are found to be spoilt, also if networks come and go while that is tried", async () => {
    fixture.meanwhile = async () => {
      fixture.meanwhile = async () => {};
      await fixture.settle();
    };
    const { findings, checksumOffload } = await fixture.doctor.report();
    expect(findings.map(({ kind }) => kind)).to.deep.equal(["checksums"]);
    expect(checksumOffload).to.equal(false);
    expect(fixture.isOffloaded).to.equal(false);
    expect(fixture.switchedOff).to.have.length(1);
  });

  it("are left to them where that cures nothing", async () => {
    fixture.isCured = false;
    const { findings, checksumOffload } = await fixture.doctor.report();
    expect(findings.map(({ kind }) => kind)).to.deep.equal(["damaged"]);
    expect(checksumOffload).to.equal(true);
    expect(fixture.isOffloaded).to.equal(true);
    expect(fixture.switchedOff).to.deep.equal([]);
  });
});

describe("what is lost of the way", () => {
  let fixture: Fixture;
  beforeEach(() => {
    fixture = Object.assign(new Fixture(), { isSpoilt: false });
  });
  afterEach(() => fixture.doctor.stop());

  const lossAfter = async (lost: number): Promise<number | null | undefined> => {
    fixture.lost = lost;
    return (await fixture.doctor.report()).peers[0]?.loss;
  };

  /** A look that comes by itself, once its first probe is sent. @returns lets it go on, with so many lost, to its end */
  async function lookUnderWay(): Promise<(lost: number) => Promise<void>> {
    const sent = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    fixture.onProbe = async () => {
      fixture.onProbe = async () => {};
      sent.resolve();
      await held.promise;
    };
    fixture.doctor.lookSoon();
    await sent.promise;
    return async (lost) => {
      fixture.lost = lost;
      held.resolve();
      await nextTurn();
    };
  }

  it("does not count what is sent before the first answer after the networks here have ended", async () => {
    expect(await lossAfter(0)).to.equal(0);
    expect(await lossAfter(2)).to.equal(0.1);
    fixture.isActive = false;
    await fixture.settle();
    fixture.isActive = true;
    expect(await lossAfter(2)).to.equal(0);
  });

  it("nor what another look sends before it that ends later", async () => {
    const goOn = await lookUnderWay();
    expect(await lossAfter(0)).to.equal(0);
    await goOn(1);
    expect((await fixture.doctor.report()).peers[0]).to.include({ probes: 21, loss: 0 });
  });

  it("nor does it take the answer for the first that comes when the networks have ended", async () => {
    const goOn = await lookUnderWay();
    fixture.isActive = false;
    await fixture.settle();
    await nextTurn();
    await goOn(0);
    fixture.isActive = true;
    expect(await lossAfter(2)).to.equal(0);
  });
});

describe("the end of the plugin", () => {
  it("is not held up by a network of the probes that cannot be put in order", async () => {
    const { doctor, said } = Object.assign(new Fixture(), { failure: new Error("UDP port 4789 is taken") });
    await doctor.stop();
    expect(said).to.deep.equal(["the network of the probes could not be put in order at the end"]);
  });
});
