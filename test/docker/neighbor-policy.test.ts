import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { enableUfw, machineFirewallFiles, noDuplicateCheck, startFirewalld } from "../support/firewalls.ts";
import type { Host } from "../support/host.ts";
import { client, hostNetwork } from "../support/outside.ts";
import { patience } from "../support/patience.ts";
import { driver } from "../support/plugin.ts";
import { until } from "../support/poll.ts";
import { answerSeconds, answers, ask, type Place, type Protocol, silenceSeconds } from "../support/probe.ts";

const protocols: readonly Protocol[] = ["tcp", "udp"];
const both = (hostPort: number) => protocols.flatMap((protocol) => ["-p", `${hostPort}:80/${protocol}`]);

/** Called "tcp from client to 192.168.77.1 8080" and so on. */
type Question = readonly [who: string, from: Place, protocol: Protocol, address: string, port: number];

/** Asks all at once: silence takes its time. @returns the questions that should have had another answer */
async function wrong(questions: readonly Question[], expected: (question: string) => boolean): Promise<string[]> {
  const asked = questions.map(async ([who, from, protocol, address, port]) => {
    const question = `${protocol} from ${who} to ${address} ${port}`;
    const isExpected = expected(question);
    const seconds = isExpected ? answerSeconds : silenceSeconds;
    const isAnswered = await answers(from, protocol, address, port, seconds);
    return isAnswered === isExpected ? [] : `${question}: ${isAnswered ? "answered" : "silence"}`;
  });
  return (await Promise.all(asked)).flat();
}

const subnets = (n: number) => ["--ipv6", "--subnet", `10.81.${n}.0/24`, "--subnet", `fd00:81:${n}::/64`];

describe("-o tsnet.publish_from", () => {
  const host = useHost([], { prepare: noDuplicateCheck });
  const allowed = `203.0.113.0/24,${client.ipv6}/128,10.81.2.0/24,fd00:81:2::/64`;
  const from = ["-o", `tsnet.publish_from=${allowed}`];
  const create = (name: string, ...args: string[]) => host().docker("network", "create", "-d", driver, ...args, name);

  it("lets only these sources and the host itself reach what the network publishes, and changes no other network", async () => {
    await create("closed", ...subnets(1), ...from);
    await create("friend", ...subnets(2));
    await create("open", ...subnets(3));
    await Container.run(host(), { network: "closed", serve: true }, ...both(8080));
    await Container.run(host(), { network: "open", serve: true }, ...both(8081));
    const friend = await Container.run(host(), { network: "friend" });
    const stranger = await Container.run(host(), { network: "open" });

    const places: readonly [string, Place][] = [
      ["client", host().outside.client],
      ["neighbor", host().outside.router],
      ["host", host()],
      ["friend", friend],
      ["stranger", stranger],
    ];
    for (const [who, place] of places) {
      const questions = protocols.flatMap((protocol) =>
        [host().ipv4, host().ipv6].flatMap((address) =>
          [8080, 8081].map((port) => [who, place, protocol, address, port] as const),
        ),
      );
      const isStrange = who === "neighbor" || who === "stranger";
      expect(await wrong(questions, (question) => question.endsWith("8081") || !isStrange)).to.deep.equal([]);
    }
    const own: Question[] = protocols.flatMap((protocol) =>
      ["127.0.0.1", "::1"].map((address) => ["host", host(), protocol, address, 8080] as const),
    );
    expect(await wrong(own, () => true)).to.deep.equal([]);
  });

  it("drops what others send, so that they are not even refused", async () => {
    await create("closed", ...from);
    await Container.run(host(), { network: "closed", serve: true }, "-p", "8080:80");
    const connect = (port: number) =>
      host().outside.router.exec(`timeout ${patience} bash -c 'exec 3<>/dev/tcp/${host().ipv4}/${port}'`);
    const [dropped, refused] = await Promise.all([connect(8080), connect(8082)]);
    expect(dropped.code).to.equal(timedOut);
    expect(refused.stderr).to.include("Connection refused");
  });

  it("holds where the proxy serves as well: IPv6 to a container with IPv4 only", async () => {
    await create("closed", ...from);
    await create("open");
    await Container.run(host(), { network: "closed", serve: true }, ...both(8080));
    await Container.run(host(), { network: "open", serve: true }, ...both(8081));
    const places: readonly [string, Place][] = [
      ["client", host().outside.client],
      ["neighbor", host().outside.router],
      ["host", host()],
    ];
    const questions: Question[] = places.flatMap(([who, place]) =>
      protocols.flatMap((protocol) => [8080, 8081].map((port) => [who, place, protocol, host().ipv6, port] as const)),
    );
    expect(
      await wrong(questions, (question) => question.endsWith("8081") || !question.includes("neighbor")),
    ).to.deep.equal([]);
  });

  it("is there again when somebody has emptied the firewall, and goes with the network", async () => {
    await create("closed", ...from);
    const container = await Container.run(host(), { network: "closed", serve: true }, "-p", "8080:80");
    await host().sh("nft delete table inet tsnet");
    expect(await ask(host().outside.client, "tcp", host().ipv4, 8080)).to.equal(client.ipv4);
    expect(await answers(host().outside.router, "tcp", host().ipv4, 8080)).to.equal(false);
    await container.remove();
    await host().docker("network", "rm", "closed");
    await create("open");
    await Container.run(host(), { network: "open", serve: true }, "-p", "8080:80");
    expect(await ask(host().outside.router, "tcp", host().ipv4, 8080)).to.equal(hostNetwork.ipv4(254));
  });
});

/** Of `timeout`, when it had to end the command: man 1 timeout. */
const timedOut = 124;

/** A firewall that lets nobody in, until it is told otherwise. */
interface Firewall {
  readonly start: (host: Host) => Promise<AsyncDisposable>;
  /** Lets everybody in to port 8080. */
  readonly allow: string;
}

/** What an administrator without any of the programs writes. */
async function dropIncoming(host: Host): Promise<AsyncDisposable> {
  const each = (script: string) => host.sh(`set -e; for p in "iptables -w" "ip6tables -w"; do ${script}; done`);
  await each(`
    $p -A INPUT -i lo -j ACCEPT
    $p -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
    $p -P INPUT DROP`);
  await host.sh("ip6tables -w -A INPUT -p icmpv6 -j ACCEPT");
  return { [Symbol.asyncDispose]: async () => void (await each("$p -P INPUT ACCEPT; $p -F INPUT")) };
}

const firewalls: Readonly<Record<string, Firewall>> = {
  "a policy DROP of INPUT": {
    start: dropIncoming,
    allow:
      "for p in iptables ip6tables; do for l in tcp udp; do $p -w -A INPUT -p $l --dport 8080 -j ACCEPT; done; done",
  },
  "ufw, which denies what comes in": { start: enableUfw, allow: "ufw allow 8080" },
  "firewalld, in whose zone the port is not": {
    start: startFirewalld,
    allow: "firewall-cmd --add-port=8080/tcp --add-port=8080/udp",
  },
};

describe("-o tsnet.publish_policy=host", () => {
  const host = useHost(["--live-restore"], { prepare: noDuplicateCheck });
  let machine: string;
  before(() => {
    machine = machineFirewallFiles();
  });
  after("the machine's own firewalls are as they were", () => expect(machineFirewallFiles()).to.equal(machine));
  const create = (name: string, ...args: string[]) => host().docker("network", "create", "-d", driver, ...args, name);

  /** A firewall that starts empties FORWARD; a datagram of the moment until tsnet's rule is back is lost. */
  const lettingThrough = (port: number) =>
    until("tsnet's rule in FORWARD is back", 10_000, async () => {
      const asked = [host().ipv4, host().ipv6].map((to) => answers(host().outside.client, "udp", to, port));
      return (await Promise.all(asked)).every(Boolean);
    });

  for (const [name, { start, allow }] of Object.entries(firewalls)) {
    it(`lets the host's own firewall decide, which Docker's policy bypasses: ${name}`, async () => {
      await create("obedient", ...subnets(1), "-o", "tsnet.publish_policy=host");
      await create("bypassing", ...subnets(2), "-o", "tsnet.publish_policy=docker");
      const serve = (network: string, ...args: string[]) => Container.run(host(), { network, serve: true }, ...args);
      await serve("obedient", ...both(8080), ...both(8082));
      await serve("bypassing", ...both(8081));
      const fromOutside: Question[] = protocols.flatMap((protocol) =>
        [host().ipv4, host().ipv6].flatMap((address) =>
          [8080, 8081, 8082].map((port) => ["client", host().outside.client, protocol, address, port] as const),
        ),
      );
      expect(await wrong(fromOutside, () => true), "without a firewall").to.deep.equal([]);
      await using _firewall = await start(host());
      await lettingThrough(8081);
      expect(await wrong(fromOutside, (question) => question.endsWith("8081"))).to.deep.equal([]);
      expect(await ask(host(), "tcp", "127.0.0.1", 8080)).to.equal("10.81.1.1");
      await host().sh(allow);
      await lettingThrough(8081);
      expect(await wrong(fromOutside, (question) => !question.endsWith("8082"))).to.deep.equal([]);
      expect(await ask(host().outside.client, "tcp", host().ipv4, 8080)).to.equal("10.81.1.1");
      expect(await ask(host().outside.client, "tcp", host().ipv4, 8081)).to.equal(client.ipv4);
    });
  }
});
