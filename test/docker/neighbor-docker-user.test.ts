import { readFileSync } from "node:fs";
import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { iptablesIs, noDuplicateCheck } from "../support/firewalls.ts";
import { client } from "../support/outside.ts";
import { driver } from "../support/plugin.ts";
import { until } from "../support/poll.ts";
import { answerSeconds, answers, ask, type Place, silenceSeconds } from "../support/probe.ts";

type Family = "ipv4" | "ipv6";

/** From the plugin's first answer to its rules being there. */
const restoredMs = 5_000;

/** Longer than tsnet waits for the lock of iptables, and after how long it tries again. */
const lockSeconds = 6;
const secondTryMs = 1_000;

const families = {
  ipv4: { program: "iptables", container: (n: number) => `10.80.0.${n}` },
  ipv6: { program: "ip6tables", container: (n: number) => `fd00:80::${n}` },
} as const;

/** What a user has written, and whom of the client and its neighbor it lets in to the container on host port 8000 + n. */
interface Row {
  readonly n: number;
  /** Arguments of iptables, one call each; $CTR is the container, $CLIENT the client outside. */
  readonly rules: readonly string[];
  readonly letsIn: readonly ("client" | "neighbor")[];
}

/** Docker puts a RETURN at the end of the chain (up to 27): only before it is something appended ever asked. */
const withoutReturn = "-D DOCKER-USER -j RETURN";

const table: Readonly<Record<string, Row>> = {
  "no rule": { n: 10, rules: [], letsIn: ["client", "neighbor"] },
  "DROP inserted for one source": {
    n: 11,
    rules: ["-I DOCKER-USER -i eth0 -s $CLIENT -d $CTR -j DROP"],
    letsIn: ["neighbor"],
  },
  "DROP of the original port": {
    n: 12,
    rules: ["-I DOCKER-USER -i eth0 -p tcp -m conntrack --ctorigdstport 8012 --ctdir ORIGINAL -j DROP"],
    letsIn: [],
  },
  "RETURN for one source, then DROP": {
    n: 13,
    rules: ["-I DOCKER-USER -i eth0 -d $CTR -j DROP", "-I DOCKER-USER -i eth0 -s $CLIENT -d $CTR -j RETURN"],
    letsIn: ["client"],
  },
  "DROP appended at the end": {
    n: 14,
    rules: [withoutReturn, "-A DOCKER-USER -i eth0 -s $CLIENT -d $CTR -j DROP"],
    letsIn: ["neighbor"],
  },
};

/** Docker 20.10 makes no DOCKER-USER for IPv6. */
const forwardOfIpv6 = `
  set -e
  ip6tables -w -P FORWARD DROP
  ip6tables -w -N DOCKER-USER 2>/dev/null || exit 0
  ip6tables -w -A DOCKER-USER -j RETURN
  ip6tables -w -I FORWARD -j DOCKER-USER`;

for (const backend of ["nft", "legacy"] as const) {
  describe(`rules of a user in DOCKER-USER, with iptables-${backend}`, () => {
    const host = useHost([], { prepare: `${iptablesIs(backend)}\n${noDuplicateCheck}` });
    const subnets = ["--ipv6", "--subnet", "10.80.0.0/24", "--subnet", "fd00:80::/64"];
    before("IPv6 as Docker lays it out from 27 on", () => host().sh(forwardOfIpv6));
    beforeEach(() => host().docker("network", "create", "-d", driver, ...subnets, "web"));
    afterEach("DOCKER-USER is as Docker made it", () =>
      host().sh("for p in iptables ip6tables; do $p -w -F DOCKER-USER && $p -w -A DOCKER-USER -j RETURN || exit; done"),
    );
    const serve = (n: number, ...args: string[]) =>
      Container.run(
        host(),
        { network: "web", serve: true },
        ...["--ip", families.ipv4.container(n), "--ip6", families.ipv6.container(n)],
        ...args,
      );

    it("runs with that iptables", async () => {
      expect(await host().sh("iptables -V")).to.include(backend === "nft" ? "nf_tables" : "legacy");
      const { stdout } = await host().exec("nft list tables");
      expect(/^table ip filter$/m.test(stdout)).to.equal(backend === "nft");
    });

    it("decide before tsnet's own rule does, in both families, also after Docker has put its rules on top again", async () => {
      await Promise.all(Object.values(table).map(({ n }) => serve(n, "-p", `${8000 + n}:80`)));
      expect(await inBoth((family) => ask(host().outside.client, "tcp", host()[family], 8010))).to.deep.equal([
        client.ipv4,
        client.ipv6,
      ]);
      for (const row of Object.values(table)) await write(row);
      expect(await inBoth(whoIsLetIn)).to.deep.equal([expected, expected]);
      await host().docker("network", "create", "-d", "bridge", "dockers");
      await host().docker("network", "create", "-d", driver, "ours");
      expect(await inBoth(whoIsLetIn)).to.deep.equal([expected, expected]);
    });

    it("decide between two containers of one network, which the bridge connects", async () => {
      const [a, b, c] = await Promise.all([serve(21), serve(22), serve(23)]);
      const reached = await inBoth(async (family) => {
        const { program, container } = families[family];
        await host().sh(`${program} -w -I DOCKER-USER -s ${container(21)} -d ${container(22)} -j DROP`);
        const pairs = [
          [a, 22],
          [a, 23],
          [c, 22],
          [b, 23],
        ] as const;
        const seconds = (from: Container, to: number) => (from === a && to === 22 ? silenceSeconds : answerSeconds);
        return await Promise.all(pairs.map(([from, to]) => answers(from, "tcp", container(to), 80, seconds(from, to))));
      });
      expect(reached).to.deep.equal([
        [false, true, true, true],
        [false, true, true, true],
      ]);
    });

    it("need tsnet's rule where FORWARD drops what nobody accepts, and it comes back to a FORWARD that was emptied", async () => {
      await serve(30, "-p", "8030:80");
      await inBoth((family) => ask(host().outside.client, "tcp", host()[family], 8030));
      await host().plugin.stop();
      for (const { program } of Object.values(families)) await host().sh(`${program} -w -F FORWARD`);
      expect(await inBoth((family) => isForwarded(family, silenceSeconds))).to.deep.equal([false, false]);
      await host().plugin.start();
      await until("the rules are back", restoredMs, async () => `${await inBoth(countOurRules)}` === "1,1");
      expect(await inBoth((family) => isForwarded(family, answerSeconds))).to.deep.equal([true, true]);
      for (const { program } of Object.values(families)) await host().sh(`${program} -w -I FORWARD -j DOCKER-USER`);
    });

    // iptables-nft has no lock
    if (backend === "legacy")
      it("have tsnet's rule again soon after another program has held the lock of iptables for longer than tsnet waits", async () => {
        const flush = "XTABLES_LOCKFILE=/run/another.lock iptables -w -F FORWARD";
        await host().sh(`flock /run/xtables.lock sh -ec '${flush}; sleep ${lockSeconds}'`);
        expect(readFileSync(host().plugin.logFile, "utf8"))
          .to.include("could not be repaired: the rule in FORWARD")
          .and.include("holding the xtables lock");
        await until("the rule is back", secondTryMs, async () => (await countOurRules("ipv4")) === 1);
        await host().sh("iptables -w -I FORWARD -j DOCKER-USER");
      });

    const inBoth = <T>(work: (family: Family) => Promise<T>) => Promise.all([work("ipv4"), work("ipv6")]);

    async function isForwarded(family: Family, seconds: number): Promise<boolean> {
      const listing = await host().sh(`${families[family].program} -w -S FORWARD`);
      expect(listing).to.include("-P FORWARD DROP");
      return await answers(host().outside.client, "tcp", host()[family], 8030, seconds);
    }

    async function countOurRules(family: Family): Promise<number> {
      const listing = await host().sh(`${families[family].program} -w -S FORWARD`);
      return listing.split("\n").filter((line) => line.includes("--comment tsnet")).length;
    }

    async function write({ n, rules }: Row): Promise<void> {
      for (const [family, { program, container }] of Object.entries(families) as [
        Family,
        (typeof families)[Family],
      ][]) {
        for (const rule of rules) {
          const words = rule.replace("$CTR", container(n)).replace("$CLIENT", client[family]);
          await host().sh(`${program} -w ${words}`);
        }
      }
    }

    const expected = Object.fromEntries(Object.entries(table).map(([name, { letsIn }]) => [name, letsIn]));

    /** The table, as real connections show it. */
    async function whoIsLetIn(family: Family): Promise<Record<string, string[]>> {
      const places: readonly [string, Place][] = [
        ["client", host().outside.client],
        ["neighbor", host().outside.router],
      ];
      const rows = Object.entries(table).map(async ([name, { n }]) => {
        const seconds = (who: string) => (expected[name]?.some((one) => one === who) ? answerSeconds : silenceSeconds);
        const isLetIn = await Promise.all(
          places.map(([who, place]) => answers(place, "tcp", host()[family], 8000 + n, seconds(who))),
        );
        return [name, places.flatMap(([who], index) => (isLetIn[index] ? [who] : []))] as const;
      });
      return Object.fromEntries(await Promise.all(rows));
    }
  });
}
