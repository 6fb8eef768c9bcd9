/**
 * What connections between hosts notice when the plugin, etcd, a host or the kernel's tables fail, and that all hosts agree afterwards.
 * TEST_TSNET_LONG=1 makes outages last 60 s, and damages the tables for 5 minutes.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import type { Container } from "../support/container.ts";
import { Capture } from "../support/lab-capture.ts";
import { damages } from "../support/lab-damage.ts";
import { agrees, allAgree, placesOfDocker, placesOnHost } from "../support/lab-places.ts";
import { useLab } from "../support/lab-suite.ts";
import { aroundThe, type Connection, trafficDuring, undisturbed } from "../support/lab-traffic.ts";
import { patience } from "../support/patience.ts";
import { until } from "../support/poll.ts";
import { everything, reachable, reached } from "../support/probe.ts";

const isLong = process.env["TEST_TSNET_LONG"] === "1";
const outageMs = isLong ? 60_000 : 15_000;
const damageSeconds = isLong ? 300 : 30;
const repairMs = 1_000;

/** Hosts 1 and 2 are on one segment, host 3 is behind a router: there the tunnel is the only way. */
describe("connections between hosts", () => {
  const lab = useLab({ plane: "etcd", third: "far" });
  let servers: [Container, Container, Container];
  let connections: Connection[];

  beforeEach("containers on three hosts", async () => {
    await lab().network("mesh");
    servers = (await lab().servers("mesh")) as typeof servers;
    connections = await aroundThe(servers, "mesh");
    await allAgree(lab(), "mesh");
  });

  /** A container that comes later is reached from another host. */
  const newcomerIsReached = async (): Promise<void> => {
    const newcomer = await lab().run(1, { network: "mesh", serve: true });
    await allAgree(lab(), "mesh");
    expect(await reached(servers[2], await newcomer.ipv4("mesh"))).to.deep.equal(everything);
    expect(await reached(servers[1], await newcomer.ipv6("mesh"))).to.deep.equal(everything);
  };

  it("are watched closely enough to notice a cut of a fifth of a second", async () => {
    const { lost } = await trafficDuring(connections, async () => {
      await lab().cut(lab().host(3));
      await sleep(200);
      await lab().heal();
      await sleep(1_000); // in which all that was lost is sent again
    });
    expect(lost).to.be.greaterThan(0);
  });

  it("lose nothing when plugins are killed", async () => {
    await undisturbed(connections, async () => {
      for (const { plugin } of lab().hosts) {
        await plugin.kill();
        await plugin.start();
      }
      await allAgree(lab(), "mesh");
    });
    await newcomerIsReached();
  });

  it("lose nothing when plugins are restarted", async () => {
    await undisturbed(connections, async () => {
      for (const { plugin } of lab().hosts) await plugin.restart();
      await allAgree(lab(), "mesh");
    });
    await newcomerIsReached();
  });

  it("lose nothing when any one member of etcd is killed, and others come meanwhile", async () => {
    await undisturbed(connections, async () => {
      for (const host of lab().hosts) {
        await lab().etcd.lose(host);
        await newcomerIsReached();
        await lab().etcd.restart(host);
      }
    });
  });

  it("lose nothing when the majority of etcd is away, in which nobody new is taken", async () => {
    const two = [lab().host(2), lab().host(3)];
    await undisturbed(connections, async () => {
      await Promise.all(two.map((host) => lab().etcd.kill(host)));
      const ended = sleep(outageMs);
      const refusal = await lab().host(1).dockerError("run", "-d", "--network", "mesh", "tsnet-test");
      expect(refusal).to.include("etcd");
      await ended;
      await lab().etcd.heal();
      await allAgree(lab(), "mesh");
    });
    await newcomerIsReached();
  });

  it("lose nothing when a third host is cut off, which learns afterwards what it missed", async () => {
    const [one, two, three] = servers;
    const between: Connection[] = [
      { from: one, to: two, address: await two.ipv4("mesh") },
      { from: two, to: one, address: await one.ipv6("mesh") },
    ];
    const passing = await lab().run(2, { network: "mesh" });
    await allAgree(lab(), "mesh");
    await undisturbed(between, async () => {
      await lab().cut(lab().host(3));
      const ended = sleep(outageMs);
      await lab().etcd.agreesWithout(lab().host(3));
      expect(await reachable(one, await three.ipv4("mesh"))).to.deep.equal([]);
      const before = await placesOnHost(lab().host(3), "mesh");
      await lab().run(1, { network: "mesh", serve: true }, "--ip", "10.5.0.20", "--ip6", "fd00:5::20");
      await passing.remove();
      await ended;
      expect(await placesOnHost(lab().host(3), "mesh")).to.deep.equal(before);
      await lab().heal();
      await allAgree(lab(), "mesh");
    });
    expect(await reached(three, "10.5.0.20")).to.deep.equal(everything);
    expect(await reached(three, "fd00:5::20")).to.deep.equal(everything);
  });

  it("stay where they are when a container sends frames as another", async () => {
    const [, , three] = servers;
    const mallory = await lab().run(1, { network: "mesh" });
    await allAgree(lab(), "mesh");
    const before = await Promise.all(lab().hosts.map((host) => placesOnHost(host, "mesh")));
    const macs = await Promise.all(servers.map(async (one) => (await one.endpoint("mesh")).MacAddress as string));
    await using seen = await Capture.start(three, "eth0", "arp");
    await undisturbed(connections, async () => {
      for (const mac of macs) {
        // a question for an address that nobody has goes everywhere; no answer comes, which is an error for arping
        await mallory.exec(`ip link set eth0 address ${mac} && busybox arping -c 3 -I eth0 10.5.0.60`);
      }
    });
    for (const mac of macs.slice(0, 2)) expect(seen.text).to.include(`${mac} > ff:ff:ff:ff:ff:ff`);
    expect(await Promise.all(lab().hosts.map((host) => placesOnHost(host, "mesh")))).to.deep.equal(before);
    for (const from of servers) {
      for (const to of servers) expect(await reached(from, await to.ipv4("mesh"))).to.deep.equal(everything);
    }
  });

  it("go on while a host's tables are damaged each second, and reach nobody else", async function () {
    this.timeout((damageSeconds + 120) * 1_000 * patience);
    const [one, two, three] = servers;
    const bystander = await lab().run(1, { network: "mesh", serve: true });
    await allAgree(lab(), "mesh");
    const wanted = await placesOfDocker(lab(), "mesh");
    const host = lab().host(1);
    const targets = { host, network: "mesh", local: one, other: bystander, remote: three, wrongHost: lab().host(2) };
    const all = await damages(targets);
    await expectMisledIsSeen(one, bystander);
    await using beside = await watchMisled(bystander);
    await using elsewhere = await watchMisled(two);
    const watched = [
      { from: one, to: three, address: await three.ipv4("mesh") },
      { from: three, to: one, address: await one.ipv6("mesh") },
    ];
    const longestMs: Record<string, number> = {};
    const { messages, lost, resets } = await trafficDuring(watched, async () => {
      for (let second = 0; second < damageSeconds; second++) {
        const next = sleep(1_000);
        const damage = all[second % all.length];
        if (damage === undefined) throw new Error("there is nothing to damage");
        await host.sh(damage.script);
        const damagedAt = performance.now();
        await agrees(host, "mesh", wanted, repairMs).catch((cause: Error) => {
          throw new Error(`${damage.what}: ${cause.message}`, { cause });
        });
        longestMs[damage.what] = Math.max(longestMs[damage.what] ?? 0, Math.round(performance.now() - damagedAt));
        await next;
      }
    });
    if (isLong) console.log({ longestMs, messages, lost, resets });
    expect(messages).to.be.greaterThan(0);
    expect([...beside.lines, ...elsewhere.lines]).to.deep.equal([]);
  });
});

/** Captures what a container takes as its own by the MAC address, and is for another address. */
async function watchMisled(container: Container): Promise<Capture> {
  const { MacAddress, IPAddress, GlobalIPv6Address } = await container.endpoint("mesh");
  const filter = `ether dst ${MacAddress} and tcp and not host ${IPAddress} and not host ${GlobalIPv6Address}`;
  return await Capture.start(container, "eth0", filter, "-p");
}

/** A container whose own table misleads it is noticed. */
async function expectMisledIsSeen(from: Container, to: Container): Promise<void> {
  const { MacAddress } = await to.endpoint("mesh");
  await using capture = await watchMisled(to);
  await from.exec(`ip neigh replace 10.5.0.60 lladdr ${MacAddress} dev eth0 nud permanent`);
  expect(await reachable(from, "10.5.0.60")).to.deep.equal([]);
  await until("it is seen", repairMs, () => capture.text.includes("> 10.5.0.60.80:"));
}
