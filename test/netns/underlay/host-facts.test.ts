import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { expect } from "chai";
import { ProbeNetwork } from "../../../src/driver/overlay/probe-network.ts";
import { KernelClient } from "../../../src/kernel/kernel-client.ts";
import { encodeAnswer, encodeQuestion, factsPort, nonceBytes } from "../../../src/plan/facts-message.ts";
import { formatFacts, type HostFacts } from "../../../src/plan/host-facts.ts";
import { probeNamespace } from "../../../src/plan/probe.ts";
import { openSockets } from "../../support/open-files.ts";
import { patience } from "../../support/patience.ts";
import { exchange, startImpostor } from "../../support/udp-exchange.ts";
import { addresses, filter, inside, makeLab, removeLab, unfilter } from "../../support/underlay-lab.ts";

const facts: HostFacts = { name: "web-2", version: "0.2.0", settings: { TSNET_SCOPE: "global" } };
const forged: HostFacts = { ...facts, name: "forged" };
const nonce = Uint8Array.from({ length: nonceBytes }, (_, n) => n);
const question = encodeQuestion(nonce);
const idleMs = 300 * patience;

for (const family of [4, 6] as const) {
  const { own, other } = addresses[family];
  const target = { namespace: probeNamespace, address: other, port: factsPort };

  describe(`what a host tells of itself, by VXLAN over IPv${family}`, () => {
    let kernel: KernelClient;
    let probes: ProbeNetwork;
    let impostor: ChildProcess | undefined;

    beforeEach(async () => {
      makeLab(family);
      kernel = await KernelClient.open({ mark: 0x1000000 });
      probes = new ProbeNetwork(kernel);
      await probes.ensure({ local: own, port: 4789, mtuBytes: 1500, knowsPlaces: true }, [other]);
    });

    afterEach(async () => {
      if (impostor?.kill()) await once(impostor, "exit");
      impostor = undefined;
      await probes.remove();
      await kernel.close();
      removeLab();
    });

    /** The other host's part. */
    const answer = (told = facts): Promise<void> =>
      kernel.answerFacts({ namespace: "probes", address: other, facts: formatFacts(told) });
    /** It is over when all have answered: a wait is for those who do not. */
    const ask = (waitMs = 20_000, hosts: readonly string[] = [other]) =>
      kernel.askFacts({ namespace: probeNamespace, addresses: hosts, waitMs });
    const sockets = (): string => inside("probes", "ss -Hlun").trim();

    it("is told at once, and all of it", async () => {
      expect(await ask(50)).to.deep.equal([null]);
      await answer();
      const before = performance.now();
      expect(await ask()).to.deep.equal([facts]);
      expect(performance.now() - before).to.be.below(10_000);
      expect(await ask(0, [])).to.deep.equal([]);
    });

    it("goes through the tunnel, in packets that no path is too narrow for", async () => {
      await answer();
      filter("other", "prerouting", `udp dport 4789 meta length ${{ 4: 558, 6: 598 }[family]} counter`);
      expect(await ask()).to.deep.equal([facts]);
      expect(inside("other", "nft list ruleset")).to.match(/counter packets [1-9]/);
    });

    it("is asked for again when a question is lost", async () => {
      await answer();
      // each second of them, beginning with the first
      filter("other", "prerouting", "udp dport 4789 numgen inc mod 2 == 0 counter drop");
      expect(await ask()).to.deep.equal([facts]);
      expect(inside("other", "nft list ruleset")).to.match(/counter packets [1-9].* drop/);
      unfilter("other");
    });

    it("is told by those that tell it, in the order of those that were asked", async () => {
      await answer();
      const nobody = { 4: "10.97.2.77", 6: "fd97:2::77" }[family];
      const before = performance.now();
      expect(await ask(500, [nobody, other])).to.deep.equal([null, facts]);
      expect(performance.now() - before).to.be.within(490, 5_000);
    });

    it("is told to nobody who asks in less than the answer could have, or asks something else", async () => {
      await answer();
      const wrong = [
        new Uint8Array(),
        ...[1, 23, 24, 100, question.length - 1].map((length) => question.subarray(0, length)),
        new Uint8Array(question.length),
        Uint8Array.from(question, (byte, n) => (n === 7 ? byte + 1 : byte)),
        encodeAnswer(nonce, "x".repeat(question.length)),
      ].map((bytes) => ({ bytes }));
      expect(exchange(target, wrong, idleMs)).to.deep.equal([]);
      const [reply, ...more] = exchange(target, [...wrong, { bytes: question }], idleMs);
      expect(more).to.deep.equal([]);
      expect(reply?.bytes.toString("hex")).to.equal(
        Buffer.from(encodeAnswer(nonce, formatFacts(facts))).toString("hex"),
      );
    });

    it("never has more bytes than the question", async () => {
      const name = "n".repeat(63);
      const settings = Object.fromEntries(
        ["A", "B", "C", "D"].map((key) => [`TSNET_${key.repeat(20)}`, "x".repeat(30)]),
      );
      await answer({ ...facts, name, settings });
      const longer = new Uint8Array(1_300);
      longer.set(question);
      const replies = exchange(target, [{ bytes: question }, { bytes: longer }], idleMs);
      expect(replies).to.have.length(2);
      for (const { bytes } of replies) expect(bytes.length).to.be.within(300, question.length);
    });

    it("is told a hundred times a second at most, whoever asks, and goes on afterwards", async () => {
      await answer();
      const replies = exchange(target, [{ bytes: question, times: 2_000 }], idleMs);
      expect(replies.length).to.be.above(100);
      for (const [n, { ms }] of replies.entries()) expect(n + 1).to.be.at.most(10 + (90 * ms) / 1_000 + 1);
      expect(await ask()).to.deep.equal([facts]);
    });

    it("is believed of who was asked alone, and if he knows the question", async () => {
      const text = formatFacts(forged);
      const right = encodeAnswer(nonce, text);
      impostor = await startImpostor({ ...target, namespace: "probes" }, [
        { bytes: right },
        { bytes: right, nonce: true, elsewhere: true },
        { bytes: right.subarray(0, right.length - 1), nonce: true },
        { bytes: encodeAnswer(nonce, `${text} `.repeat(5)), nonce: true },
        { bytes: question, nonce: true },
        { bytes: encodeAnswer(nonce, formatFacts(facts)), nonce: true },
        { bytes: right, nonce: true },
      ]);
      expect(await ask()).to.deep.equal([facts]);
    });

    it("is told by one socket, however often that is asked for, of the address that is this host's now", async () => {
      await answer();
      const before = openSockets();
      await answer();
      expect(openSockets()).to.equal(before);
      expect(sockets()).to.match(new RegExp(`^UNCONN .*:${factsPort} [^\\n]*$`));
      await answer(forged);
      expect(openSockets()).to.equal(before);
      expect(await ask()).to.deep.equal([forged]);
      const gone = { 4: "10.97.9.9", 6: "fd97:9::9" }[family];
      const failure = await kernel.answerFacts({ namespace: "probes", address: gone, facts: formatFacts(facts) }).then(
        () => "",
        ({ message }: Error) => message,
      );
      expect(failure).to.include("EADDRNOTAVAIL");
      expect(sockets()).to.equal("");
      expect(openSockets()).to.equal(before - 1);
    });

    it("is told no more when that is wanted, and when the plugin ends", async () => {
      await answer();
      expect(sockets()).not.to.equal("");
      await kernel.answerFacts(null);
      expect(sockets()).to.equal("");
      expect(await ask(300)).to.deep.equal([null]);
      await kernel.answerFacts(null);
      await answer();
      const asking = ask(60_000, [{ 4: "10.97.2.77", 6: "fd97:2::77" }[family]]);
      const before = performance.now();
      await probes.remove();
      await kernel.close();
      expect(await asking).to.deep.equal([null]);
      expect(performance.now() - before).to.be.below(30_000);
      expect(sockets()).to.equal("");
      kernel = await KernelClient.open({ mark: 0x1000000 });
      probes = new ProbeNetwork(kernel);
    });
  });
}
