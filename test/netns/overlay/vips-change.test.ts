/** What happens to connections to a virtual IP when its tasks change, and when there are none: with real packets. */
import { expect } from "chai";
import { absentMs } from "../../../src/driver/swarm/absent-services.ts";
import { run } from "../../support/commands.ts";
import { expectNoLeftovers } from "../../support/netns.ts";
import { patience } from "../../support/patience.ts";
import { addressOf, type LabContainer, VipLab, vipNetwork } from "../../support/vip-lab.ts";
import { askMany, Talkers, VipSender } from "../../support/vip-traffic.ts";

const vip = "10.5.0.200";
const web = (...tasks: number[]) => ({ name: "web", vip, tasks });
/** Of 20 one after another, which would be 20 s if each was refused with its second SYN only. */
const patientSeconds = 10;

describe("virtual IPs, whose tasks change", () => {
  let lab: VipLab;
  let client: LabContainer;
  expectNoLeftovers(() => lab[Symbol.asyncDispose]());
  beforeEach(async () => {
    lab = await VipLab.start(2);
    client = await lab.add(1, 2, false);
    for (const [host, number] of [
      [1, 11],
      [2, 12],
      [2, 13],
      [1, 14],
      [2, 15],
    ] as const)
      await lab.add(host, number);
  });
  const inside = async (command: string): Promise<string> =>
    run(await lab.host(1).namespace.enter(["sh", "-c", command]));

  it("share connections alike: each task's share of 4,000 over five is as chance has it", async () => {
    await lab.serve(web(11, 12, 13, 14, 15));
    const { by, failures } = await askMany(client, "tcp", vip, { count: 4000, atOnce: 16 });
    expect(failures).to.deep.equal({});
    expect(Object.keys(by)).to.have.length(5);
    // five standard deviations of 25.3 each: one run of 300,000 is beyond
    for (const [who, count] of Object.entries(by)) expect(count, who).to.be.within(673, 927);
  });

  it("break no connection, and refuse no new one, while tasks come and go all the time", async () => {
    await lab.serve(web(11, 12, 13));
    await using talkers = await Talkers.start(client, vip, 12);
    const sets = [[11], [12, 13, 14, 15], [11, 12, 13, 14, 15], [15, 11], [13], [14, 12, 11]];
    const tasks = new Set<string>();
    let changes = 0;
    while (changes <= 20) {
      let isOver = false;
      const asking = askMany(client, "tcp", vip, { count: 3000, atOnce: 8 }).finally(() => {
        isOver = true;
      });
      while (!isOver) await lab.serve(web(...(sets[changes++ % sets.length] ?? [])));
      const { by, failures } = await asking;
      expect(failures).to.deep.equal({});
      for (const task of Object.keys(by)) tasks.add(task);
    }
    expect(tasks.size).to.equal(5);
    const { broken, messages, servers } = await talkers.end();
    expect(broken).to.equal(0);
    expect(servers).to.have.length(12);
    expect(messages).to.be.greaterThan(12 * changes);
  });

  it("give no new connection to a task that drains, which keeps what it has", async () => {
    await lab.serve(web(11, 12));
    await using talkers = await Talkers.start(client, vip, 16);
    await using sender = await VipSender.start(client, vip);
    const task = await sender.ask();
    lab.draining.add(`web ${task}`);
    await lab.update();
    for (const protocol of ["tcp", "udp"] as const) {
      const { by, failures } = await askMany(client, protocol, vip, { count: 100 });
      const other = task === addressOf(11) ? addressOf(12) : addressOf(11);
      expect({ by, failures }).to.deep.equal({ by: { [`${other} ${client.address}`]: 100 }, failures: {} });
    }
    expect(await sender.ask()).to.equal(task);
    const { servers, broken } = await talkers.end();
    expect(servers).to.include(task);
    expect(broken).to.equal(0);
  });

  it("forget connections that a task has not answered when it is gone, and keep those that it has", async () => {
    await lab.serve(web(11, 12));
    const add = (port: number, more: string): Promise<string> =>
      inside(
        `conntrack -I -p tcp -s 10.5.0.99 -d ${vip} --sport ${port} --dport 80 -t 100 --dst-nat ${addressOf(11)} ${more}`,
      );
    await add(4001, "--state SYN_SENT");
    await add(4002, "--state ESTABLISHED --status SEEN_REPLY");
    const ports = async (): Promise<string[]> => {
      const list = await inside(`conntrack -L -p tcp --orig-dst ${vip} 2>/dev/null`);
      return [...list.matchAll(/src=10\.5\.0\.99 .*?sport=(\d+)/g)].map(([, port = ""]) => port).sort();
    };
    expect(await ports()).to.deep.equal(["4001", "4002"]);
    await lab.serve(web(12));
    expect(await ports()).to.deep.equal(["4002"]);
  });

  it("move a UDP flow to another task when its own is gone, and no other flow", async () => {
    await lab.serve(web(11, 12));
    const senders = [];
    try {
      const first = new Set<string>();
      for (let n = 0; first.size < 2 && n < 40; n++) {
        const sender = await VipSender.start(client, vip);
        senders.push(sender);
        first.add(await sender.ask());
      }
      expect([...first].sort()).to.deep.equal([addressOf(11), addressOf(12)]);
      const flows = (): Promise<string> => inside(`conntrack -L -p udp --orig-dst ${vip} 2>/dev/null | sort`);
      const ofOther = (text: string): string[] =>
        text
          .split("\n")
          .flatMap((line) => (line.includes(`src=${addressOf(12)} `) ? [/sport=\d+/.exec(line)?.[0] ?? ""] : []));
      const before = ofOther(await flows());
      expect(before).not.to.deep.equal([]);
      await lab.remove(11);
      await lab.serve(web(12));
      expect(ofOther(await flows())).to.deep.equal(before);
      expect(await flows()).not.to.include(`src=${addressOf(11)} `);
      for (const sender of senders) expect(await sender.ask()).to.equal(addressOf(12));
    } finally {
      for (const sender of senders) await sender[Symbol.asyncDispose]();
    }
  });

  it("refuse at once when the service is listed no more, after a restart too, and then lead to its next task", async () => {
    const refuses = async (): Promise<void> => {
      for (const protocol of ["tcp", "udp"] as const) {
        const { by, failures, seconds } = await askMany(client, protocol, vip, { count: 20, atOnce: 1 });
        expect({ by, failures }).to.deep.equal({ by: {}, failures: { ECONNREFUSED: 20 } });
        expect(seconds).to.be.lessThan(patientSeconds);
      }
    };
    await lab.serve(web(11), { ...web(12), name: "other", vip: addressOf(201) });
    await lab.serve({ ...web(12), name: "other", vip: addressOf(201) });
    await refuses();
    await lab.serve();
    await lab.host(1).restart();
    await refuses();
    await lab.serve(web(12));
    expect((await askMany(client, "tcp", vip, { count: 20 })).by).to.deep.equal({
      [`${addressOf(12)} ${client.address}`]: 20,
    });
  });

  it("lead to tasks that drain where there are no others", async () => {
    await lab.serve(web(11, 12));
    for (const n of [11, 12]) lab.draining.add(`web ${addressOf(n)}`);
    await lab.update();
    const { by, failures } = await askMany(client, "tcp", vip, { count: 50 });
    expect({ failures, tasks: Object.keys(by).length }).to.deep.equal({ failures: {}, tasks: 2 });
  });

  it("refuse at once where there is no task, or none that this host knows how to reach; echo requests are answered", async () => {
    for (const tasks of [[], [77]]) {
      await lab.serve(web(...tasks));
      for (const protocol of ["tcp", "udp"] as const) {
        const { by, failures, seconds } = await askMany(client, protocol, vip, { count: 20, atOnce: 1 });
        expect({ by, failures }).to.deep.equal({ by: {}, failures: { ECONNREFUSED: 20 } });
        expect(seconds).to.be.lessThan(patientSeconds);
      }
      await run(client.enter(["busybox", "ping", "-c", "1", "-W", "1", vip]));
    }
    expect(lab.host(1).services.list()).to.deep.equal([
      {
        ...{ network: vipNetwork.id, service: "web", vip },
        tasks: [{ name: "web.77", ip: addressOf(77), isHere: false, state: "unknown" }],
      },
    ]);
  });

  it("are there within 2 s for 200 services with five tasks each, and one task less is a change of two elements", async () => {
    const services = Array.from({ length: 200 }, (_, n) => ({
      ...web(11, 12, 13, 14, 15),
      ...{ name: `s${n}`, vip: addressOf(n + 20) },
    }));
    const beganAt = performance.now();
    await lab.serve(...services);
    expect(performance.now() - beganAt).to.be.lessThan(2000 * patience);
    expect((await askMany(client, "tcp", addressOf(219), { count: 20 })).failures).to.deep.equal({});
    const elements = async (): Promise<Set<string>> =>
      new Set((await inside("nft list map ip tsnet-vip slots")).match(/[\d.]+ \. 0x\w+ : [\d.]+/g));
    const before = await elements();
    expect(before.size).to.equal(1000);
    await lab.serve(...services.with(7, { ...web(11, 12, 13, 15), name: "s7", vip: addressOf(27) }));
    const gone = ["10.5.0.27 . 0x00000003 : 10.5.0.14", "10.5.0.27 . 0x00000004 : 10.5.0.15"];
    const after = await elements();
    expect([...before].filter((one) => !after.has(one))).to.deep.equal(gone);
    expect([...after].filter((one) => !before.has(one))).to.deep.equal(["10.5.0.27 . 0x00000003 : 10.5.0.15"]);
  });

  it("leave nothing behind in the namespace when the last is gone for long", async () => {
    const state = (): Promise<string> =>
      inside(
        "nft list ruleset; ip -4 -br addr | grep -o '10[.]5[^ ]*'; ip neigh; ip -4 route; ip -d link show type bridge | grep -o 'nf_call_iptables .'; bridge -d link | grep -o 'hairpin o[nf]*'",
      );
    lab.gossip = { peers: [], services: [] };
    await lab.update();
    const before = await state();
    await lab.serve(web(11, 12));
    const during = await state();
    for (const part of ["table ip tsnet-vip", `${vip}/32`, "10.5.0.0/24 dev", "hairpin on", "nf_call_iptables 1"])
      expect(during).to.include(part);
    await lab.serve();
    lab.nowMs += absentMs;
    await lab.update();
    expect(await state()).to.equal(before);
    expect(before).not.to.include("tsnet-vip");
    expect(lab.host(1).log.lines).to.deep.equal([]);
  });
});
