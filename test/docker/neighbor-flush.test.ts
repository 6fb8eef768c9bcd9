import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { enableUfw, machineFirewallFiles, startFirewalld } from "../support/firewalls.ts";
import type { Host } from "../support/host.ts";
import { client } from "../support/outside.ts";
import { patience } from "../support/patience.ts";
import { driver } from "../support/plugin.ts";
import { until } from "../support/poll.ts";
import { ask, ping } from "../support/probe.ts";
import { readProcess } from "../support/processes.ts";
import { streamDuring } from "../support/stream.ts";

/** All that is ours is back this long after the end of what removed it. */
const repairedMs = 1_000;

/** What takes rules away from a host, or makes them anew. */
interface Event {
  /** The firewall that does it, while it runs. */
  readonly firewall?: (host: Host) => Promise<AsyncDisposable>;
  /** Does it, and meanwhile what `meanwhile` does. */
  readonly happen: (host: Host, meanwhile: () => Promise<void>) => Promise<unknown>;
}

const script =
  (text: string): Event["happen"] =>
  (host, meanwhile) =>
    Promise.all([host.sh(text), meanwhile()]);

/** firewalld rejects what bridges that it knows nothing of forward: this is how a user tells it of all of ours. */
async function firewalldThatKnowsUs(host: Host): Promise<AsyncDisposable> {
  const firewalld = await startFirewalld(host);
  await host.sh("firewall-cmd --permanent --zone=trusted --add-interface=tsb-+ && firewall-cmd --reload");
  return firewalld;
}

/** For so long packets pass the host without any table but the holder's: a big table takes its time. */
const slowMs = 300;

async function flushWhileSlow(host: Host, meanwhile: () => Promise<void>): Promise<void> {
  await meanwhile(); // a plugin that stands still answers nobody
  const { pid } = host.plugin;
  // nsenter, which started it, stops and goes on with it: continue_as_child of util-linux
  const starter = readProcess(pid)?.parent ?? 0;
  process.kill(pid, "SIGSTOP");
  await host.sh("nft flush ruleset");
  await sleep(slowMs);
  for (const each of [starter, pid]) process.kill(each, "SIGCONT");
}

const events: Readonly<Record<string, Event>> = {
  "nft flush ruleset": { happen: script("nft flush ruleset") },
  "nft flush ruleset, while the plugin is slow": { happen: flushWhileSlow },
  "nft delete table inet tsnet": { happen: script("nft delete table inet tsnet") },
  "iptables -F": { happen: script("iptables -w -F") },
  "iptables -t nat -F": { happen: script("iptables -w -t nat -F") },
  "firewall-cmd --reload and --complete-reload": {
    firewall: firewalldThatKnowsUs,
    happen: script("firewall-cmd --reload && firewall-cmd --complete-reload"),
  },
  "ufw reload": { firewall: enableUfw, happen: script("ufw reload") },
  "a restart of Docker": {
    happen: async (host, meanwhile) => {
      await meanwhile(); // a daemon that restarts deletes nothing
      await host.dockerd.restart();
    },
  },
};

const asNeeded = "as needed";

/** What somebody might add to our table by hand, or take from it, in nft's words; $IP is a container's address. */
const byHand = [
  "add element inet tsnet port4 { tcp . 8099 : $IP . 80 }",
  'add element inet tsnet docker_links { "eth0" }',
  "insert rule inet tsnet forward drop",
  "add rule inet tsnet raw ip saddr 203.0.113.10 drop",
  "add chain inet tsnet mine { type filter hook forward priority 0; policy drop; }",
  "add set inet tsnet mine { type ipv4_addr; }",
  "chain inet tsnet forward { policy drop; }",
  "flush chain inet tsnet forward",
  "flush set inet tsnet bridges",
];

/** @throws Error with the lines that are only in one of the texts */
function isSame(text: string, wanted: string): true {
  if (text === wanted) return true;
  const [is, should] = [text.split("\n"), wanted.split("\n")];
  const extra = is.filter((line) => !should.includes(line));
  const missing = should.filter((line) => !is.includes(line));
  throw new Error(`there is ${JSON.stringify(extra)} instead of ${JSON.stringify(missing)}`);
}

/** The same of our rule in FORWARD. */
const twice = "iptables -w -I FORWARD -m mark --mark 0x1000000/0x1000000 -m comment --comment tsnet -j ACCEPT";

describe("somebody else at the firewall", () => {
  const host = useHost(["--live-restore"]);
  let machine: string;
  let rulesOfDocker: string;
  before(async () => {
    machine = machineFirewallFiles();
    await host().outside.serve();
    rulesOfDocker = await host().sh("iptables-save");
  });
  afterEach("Docker has its rules again", () => host().sh("iptables-restore", rulesOfDocker));
  after("the machine's own firewalls are as they were", () => expect(machineFirewallFiles()).to.equal(machine));

  for (const [name, event] of Object.entries(events)) {
    it(`ends no connection, and what is ours is back within a second, without what was deleted meanwhile: ${name}`, async () => {
      await host().docker("network", "create", "-d", driver, "web");
      const server = await Container.run(host(), { network: "web", serve: true }, ...published);
      await using _firewall = await event.firewall?.(host());
      const before = await untilComplete();
      const deleteIt = await makeWhatGoes();
      const answered = await streamBothWays(server, async () => {
        await event.happen(host(), deleteIt);
        await Promise.all([
          until("all that is ours is back, and no more", repairedMs, async () => isSame(await ours(), before)),
          until("new connections come in", repairedMs, () => isAnswered(8080)),
        ]);
        await ping(server, client.ipv4);
        expect(await ask(server, "udp", client.ipv4)).to.equal(host().ipv4);
      });
      expect(Math.min(...answered)).to.be.greaterThan(0);
      expect(await ask(host().outside.client, "tcp", host().ipv4, 8080)).to.equal(client.ipv4);
      expect(await isAnswered(8086)).to.equal(false);
      expect(await untilComplete()).to.equal(before);
    });
  }

  it("changes our table by hand, and it is as it was within a second, while tables of others stay", async () => {
    await host().docker("network", "create", "-d", driver, "web");
    const server = await Container.run(host(), { network: "web", serve: true }, ...published);
    const address = await server.ipv4("web");
    const mine = "table inet mine {\n\tset bridges {\n\t\ttype ifname\n\t}\n}";
    await host().sh("nft -f -", mine);
    const before = await untilComplete();
    const changes = byHand.map((change) => () => host().sh("nft -f -", change.replace("$IP", address)));
    for (const [index, change] of [...changes, () => host().sh(twice)].entries()) {
      await change();
      await until(`undone: ${byHand[index] ?? twice}`, repairedMs, async () => isSame(await ours(), before));
      expect(await ask(host().outside.client, "tcp", host().ipv4, 8080)).to.equal(client.ipv4);
      expect(await isAnswered(8099)).to.equal(false);
    }
    expect(await host().sh("nft list table inet mine && nft delete table inet mine")).to.equal(mine);
  });

  const published = ["-p", "8080:80", "-p", "7007:7"];

  /** Our table and the holder's, as nft lists them, and whether FORWARD has what it needs of us. */
  async function ours(): Promise<string> {
    const [table, holder, forward] = await Promise.all([
      host().exec("nft -s list table inet tsnet"),
      host().exec("nft -s list table inet tsnet-hold"),
      host().iptables("-S FORWARD"),
    ]);
    const needed = forward.includes("-P FORWARD DROP") ? 1 : 0;
    const rules = forward.filter((line) => line.includes("--comment tsnet")).length;
    // nft names who has the owner's socket open: for a moment also a child of the plugin that is not yet another program
    const held = holder.stdout.replace(/ # progname .*/, "");
    return `${table.stdout}${held}rules in FORWARD: ${rules === needed ? asNeeded : rules}`;
  }

  /** Docker learns of a reload from firewalld, and may still be putting its own rules back. */
  const untilComplete = () =>
    until("FORWARD has what it needs of us", repairedMs, async () => {
      const now = await ours();
      return now.endsWith(asNeeded) && now;
    });

  /** A network and a container with a port that answers. @returns what removes them */
  async function makeWhatGoes(): Promise<() => Promise<void>> {
    await host().docker("network", "create", "-d", driver, "doomed");
    const container = await Container.run(host(), { network: "doomed", serve: true }, "-p", "8086:80");
    expect(await ask(host().outside.client, "tcp", host().ipv4, 8086)).to.equal(client.ipv4);
    return async () => {
      await container.remove();
      await host().docker("network", "rm", "doomed");
    };
  }

  /** A new connection from outside, without the time for a second try. */
  async function isAnswered(port: number): Promise<boolean> {
    const connect = `exec 3<>/dev/tcp/${host().ipv4}/${port} && echo >&3 && head -n 1 <&3`;
    const { stdout } = await host().outside.client.exec(`timeout ${0.3 * patience} bash -c '${connect}' 2>/dev/null`);
    return stdout.trim() === client.ipv4;
  }

  /** Long connections through a published port and out of a container. @returns how many messages each had answered */
  async function streamBothWays(server: Container, during: () => Promise<void>): Promise<number[]> {
    let outwards = 0;
    const inwards = await streamDuring(
      host().outside.client,
      host().ipv4,
      async () => {
        outwards = await streamDuring(server, client.ipv4, during);
      },
      7007,
    );
    return [inwards, outwards];
  }
});
