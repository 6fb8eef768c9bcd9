import { expect } from "chai";
import { KernelClient } from "../../../../src/kernel/kernel-client.ts";
import { expectNoLeftovers, ip, ipJson } from "../../../support/netns.ts";
import { isSocket, openFiles } from "../../../support/open-files.ts";
import { until } from "../../../support/poll.ts";
import {
  addMacvlan,
  captured,
  learned,
  pathOf,
  setUpInside,
  setUpSegment,
  tearDownSegment,
} from "../../../support/segment-lab.ts";

const mark = 0x01000000;
const deadlineMs = 2000;
const alias = "tsnet:lan:1";
const ownMac = "02:42:00:00:00:02";
const earlierMac = "02:42:00:00:00:77";
const addresses = ["192.168.1.30", "fd00::30"] as const;
const withPrefix = ["192.168.1.30/24", "fd00::30/64"];

/** Other files of this process may come and go meanwhile. */
const openSockets = (): string[] => openFiles().filter(isSocket);

describe("Kernel.announceAddresses", () => {
  let kernel: KernelClient;
  let socketsBefore: string[];
  expectNoLeftovers(async () => {
    await until("all sockets are closed", deadlineMs, () => {
      expect(openSockets().filter((socket) => !socketsBefore.includes(socket))).to.deep.equal([]);
      return true;
    });
    await kernel.close();
    tearDownSegment();
  });
  beforeEach(async () => {
    setUpSegment();
    setUpInside("stranger", "s0", ["192.168.1.10/24", "fd00::10/64"]);
    // another container had the addresses
    for (const address of addresses) ip(`-n stranger neigh replace ${address} lladdr ${earlierMac} dev s0 nud stale`);
    addMacvlan("tsc-1", ownMac, { up: false });
    ip(`link set tsc-1 alias ${alias}`);
    kernel = await KernelClient.open({ mark });
    await kernel.probeAddresses({ link: "lo", alsoOn: null, addresses: [] }); // loads what opens the first sockets
    socketsBefore = openSockets();
  });

  const announce = (sandbox = "box"): Promise<boolean> =>
    kernel.announceAddresses({ sandbox: pathOf(sandbox), alias, addresses });
  /** As dockerd does it: the link moves, gets its name and addresses, and comes up. */
  const moveIn = (): void => {
    ip("link set tsc-1 netns box");
    ip("-n box link set tsc-1 name eth0");
    setUpInside("box", "eth0", withPrefix);
  };
  const expectLearned = async (mac: string): Promise<void> => {
    for (const address of addresses) await until(`${address} is ${mac}`, deadlineMs, () => learned(address) === mac);
  };

  it("corrects neighbors' caches as soon as the link is up in its sandbox", async () => {
    ip("netns add box");
    const announced = announce();
    await kernel.observeLink("lo"); // answered after the announcement was asked for
    for (const address of addresses) expect(learned(address)).to.equal(earlierMac);
    moveIn();
    expect(await announced).to.equal(true);
    await expectLearned(ownMac);
  });

  it("sends each announcement once, as the RFCs want it", async () => {
    ip("netns add box");
    const seen = await captured(`ether src ${ownMac} and (arp or icmp6[0] == 136)`, async () => {
      const announced = announce();
      moveIn();
      expect(await announced).to.equal(true);
      await expectLearned(ownMac);
    });
    expect(seen).to.deep.equal([
      `${ownMac} > ff:ff:ff:ff:ff:ff, ethertype ARP (0x0806), length 42: Request who-has 192.168.1.30 tell 192.168.1.30, length 28`,
      `${ownMac} > 33:33:00:00:00:01, ethertype IPv6 (0x86dd), length 86: fd00::30 > ff02::1: ICMP6, neighbor advertisement, tgt is fd00::30, length 32`,
    ]);
  });

  it("waits for a sandbox that is made only then, as before Docker 28", async () => {
    const announced = announce();
    await kernel.observeLink("lo");
    ip("netns add box");
    moveIn();
    expect(await announced).to.equal(true);
    await expectLearned(ownMac);
  });

  it("announces at once from a link that is up already", async () => {
    ip("netns add box");
    moveIn();
    expect(await announce()).to.equal(true);
    await expectLearned(ownMac);
  });

  it("waits for the carrier: what is sent without one is lost", async () => {
    ip("netns add box");
    ip("link set port0 down");
    const announced = announce();
    moveIn();
    expect(ipJson("-n box link show eth0")[0].flags).to.include("NO-CARRIER");
    for (const address of addresses) expect(learned(address)).to.equal(earlierMac);
    ip("link set port0 up");
    expect(await announced).to.equal(true);
    await expectLearned(ownMac);
  });

  it("is false without a sandbox, with one that is no namespace any more, and for a link that stays down", async () => {
    for (const name of ["box", "other"]) ip(`netns add ${name}`);
    const announced = Promise.all([announce("nowhere"), announce("box"), announce("other")]);
    await kernel.observeLink("lo");
    ip("link set tsc-1 netns box");
    ip("netns del other");
    expect(await announced).to.deep.equal([false, false, false]);
  });

  it("announces who is behind a port of a bridge by another link there, when the other end of the port is up", async () => {
    ip("netns add box");
    moveIn(); // as the link to other hosts
    ip("link add port2 netns box type veth peer name inner netns stranger");
    ip("-n box link set port2 alias tsnet:veth:2 up");
    const through = { link: "eth0", mac: "02:42:00:00:00:22" };
    const announced = kernel.announceAddresses({ sandbox: pathOf("box"), alias: "tsnet:veth:2", addresses, through });
    await kernel.observeLink("lo");
    for (const address of addresses) expect(learned(address)).to.equal(earlierMac);
    const seen = await captured("arp or icmp6[0] == 136", async () => {
      ip("-n stranger link set inner up");
      expect(await announced).to.equal(true);
      await expectLearned(through.mac);
    });
    expect(seen).to.deep.equal([
      `${through.mac} > ff:ff:ff:ff:ff:ff, ethertype ARP (0x0806), length 42: Request who-has 192.168.1.30 tell 192.168.1.30, length 28`,
      `${through.mac} > 33:33:00:00:00:01, ethertype IPv6 (0x86dd), length 86: fd00::30 > ff02::1: ICMP6, neighbor advertisement, tgt is fd00::30, length 32`,
    ]);
  });

  it("leaves the thread in its namespace", async () => {
    ip("netns add box");
    const announced = announce();
    moveIn();
    await announced;
    const { links } = await kernel.observe();
    expect(links.map(({ name }) => name)).to.have.members(ipJson("link show").map(({ ifname }) => ifname));
  });

  it("announces for ten sandboxes at once", async () => {
    const ids = Array.from({ length: 10 }, (_, n) => n);
    const macOf = (n: number): string => `02:42:00:00:01:${n + 10}`;
    const aliasOf = (n: number): string => `tsnet:lan:x${n}`;
    for (const n of ids) {
      ip(`netns add box${n}`);
      addMacvlan(`tsc-x${n}`, macOf(n), { up: false });
      ip(`link set tsc-x${n} alias ${aliasOf(n)}`);
      ip(`-n stranger neigh replace 192.168.1.${100 + n} lladdr ${earlierMac} dev s0 nud stale`);
    }
    const announced = ids.map((n) => {
      const addresses = [`192.168.1.${100 + n}`];
      return kernel.announceAddresses({ sandbox: pathOf(`box${n}`), alias: aliasOf(n), addresses });
    });
    for (const n of ids) ip(`link set tsc-x${n} netns box${n}`);
    for (const n of ids) ip(`-n box${n} link set tsc-x${n} up`);
    expect(await Promise.all(announced)).to.deep.equal(ids.map(() => true));
    for (const n of ids) await until(`${n} is learned`, deadlineMs, () => learned(`192.168.1.${100 + n}`) === macOf(n));
  });

  it("ends when the kernel is closed", async () => {
    ip("netns add box");
    const announced = [announce("box"), announce("nowhere")];
    await kernel.observeLink("lo");
    await kernel.close();
    expect(await Promise.all(announced)).to.deep.equal([false, false]);
    kernel = await KernelClient.open({ mark });
    await kernel.probeAddresses({ link: "lo", alsoOn: null, addresses: [] }); // loads what opens the first sockets
    socketsBefore = openSockets();
  });
});
