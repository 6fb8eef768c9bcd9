import { execFileSync } from "node:child_process";
import { expect } from "chai";
import { hasErrno, TsnetError } from "../../../src/errors.ts";
import { insertForwardRule, observeForward, removeForwardRule } from "../../../src/kernel/forward.ts";
import { LegacyIptablesPoll } from "../../../src/kernel/legacy-poll.ts";
import { dockerBridges, planForward, planForwardRemoval } from "../../../src/plan/forward.ts";
import type { IptablesProgram, Op } from "../../../src/plan/op.ts";

const mark = 0x01000000;
const ours = "-A FORWARD -m mark --mark 0x1000000/0x1000000 -m comment --comment tsnet -j ACCEPT";
const programs: readonly IptablesProgram[] = ["iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy"];

const run = (program: string, ...words: string[]): string =>
  execFileSync(program, words, { encoding: "utf8", stdio: "pipe" });
const rules = (program: string): string[] => run(program, "-S", "FORWARD").trim().split("\n");

/** The chains that Docker 29 makes in its own table for its bridges, without their rules. */
const dockerTable = (family: string, ...bridges: string[]): string => {
  const base = "chain filter-FORWARD { type filter hook forward priority filter; policy accept; }";
  const kinds = ["filter-forward-in", "filter-forward-out", "nat-postrouting-in", "nat-postrouting-out"];
  const chains = bridges.flatMap((bridge) => kinds.map((kind) => `chain ${kind}__${bridge} { }`));
  return [`table ${family} docker-bridges {`, base, "chain nat-prerouting-and-output { }", ...chains, "}"].join("\n");
};

async function apply(ops: readonly Op[]): Promise<void> {
  for (const op of ops) {
    if (op.op === "insert-forward-rule") await insertForwardRule(op);
    else if (op.op === "remove-forward-rule") await removeForwardRule(op);
  }
}

describe("forward", () => {
  describe("in a new namespace", () => {
    const module = (name: string): string => String(new URL(`../../../src/kernel/${name}.ts`, import.meta.url));
    const observe = `const { observeForward, removeForwardRule } = await import("${module("forward")}");
      console.log(JSON.stringify(await observeForward()));`;
    /** What the shell's lines print, in a namespace where no iptables has been asked yet; $NODE runs $1. */
    const inNewNamespace = (shell: string, script: string): string =>
      execFileSync("unshare", ["--net", "--mount", "sh", "-ec", shell, "sh", script], {
        encoding: "utf8",
        env: { ...process.env, NODE: `${process.execPath} --input-type=module -e` },
      });

    it("observes what accepts, creates nothing, and removes nothing", () => {
      const script = `${observe}
        const { LegacyIptablesPoll } = await import("${module("legacy-poll")}");
        for (const program of ${JSON.stringify(programs)}) await removeForwardRule({ program, mark: ${mark} });
        console.log(new LegacyIptablesPoll().changed());`;
      const printed = inNewNamespace(
        '$NODE "$1"; nft list ruleset; cat /proc/net/ip_tables_names /proc/net/ip6_tables_names',
        script,
      );
      expect(printed).to.equal('{"iptables-nft":["-P FORWARD ACCEPT"],"ip6tables-nft":["-P FORWARD ACCEPT"]}\nfalse\n');
    });

    it("leaves out a FORWARD that was made with nft, and that iptables cannot read", () => {
      const shell = `nft 'add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; }'
        nft 'add rule ip filter FORWARD ct state vmap { new : accept }'
        $NODE "$1"`;
      expect(inNewNamespace(shell, observe)).to.equal('{"ip6tables-nft":["-P FORWARD ACCEPT"]}\n');
    });

    it("leaves out what iptables remarks about a table", () => {
      const shell = `nft 'add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 5; }'
        $NODE "$1"`;
      expect(JSON.parse(inNewNamespace(shell, observe))["iptables-nft"]).to.deep.equal(["-P FORWARD ACCEPT"]);
    });

    it("learns Docker's bridges where Docker uses nftables, of both families, and needs no rule there", () => {
      const other = "table ip docker-bridges-2 {\nchain filter-forward-in__other { }\n}";
      const tables = [dockerTable("ip", "docker0", "br-0123456789ab"), dockerTable("ip6", "six"), other];
      const shell = `nft '${tables.join("\n")}'
        $NODE "$1"`;
      const observed = JSON.parse(inNewNamespace(shell, observe));
      expect(dockerBridges(observed, new Set())).to.deep.equal(new Set(["docker0", "br-0123456789ab", "six"]));
      expect(observed).to.have.all.keys("iptables-nft", "ip6tables-nft", "docker-bridges");
      expect(planForward(observed, mark)).to.deep.equal([]);
    });

    it("reads a chain however long it is", () => {
      const shell = `{ echo '*filter'; seq -f '-A FORWARD -p tcp --dport %.0f -m comment --comment "a rule of many" -j DROP' 20000
        echo COMMIT; } | iptables-nft-restore
        $NODE "$1"`;
      const script = observe.replace(
        "JSON.stringify(await observeForward())",
        '(await observeForward())["iptables-nft"].length',
      );
      expect(inNewNamespace(shell, script)).to.equal("20001\n");
    });

    it("leaves out programs that are not installed", () => {
      expect(inNewNamespace('mount -t tmpfs none /usr/sbin; $NODE "$1"', observe)).to.equal("{}\n");
    });
  });

  for (const program of programs) {
    describe(`with ${program}`, () => {
      beforeEach(() => {
        run(program, "-P", "FORWARD", "DROP");
        run(program, "-N", "DOCKER-USER");
        run(program, "-A", "FORWARD", "-j", "DOCKER-USER");
        run(program, "-A", "FORWARD", "-i", "eth9", "-j", "ACCEPT");
      });
      afterEach(() => {
        run(program, "-P", "FORWARD", "ACCEPT");
        run(program, "-F");
        run(program, "-X");
        run("nft", "flush", "ruleset");
      });

      const before = ["-P FORWARD DROP", "-A FORWARD -j DOCKER-USER", "-A FORWARD -i eth9 -j ACCEPT"];
      const planned = async (): Promise<Op[]> => planForward(await observeForward(), mark);

      it("observes what the program prints", async () => {
        expect((await observeForward())[program]).to.deep.equal(before);
      });

      it("observes the chains that name Docker's bridges, where FORWARD leads to them, and makes none", async () => {
        const observed = async () => (await observeForward())[program];
        for (const chain of ["DOCKER", "DOCKER-FORWARD", "DOCKER-BRIDGE"]) run(program, "-N", chain);
        run(program, "-A", "DOCKER-FORWARD", "-j", "DOCKER-BRIDGE");
        run(program, "-A", "DOCKER-BRIDGE", "-o", "mydocker", "-j", "DOCKER");
        expect(await observed()).to.deep.equal(before);
        run(program, "-A", "FORWARD", "-j", "DOCKER-FORWARD");
        const whole = run(program, "-S");
        const more = ["-A FORWARD -j DOCKER-FORWARD", "-N DOCKER-BRIDGE", "-A DOCKER-BRIDGE -o mydocker -j DOCKER"];
        expect(await observed()).to.deep.equal([...before, ...more]);
        expect(run(program, "-S")).to.equal(whole);
        expect(await planned()).to.have.length(1);
      });

      it("learns bridges from what the program prints of Docker's rules up to 28.0.0, and of an internal network", async () => {
        const subnet = program.startsWith("ip6") ? "fd00::/64" : "10.0.0.0/24";
        run(program, "-N", "DOCKER");
        run(program, "-A", "FORWARD", "-o", "mydocker", "-j", "DOCKER");
        run(program, "-N", "DOCKER-ISOLATION-STAGE-1");
        run(program, "-I", "FORWARD", "-j", "DOCKER-ISOLATION-STAGE-1");
        run(
          program,
          "-A",
          "DOCKER-ISOLATION-STAGE-1",
          ..."! -s SUBNET -o inner -j DROP".replace("SUBNET", subnet).split(" "),
        );
        expect(dockerBridges(await observeForward(), new Set())).to.deep.equal(new Set(["mydocker", "inner"]));
      });

      it("puts the rule after the jump, once, and takes it back", async () => {
        const ops = await planned();
        await apply([...ops, ...ops]);
        expect(rules(program)).to.deep.equal([...before.slice(0, 2), ours, ...before.slice(2)]);
        expect(await planned()).to.deep.equal([]);
        await apply(planForwardRemoval(await observeForward(), mark));
        expect(rules(program)).to.deep.equal(before);
        await removeForwardRule({ op: "remove-forward-rule", program, mark });
      });

      it("moves it, when a jump was put before it", async () => {
        await apply(await planned());
        run(program, "-D", "FORWARD", "-j", "DOCKER-USER");
        run(program, "-A", "FORWARD", "-j", "DOCKER-USER");
        await apply(await planned());
        expect(rules(program)).to.deep.equal([before[0], before[2], before[1], ours]);
      });

      it("says what the program said", async () => {
        const error = await insertForwardRule({ op: "insert-forward-rule", program, position: 9, mark }).then(
          () => undefined,
          (reason: unknown) => reason,
        );
        expect(error).to.be.instanceOf(TsnetError).with.property("code", "kernel");
        expect(String(error)).to.contain(`${program} -I FORWARD 9`).and.to.contain("Index of insertion too big");
        expect(hasErrno(error, "ENOENT")).to.equal(false);
      });
    });
  }

  describe("the poll of iptables-legacy", () => {
    for (const program of ["iptables-legacy", "ip6tables-legacy"]) {
      it(`sees a rule of ${program} come and go, and nothing else`, () => {
        run(program, "-P", "FORWARD", "ACCEPT");
        const poll = new LegacyIptablesPoll();
        expect(poll.changed()).to.equal(false);
        run(program, "-A", "FORWARD", "-j", "ACCEPT");
        expect(poll.changed()).to.equal(true);
        expect(poll.changed()).to.equal(false);
        run(program, "-S");
        run(program, "-t", "nat", "-A", "POSTROUTING", "-j", "ACCEPT");
        expect(poll.changed()).to.equal(false);
        run(program, "-F", "FORWARD");
        run(program, "-t", "nat", "-F");
        expect(poll.changed()).to.equal(true);
        poll.close();
      });
    }
  });
});
