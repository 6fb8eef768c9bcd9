import { expect } from "chai";
import { Doctor } from "../../../src/driver/overlay/doctor.ts";
import { KernelClient } from "../../../src/kernel/kernel-client.ts";
import { Poller } from "../../../src/kernel/ports/poller.ts";
import { FactsResponder } from "../../../src/kernel/underlay/facts-responder.ts";
import { encodeQuestion, factsPort, nonceBytes } from "../../../src/plan/facts-message.ts";
import { formatFacts, type HostFacts } from "../../../src/plan/host-facts.ts";
import type { Underlay } from "../../../src/plan/overlay.ts";
import { ip } from "../../support/netns.ts";
import { openSockets } from "../../support/open-files.ts";
import { network } from "../../support/overlay-links.ts";
import { until } from "../../support/poll.ts";
import { exchange } from "../../support/udp-exchange.ts";
import { addresses, filter, makeLab, removeLab, unfilter } from "../../support/underlay-lab.ts";

const { own, other } = addresses[4];
const underlay: Underlay = { local: own, port: 4789, mtuBytes: 1500, knowsPlaces: true };
const facts: HostFacts = { name: "one", version: "0.2.0", settings: { TSNET_ETCD_ENDPOINTS: "set" } };
const question = { bytes: encodeQuestion(new Uint8Array(nonceBytes)) };

describe("the doctor, and what hosts tell of themselves", () => {
  let kernel: KernelClient;
  let doctor: Doctor;
  let there: Poller;
  let responder: FactsResponder;
  let hasNetwork: boolean;

  beforeEach(async () => {
    hasNetwork = true;
    makeLab(4);
    kernel = await KernelClient.open({ mark: 0x1000000 });
    there = new Poller();
    responder = new FactsResponder(there);
    const say = (): void => {};
    doctor = new Doctor({
      ...{ kernel, facts, plane: { hostsOf: () => [other] }, log: { debug: say, info: say, warn: say, error: say } },
      ...{ peers: [other], vnis: () => [network.vni], find: async () => underlay, now: () => Date.now() },
      active: () => (hasNetwork ? [{ network, underlay }] : []),
    });
  });

  afterEach(async () => {
    hasNetwork = false;
    await doctor.stop();
    expect(ip("netns list")).not.to.include("tsnet-probe");
    await kernel.close();
    responder.close();
    await there.close();
    removeLab();
  });

  const tell = (change: Partial<HostFacts>): void =>
    responder.answer(
      { namespace: "", address: other, facts: formatFacts({ ...facts, ...change }) },
      "/run/netns/probes",
    );

  it("has a version of who tells it, and none of who does not", async () => {
    const { version, peers, findings, notes } = await doctor.report();
    expect([version, peers[0]?.version, findings, notes]).to.deep.equal(["0.2.0", null, [], []]);
    tell({});
    const told = await doctor.report();
    expect([told.peers[0]?.version, told.findings, told.notes]).to.deep.equal(["0.2.0", [], []]);
  });

  it("notes another version, finds another setting, and forgets both", async () => {
    tell({ name: "two", version: "0.1.0", settings: { TSNET_ETCD_ENDPOINTS: "not set" } });
    const { peers, findings, notes } = await doctor.report();
    expect(peers[0]).to.include({ address: other, state: "ok", version: "0.1.0" });
    expect(findings.map(({ kind, peer }) => [kind, peer])).to.deep.equal([["settings", other]]);
    expect(findings[0]?.text).to.include(`host two (${other}) has TSNET_ETCD_ENDPOINTS not set, this one set`);
    expect(notes.map(({ kind, peer }) => [kind, peer])).to.deep.equal([["version", other]]);
    expect(notes[0]?.text).to.include(`host two (${other}) runs tsnet 0.1.0, this one 0.2.0`);
    tell({});
    const later = await doctor.report();
    expect([later.findings, later.notes]).to.deep.equal([[], []]);
  });

  it("asks nobody whom probes do not reach", async () => {
    tell({ version: "0.1.0" });
    expect((await doctor.report()).notes).to.have.length(1);
    filter("other", "input", "udp dport 4789 drop");
    const { peers, findings, notes } = await doctor.report();
    expect([peers[0]?.version, findings.map(({ kind }) => kind), notes]).to.deep.equal([null, ["port-filtered"], []]);
    unfilter("other");
  });

  it("answers as long as this host has a network, and leaves neither socket nor namespace", async () => {
    const sockets = openSockets();
    await doctor.report();
    const from = { namespace: "probes", address: own, port: factsPort };
    const [reply] = exchange(from, [question], 300);
    expect(reply?.bytes.toString("latin1")).to.include('"version":"0.2.0"');
    hasNetwork = false;
    doctor.lookSoon();
    await until("the namespace is gone", 10_000, () => !ip("netns list").includes("tsnet-probe"));
    await until("its sockets are gone", 5_000, () => openSockets() === sockets);
    expect(exchange(from, [question], 300)).to.deep.equal([]);
  });
});
