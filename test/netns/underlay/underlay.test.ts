import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect } from "chai";
import { Examiner, type Verdict } from "../../../src/driver/overlay/examination.ts";
import { ProbeNetwork } from "../../../src/driver/overlay/probe-network.ts";
import { KernelClient } from "../../../src/kernel/kernel-client.ts";
import { ip } from "../../support/netns.ts";
import {
  addresses,
  filter,
  inside,
  makeLab,
  removeLab,
  sh,
  unfilter,
  unmade,
  upAgain,
} from "../../support/underlay-lab.ts";

for (const family of [4, 6] as const) {
  const { own, other, routerOwn } = addresses[family];
  const overhead = { 4: 50, 6: 70 }[family];
  const underlay = { local: own, port: 4789, mtuBytes: 1500, knowsPlaces: true };

  describe(`probes of other hosts by IPv${family}`, () => {
    let kernel: KernelClient;
    let probes: ProbeNetwork;

    beforeEach(async () => {
      makeLab(family);
      kernel = await KernelClient.open({ mark: 0x1000000 });
      probes = new ProbeNetwork(kernel);
      await probes.ensure(underlay, [other]);
    });

    afterEach(async () => {
      await probes.remove();
      expect(ip("netns list")).not.to.include("tsnet-probe");
      await kernel.close();
      removeLab();
    });

    const examine = (limitBytes?: number, times = 5): Promise<Verdict> =>
      new Examiner(kernel, underlay).examine({ address: other, wantedBytes: 1500, limitBytes }, times);

    const mtu = (bytes: number): string => sh(`ip -n router link set dev b mtu ${bytes}`);
    const unreachable = { 4: "icmp type destination-unreachable", 6: "icmpv6 type packet-too-big" }[family];

    it("pass at full size, and each is counted with its time", async () => {
      const verdict = await examine();
      expect(verdict).to.include({ state: "ok", routeMtuBytes: 1500, verifiedMtuBytes: 1500 });
      expect(verdict.probes).to.have.length(5);
      for (const ms of verdict.probes) expect(ms).to.be.within(0, 700);
    });

    it("are UDP in VXLAN, of exactly that size, and in one piece", async () => {
      filter("other", "prerouting", `udp dport 4789 meta length 1500 counter`);
      await examine(undefined, 1);
      expect(inside("other", "nft list ruleset")).to.include("counter packets 1 bytes 1500");
    });

    it("find a UDP port that is filtered at the other host, which answers otherwise", async () => {
      filter("other", "input", "udp dport 4789 drop");
      expect(await examine()).to.include({ state: "port-filtered", verifiedMtuBytes: null });
      unfilter("other");
      expect(await examine()).to.include({ state: "ok" });
    });

    it("find a UDP port that nobody has", async () => {
      sh("ip -n probes link set dev tsx-probe down");
      expect(await examine()).to.include({ state: "port-closed" });
    });

    it("find another UDP port there", async () => {
      sh("ip -n probes link delete tsx-probe");
      expect((await examine()).state).to.equal("port-closed");
      await probes.remove();
      const elsewhere = { ...underlay, port: 8472 };
      await probes.ensure(elsewhere, [other]);
      const examiner = new Examiner(kernel, elsewhere);
      const subject = { address: other, wantedBytes: 1500, limitBytes: undefined };
      expect((await examiner.examine(subject, 1)).state).to.equal("port-closed");
    });

    it("find a host that is cut off, and one that has no route", async () => {
      sh("ip -n other link set dev eth0 down");
      expect(await examine()).to.include({ state: "unreachable", routeMtuBytes: 1500 });
      upAgain(family, "other");
      expect(await examine()).to.include({ state: "ok" });
      ip(`-${family} route delete default`);
      expect(await examine()).to.include({ state: "no-route", routeMtuBytes: null });
    });

    it("find a router with a smaller MTU that says so, to the byte", async () => {
      mtu(1423);
      expect(await examine()).to.include({ state: "small-mtu", routeMtuBytes: 1423, verifiedMtuBytes: 1423 });
      // the probe of the next look is not lost
      expect((await examine()).probes).not.to.include(null);
    });

    it("find a router with a smaller MTU whose ICMP is filtered, to the byte, and when it is gone", async () => {
      mtu(1423);
      filter("router", "output", `${unreachable} drop`);
      expect(await examine()).to.include({ state: "small-mtu", routeMtuBytes: 1500, verifiedMtuBytes: 1423 });
      const verdict = await examine(1423);
      expect(verdict).to.include({ state: "small-mtu", verifiedMtuBytes: 1423 });
      expect(verdict.probes).to.have.length(5).and.not.include(null);
      mtu(1500);
      expect(await examine(1423)).to.include({ state: "ok", verifiedMtuBytes: 1500 });
    });

    it("say that a locked route is a cure", async () => {
      mtu(1423);
      filter("router", "output", `${unreachable} drop`);
      expect((await examine()).routeMtuBytes).to.equal(1500);
      ip(`route replace ${other} via ${routerOwn} dev eth0 mtu lock 1423`);
      expect(await examine()).to.include({ state: "small-mtu", routeMtuBytes: 1423, verifiedMtuBytes: 1423 });
    });

    it("count those that are lost", async () => {
      // each third of them
      filter("router", "forward", "iifname a udp dport 4789 numgen inc mod 3 == 2 drop");
      const { state, probes: times } = await examine(undefined, 9);
      expect(state).to.equal("ok");
      expect(times.filter((ms) => ms === null)).to.have.length(3);
      expect(times).to.have.length(9);
    });

    it("leave it to nobody to have a program over there", async () => {
      expect(inside("probes", "ss -Hlun")).to.equal("");
      expect(await examine()).to.include({ state: "ok" });
    });

    if (family === 4) {
      it("find checksums that nobody makes, and that the kernel's own pass", async () => {
        const rules = [1500, 576].map((bytes) => `udp dport 4789 @th,448,16 ${unmade(bytes - overhead)} counter drop`);
        for (const rule of rules) filter("other", "prerouting", rule);
        expect(await examine()).to.include({ state: "suspect-checksums" });
        await probes.ensure({ ...underlay, withoutTxChecksum: true }, [other]);
        expect(await examine()).to.include({ state: "ok", verifiedMtuBytes: 1500 });
        await probes.ensure(underlay, [other]);
        expect(await examine()).to.include({ state: "suspect-checksums" });
      });
    }

    it("have their UDP port to themselves, or it is said who may have it", async () => {
      await probes.remove();
      const holder = `const s = require("node:dgram").createSocket("udp${family}"); s.bind(4789, () => console.log("bound"))`;
      const child = spawn(process.execPath, ["-e", holder]);
      try {
        await once(child.stdout, "data");
        const error = await probes.ensure(underlay, [other]).then(
          () => undefined,
          (reason: Error) => reason.message,
        );
        expect(error).to.include("UDP port 4789 of this host is taken");
      } finally {
        const closed = once(child, "close");
        child.kill();
        await closed;
      }
      await probes.ensure(underlay, [other]);
      expect(await examine()).to.include({ state: "ok" });
    });
  });
}
