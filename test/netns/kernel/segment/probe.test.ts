import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { expect } from "chai";
import type { AddressHolder } from "../../../../src/driver/kernel.ts";
import { TsnetError } from "../../../../src/errors.ts";
import { KernelClient } from "../../../../src/kernel/kernel-client.ts";
import { inetPton } from "../../../../src/kernel/libc.ts";
import { encodeMac } from "../../../../src/kernel/link-attributes.ts";
import { arp } from "../../../../src/kernel/segment/arp.ts";
import { expectNoLeftovers, ip, ipJson } from "../../../support/netns.ts";
import { openFiles } from "../../../support/open-files.ts";
import { until } from "../../../support/poll.ts";
import {
  addContainer,
  addMacvlan,
  captured,
  parent,
  parentMac,
  sendAsStranger,
  setUpInside,
  setUpSegment,
  strangerMac,
  tearDownSegment,
} from "../../../support/segment-lab.ts";

const mark = 0x01000000;
const deadlineMs = 2000;
/** So long a probe takes for sure. */
const probeMs = 890;
const ownMac = "02:42:00:00:00:02";
const [free, free6] = ["192.168.1.50", "fd00::50"];
const [held, held6] = ["192.168.1.10", "fd00::10"];

/** With another sender in the Ethernet header: what seems to come back from its own MAC address a macvlan link never gets. */
const byStranger = (frame: Buffer): Buffer => {
  frame.set(encodeMac(strangerMac), 6);
  return frame;
};

describe("Kernel.probeAddresses", () => {
  let kernel: KernelClient;
  let filesBefore: string[];
  before(() => promisify(execFile)("true")); // with the first pipe of a process Node opens a file that stays
  expectNoLeftovers(async () => {
    await until("all sockets are closed", deadlineMs, () => {
      expect(openFiles().filter((file) => !filesBefore.includes(file))).to.deep.equal([]);
      return true;
    });
    await kernel.close();
    tearDownSegment();
  });
  beforeEach(async () => {
    setUpSegment();
    setUpInside("stranger", "s0", [`${held}/24`, `${held6}/64`]);
    addMacvlan("tsc-1", ownMac, { up: true });
    kernel = await KernelClient.open({ mark });
    await kernel.probeAddresses({ link: "lo", alsoOn: null, addresses: [] }); // loads what opens the first files
    filesBefore = openFiles();
  });

  const probe = (...addresses: string[]): Promise<readonly AddressHolder[]> =>
    kernel.probeAddresses({ link: "tsc-1", alsoOn: null, addresses });
  const errorOf = async (work: Promise<unknown>): Promise<TsnetError> => {
    const error = await work.catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(TsnetError);
    return error as TsnetError;
  };
  const timed = async <T>(work: Promise<T>): Promise<{ result: T; tookMs: number }> => {
    const start = performance.now();
    return { result: await work, tookMs: performance.now() - start };
  };

  for (const [family, address, others] of [
    ["IPv4", held, [free]],
    ["IPv6", held6, [free6]],
    ["IPv6, beside IPv4", held6, [free]],
    ["IPv4, beside IPv6", held, [free6]],
  ] as const) {
    it(`finds a stranger, with its MAC address: ${family}`, async () => {
      const order: string[] = [];
      await Promise.all([
        probe(...others).then(() => order.push("free")),
        probe(...others, address).then((found) => order.push(...found.map(({ mac }) => mac))),
      ]);
      expect(order).to.deep.equal([strangerMac, "free"]);
    });
  }

  it("asks three times, and takes an address that nobody has for free after 0.9 s", async () => {
    const filter = "arp or (icmp6 and ip6[40] == 135)";
    const seen = await captured(filter, async () => {
      const { result, tookMs } = await timed(probe(free, free6));
      expect(result).to.deep.equal([]);
      expect(tookMs).to.be.greaterThan(probeMs);
    });
    const asked = `${ownMac} > ff:ff:ff:ff:ff:ff, ethertype ARP (0x0806), length 42: Request who-has ${free} tell 0.0.0.0`;
    const asked6 = `${ownMac} > 33:33:ff:00:00:50, ethertype IPv6 (0x86dd), length 78: :: > ff02::1:ff00:50: ICMP6`;
    expect(seen.filter((line) => line.startsWith(asked))).to.have.length(3);
    expect(seen.filter((line) => line.startsWith(asked6))).to.have.length(3);
    expect(seen.filter((line) => !line.startsWith(asked) && !line.startsWith(asked6))).to.deep.equal([]);
  });

  it("changes no neighbor's cache", async () => {
    await Promise.all([probe(held), probe(held6), probe(free), probe(free6)]);
    expect(ipJson("-n stranger neigh show")).to.deep.equal([]);
  });

  for (const address of [held, held6]) {
    it(`finds a macvlan container of this host: ${address}`, async () => {
      ip("-n stranger addr flush dev s0");
      addContainer("box", "02:42:00:00:00:03", [`${held}/24`, `${held6}/64`]);
      expect(await probe(address)).to.deep.equal([{ address, mac: "02:42:00:00:00:03" }]);
    });
  }

  it("finds another who asks for the same address at the same time", async () => {
    const [found, found6] = [probe(free), probe(free6)];
    await kernel.observeLink("lo"); // answered after the probes have begun
    ip(`-n stranger addr add ${free6}/64 dev s0`); // the kernel looks for duplicates
    sendAsStranger(arp.encodeProbe(strangerMac, inetPton(free)));
    expect(await found).to.deep.equal([{ address: free, mac: strangerMac }]);
    expect(await found6).to.deep.equal([{ address: free6, mac: strangerMac }]);
  });

  it("is not irritated by probes with its own MAC address, other addresses, nor by what is no ARP of its segment", async () => {
    const probing = probe(free);
    await kernel.observeLink("lo");
    const claim = arp.encodeAnnouncement(strangerMac, inetPton(free));
    const tag = Buffer.from("8100000a", "hex"); // VLAN 10
    const otherHardware = Buffer.from(claim);
    otherHardware.writeUInt16BE(6, 14);
    sendAsStranger(
      byStranger(arp.encodeProbe(ownMac, inetPton(free))),
      arp.encodeProbe(strangerMac, inetPton("192.168.1.51")),
      arp.encodeAnnouncement(strangerMac, inetPton("192.168.1.51")),
      Buffer.concat([claim.subarray(0, 12), tag, claim.subarray(12)]),
      claim.subarray(0, 40),
      otherHardware,
    );
    expect(await probing).to.deep.equal([]);
  });

  it("takes a claim for one whatever its MAC address: the links on one ipvlan parent share theirs", async () => {
    const probing = probe(free);
    await kernel.observeLink("lo");
    sendAsStranger(byStranger(arp.encodeAnnouncement(ownMac, inetPton(free))));
    expect(await probing).to.deep.equal([{ address: free, mac: ownMac }]);
  });

  it("takes a claim in a frame of VLAN 0, which is a priority only", async () => {
    const probing = probe(free);
    await kernel.observeLink("lo");
    const claim = arp.encodeAnnouncement(strangerMac, inetPton(free));
    sendAsStranger(Buffer.concat([claim.subarray(0, 12), Buffer.from("81000000", "hex"), claim.subarray(12)]));
    expect(await probing).to.deep.equal([{ address: free, mac: strangerMac }]);
  });

  it("hears on the other link too what is sent to that one only", async () => {
    const answer = arp.encodeAnnouncement(strangerMac, inetPton(free));
    answer.set(encodeMac(parentMac), 0);
    const [deaf, hearing] = [probe(free), kernel.probeAddresses({ link: "tsc-1", alsoOn: parent, addresses: [free] })];
    await kernel.observeLink("lo");
    sendAsStranger(answer);
    expect(await hearing).to.deep.equal([{ address: free, mac: strangerMac }]);
    expect(await deaf).to.deep.equal([]);
  });

  it("does not take what its own parent sends for an answer", async () => {
    expect(await kernel.probeAddresses({ link: "tsc-1", alsoOn: parent, addresses: [free, free6] })).to.deep.equal([]);
  });

  it("does 50 at once within the time of one, and other work meanwhile", async () => {
    const names = Array.from({ length: 50 }, (_, n) => `tsc-x${n}`);
    for (const [n, name] of names.entries()) addMacvlan(name, `02:42:00:00:01:${(n + 16).toString(16)}`, { up: true });
    const order: string[] = [];
    const { result, tookMs } = await timed(
      Promise.all([
        ...names.map(async (link, n) => {
          const addresses = n === 7 ? [held6] : [`192.168.1.${100 + n}`, `fd00::${100 + n}`];
          const found = await kernel.probeAddresses({ link, alsoOn: parent, addresses });
          order.push(n === 7 ? "found" : "free");
          return found;
        }),
        ...["a", "b", "c"].map(async (name) => {
          await kernel.apply([{ op: "set-sysctl", key: ["net", "nothing", name], value: "1", optional: true }]);
          order.push("applied");
        }),
      ]),
    );
    expect(order.slice(0, 4).toSorted()).to.deep.equal(["applied", "applied", "applied", "found"]);
    expect(result.filter((found) => found?.length)).to.deep.equal([[{ address: held6, mac: strangerMac }]]);
    expect(tookMs).to.be.lessThan(10 * 900);
  });

  it("ends in time, and lets other work be done, while a neighbor floods the segment", async () => {
    const probing = probe(free);
    await kernel.observeLink("lo");
    const noise = byStranger(arp.encodeProbe(ownMac, inetPton(free))); // passes the filter, and does not count
    const end = performance.now() + 700;
    let isOver = false;
    const result = probing.finally(() => {
      isOver = true;
    });
    const meanwhile: boolean[] = [];
    while (performance.now() < end || meanwhile.length < 4) {
      sendAsStranger(...Array.from({ length: 2000 }, () => noise));
      await kernel.observeLink("lo");
      meanwhile.push(!isOver);
    }
    sendAsStranger(arp.encodeAnnouncement(strangerMac, inetPton("192.168.1.51")));
    expect(await result).to.deep.equal([]);
    expect(meanwhile[0], "answered while it goes on").to.equal(true);
  });

  it("says which link does not exist, or is down", async () => {
    ip("link set tsc-1 down");
    expect(await errorOf(probe(free))).to.include({
      ...{ code: "kernel", errno: "ENETDOWN" },
      message: `probe ${free} on tsc-1: the link tsc-1 is down`,
    });
    ip("link set tsc-1 up");
    expect(
      await errorOf(kernel.probeAddresses({ link: "tsc-1", alsoOn: "eth9", addresses: [free, held6] })),
    ).to.include({ errno: "ENODEV", message: `probe ${free} ${held6} on tsc-1: the link eth9 does not exist` });
    expect(await errorOf(probe("192.168.1.300"))).to.include({ code: "invalid" });
  });

  for (const [when, delayMs] of [
    ["between two probes", 100],
    ["after the last", 600],
  ] as const) {
    it(`fails if the link vanishes ${when}, and names it`, async () => {
      const vanish = async (): Promise<{ outcome: unknown; isInTime: boolean }> => {
        const startedAt = performance.now();
        const probing = probe(free, free6).catch((reason: unknown) => reason);
        await kernel.observeLink("lo");
        await sleep(delayMs);
        ip("link del tsc-1");
        const isInTime = performance.now() - startedAt < probeMs;
        return { outcome: await probing, isInTime };
      };
      let trial = await vanish();
      // the kernel may have taken so long to delete it that the probe was over
      for (let more = 4; more > 0 && !trial.isInTime; more--) {
        if (trial.outcome instanceof TsnetError) break;
        addMacvlan("tsc-1", ownMac, { up: true });
        trial = await vanish();
      }
      expect(trial.outcome).to.be.instanceOf(TsnetError);
      const error = trial.outcome as TsnetError;
      expect(error.message).to.contain("tsc-1");
      expect(["ENODEV", "ENXIO"]).to.include(error.errno);
      addMacvlan("tsc-1", ownMac, { up: true });
      expect(await probe(held)).to.deep.equal([{ address: held, mac: strangerMac }]);
    });
  }

  for (const [what, command] of [
    ["the parent is down", `link set ${parent} down`],
    ["nobody is at the parent's other end", "link set port0 down"],
  ] as const) {
    it(`says at once that nobody can be asked while ${what}, and at the end if that came meanwhile`, async () => {
      const running = errorOf(probe(free));
      ip(command);
      for (const error of [await errorOf(probe(free)), await running]) {
        expect(error).to.include({
          ...{ code: "kernel", errno: "ENETDOWN" },
          message: `probe ${free} on tsc-1: the link tsc-1 has no carrier`,
        });
      }
    });
  }

  it("ends all probes when the kernel is closed", async () => {
    const probing = [probe(free), probe(free6)].map(errorOf);
    await kernel.observeLink("lo");
    await kernel.close();
    for (const error of await Promise.all(probing)) expect(error.message).to.contain("tsnet stops");
    kernel = await KernelClient.open({ mark });
    await kernel.probeAddresses({ link: "lo", alsoOn: null, addresses: [] }); // loads what opens the first files
    filesBefore = openFiles();
  });

  it("asks nobody about no addresses", async () => {
    expect(await probe()).to.deep.equal([]);
  });
});
