import { expect } from "chai";
import * as fc from "fast-check";
import {
  dockerBridges,
  dockerChains,
  isForwardRule,
  planForward,
  planForwardRemoval,
} from "../../../src/plan/forward.ts";

const mark = 0x01000000;
const program = "iptables-nft" as const;
const ours = "-A FORWARD -m mark --mark 0x1000000/0x1000000 -m comment --comment tsnet -j ACCEPT";
const jump = "-A FORWARD -j DOCKER-USER";
const docker = "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT";
const reject = "-A FORWARD -j REJECT --reject-with icmp-port-unreachable";
const accepts = "-P FORWARD ACCEPT";
const drops = "-P FORWARD DROP";

const insert = (position: number): object => ({ op: "insert-forward-rule", program, position, mark });
const remove = { op: "remove-forward-rule", program, mark };
const plan = (...lines: string[]): object[] => planForward({ [program]: lines }, mark);

const isolation = "-A FORWARD -j DOCKER-ISOLATION-STAGE-1";
/** What Docker has there for its bridge NAME: up to 28.0.0, and since. */
const docker27 = (name: string): string[] => [
  `-A FORWARD -o ${name} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
  `-A FORWARD -o ${name} -j DOCKER`,
  `-A FORWARD -i ${name} ! -o ${name} -j ACCEPT`,
  `-A FORWARD -i ${name} -o ${name} -j ACCEPT`,
  `-A DOCKER-ISOLATION-STAGE-1 -i ${name} ! -o ${name} -j DOCKER-ISOLATION-STAGE-2`,
];
/** 28.0.0 names subnets in FORWARD, by a set of addresses, and bridges in DOCKER: here docker0, and mydocker in routed mode. */
const docker280 = [
  "-A FORWARD -m set --match-set docker-ext-bridges-v4 dst -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
  "-A FORWARD -m set --match-set docker-ext-bridges-v4 dst -j DOCKER",
  "-A FORWARD -i mydocker ! -o mydocker -j ACCEPT",
  "-A FORWARD -i docker0 -o docker0 -j ACCEPT",
  "-A DOCKER -d 10.0.0.2/32 ! -i mydocker -o mydocker -p tcp -m tcp --dport 80 -j ACCEPT",
  "-A DOCKER ! -i docker0 -o docker0 -j DROP",
  "-A DOCKER -o mydocker -p icmp -j ACCEPT",
  "-A DOCKER ! -i mydocker -o mydocker -j DROP",
];
const docker28 = ["-A FORWARD -j DOCKER-USER", "-A FORWARD -j DOCKER-FORWARD", "-N DOCKER-BRIDGE"];

/** What iptables makes of a plan. */
function apply(lines: readonly string[], ops: readonly object[]): string[] {
  const [policy = "", ...rules] = lines;
  for (const op of ops as { op: string; position?: number }[]) {
    if (op.position !== undefined) rules.splice(op.position - 1, 0, ours);
    else
      rules.splice(
        rules.findIndex((rule) => isForwardRule(rule, mark)),
        1,
      );
  }
  return [policy, ...rules];
}

describe("plan forward", () => {
  it("wants nothing where FORWARD accepts, and takes back what is there", () => {
    expect(plan(accepts)).to.deep.equal([]);
    expect(plan(accepts, jump, docker)).to.deep.equal([]);
    expect(plan(accepts, jump, ours, ours)).to.deep.equal([remove, remove]);
    expect(plan()).to.deep.equal([]);
  });

  it("wants the rule where the policy drops, or a rule without a condition", () => {
    expect(plan(drops)).to.deep.equal([insert(1)]);
    expect(plan(accepts, docker, reject)).to.deep.equal([insert(1)]);
    expect(plan(accepts, jump, "-A FORWARD -j DROP", docker)).to.deep.equal([insert(2)]);
    expect(plan(accepts, '-A FORWARD -m comment --comment "no \\"more\\" -j x" -j DROP')).to.deep.equal([insert(1)]);
  });

  it("does not take a drop with a condition for one of all", () => {
    expect(plan(accepts, "-A FORWARD -m conntrack --ctstate INVALID -j DROP")).to.deep.equal([]);
    expect(plan(accepts, "-A FORWARD -i eth0 -j REJECT --reject-with icmp-port-unreachable")).to.deep.equal([]);
    expect(plan(accepts, "-A FORWARD -j DROP-SOME")).to.deep.equal([]);
  });

  it("puts it right after the first jump to DOCKER-USER", () => {
    expect(plan(drops, docker, jump, docker)).to.deep.equal([insert(3)]);
    expect(plan(drops, "-A FORWARD -j DOCKER-USER-2", docker)).to.deep.equal([insert(1)]);
  });

  it("leaves it where it is, anywhere after the jump", () => {
    expect(plan(drops, jump, ours, docker)).to.deep.equal([]);
    expect(plan(drops, jump, docker, docker, ours)).to.deep.equal([]);
    expect(plan(drops, docker, ours)).to.deep.equal([]);
  });

  it("moves it from before the jump: first there, then gone here", () => {
    expect(plan(drops, ours, docker, jump, docker)).to.deep.equal([insert(4), remove]);
  });

  it("moves it from behind a drop of everything", () => {
    expect(plan(accepts, jump, docker, reject, ours)).to.deep.equal([remove, insert(2)]);
  });

  it("keeps one of several", () => {
    expect(plan(drops, jump, ours, docker, ours)).to.deep.equal([remove]);
    expect(plan(drops, ours, jump, ours)).to.deep.equal([remove]);
  });

  it("plans for each program by itself", () => {
    const ops = planForward(
      { "iptables-nft": [accepts], "iptables-legacy": [drops], "ip6tables-nft": [drops, jump] },
      mark,
    );
    expect(ops).to.deep.equal([
      { op: "insert-forward-rule", program: "iptables-legacy", position: 1, mark },
      { op: "insert-forward-rule", program: "ip6tables-nft", position: 2, mark },
    ]);
  });

  it("recognises its rule by mark and comment, quoted or not", () => {
    expect(isForwardRule(ours, mark)).to.equal(true);
    expect(isForwardRule(ours.replace("tsnet", '"tsnet"'), mark)).to.equal(true);
    const others = [
      ours.replace("tsnet", "tsnet2"),
      ours.replace("tsnet", '"not tsnet"'),
      ours.replace("-m mark --mark", "-m mark ! --mark"),
      ours.replaceAll("0x1000000", "0x2000000"),
      ours.replace("ACCEPT", "DROP"),
      ours.replace("FORWARD", "INPUT"),
    ];
    for (const other of others) expect(isForwardRule(other, mark), other).to.equal(false);
  });

  it("is not confused by the chains in which Docker names its bridges", () => {
    const others = ["-A DOCKER-BRIDGE -o docker0 -j DOCKER", "-A DOCKER-INTERNAL -j DROP", "-P DOCKER DROP"];
    expect(plan(accepts, jump, ...others)).to.deep.equal([]);
    expect(plan(drops, jump, ours, ...others)).to.deep.equal([]);
  });

  it("looks for names of bridges where FORWARD leads to Docker's chains, and nowhere else", () => {
    expect(dockerChains([drops, jump, docker, ours])).to.deep.equal([]);
    expect(dockerChains([drops, jump, isolation])).to.deep.equal(["DOCKER-ISOLATION-STAGE-1"]);
    expect(dockerChains([drops, "-A FORWARD -j DOCKER-BRIDGE"])).to.deep.equal(["DOCKER-BRIDGE"]);
    expect(dockerChains(docker28)).to.include.members(["DOCKER-BRIDGE", "DOCKER-INTERNAL", "DOCKER-ISOLATION-STAGE-1"]);
    expect(dockerChains(["-A FORWARD -j DOCKER-FORWARD-2", "-A DOCKER -j DOCKER-BRIDGE"])).to.deep.equal([]);
    expect(dockerChains([drops, jump, isolation, ...docker280])).to.deep.equal(["DOCKER-ISOLATION-STAGE-1", "DOCKER"]);
  });

  const bridges = (...lines: string[]): string[] => [...dockerBridges({ [program]: lines }, new Set(["tsb-1", "lan"]))];

  it("learns Docker's bridges by its rules, in the layouts of Docker 20.10 to 29", () => {
    const docker29 = [...docker28, "-A DOCKER-BRIDGE -o docker0 -j DOCKER", "-A DOCKER-BRIDGE -o mydocker -j DOCKER"];
    expect(bridges(drops, jump, isolation, ...docker27("mydocker"), ...docker27("docker0"))).to.deep.equal([
      "mydocker",
      "docker0",
    ]);
    expect(bridges(drops, ...docker29)).to.deep.equal(["docker0", "mydocker"]);
    expect(bridges(drops, jump, isolation, ...docker280)).to.deep.equal(["docker0", "mydocker"]);
    for (const chain of ["DOCKER-ISOLATION-STAGE-1", "DOCKER-INTERNAL"]) {
      const rules = [`-A ${chain} ! -s 10.1.0.0/16 -o inner -j DROP`, `-A ${chain} ! -d 10.1.0.0/16 -i inner -j DROP`];
      expect(bridges(drops, ...docker28, ...rules)).to.deep.equal(["inner"]);
    }
  });

  it("learns them by the chains of Docker's own tables, in which it needs no rule", () => {
    const own = ["filter-FORWARD", "nat-prerouting-and-output", "raw-PREROUTING"];
    const chains = [
      ...own,
      "filter-forward-in__docker0",
      "filter-forward-out__docker0",
      "filter-forward-in__my.docker",
    ];
    const observed = { "iptables-nft": [accepts], "docker-bridges": chains };
    expect(dockerBridges(observed, new Set())).to.deep.equal(new Set(["docker0", "my.docker"]));
    expect(dockerBridges(observed, new Set(["docker0"]))).to.deep.equal(new Set(["my.docker"]));
    expect(planForward(observed, mark)).to.deep.equal([]);
    expect(planForwardRemoval(observed, mark)).to.deep.equal([]);
    const strange = [
      "filter-forward-in__",
      "filter-forward-in__a b",
      'filter-forward-in__a"',
      "x-filter-forward-in__eth0",
    ];
    expect(dockerBridges({ "docker-bridges": strange }, new Set())).to.deep.equal(new Set());
  });

  it("learns them of all programs, each once", () => {
    const observed = {
      "iptables-nft": docker27("both"),
      "iptables-legacy": docker27("legacy"),
      "ip6tables-nft": docker27("both"),
    };
    expect(dockerBridges(observed, new Set())).to.deep.equal(new Set(["both", "legacy"]));
  });

  it("takes nothing else for a bridge of Docker's: no bridge of ours, no other rule, no name that nft could misread", () => {
    expect(bridges(...docker27("tsb-1"), ...docker27("lan"))).to.deep.equal([]);
    const others = [
      "-A FORWARD ! -o eth0 -j DOCKER",
      "-A FORWARD -o eth0 -p tcp -j DOCKER",
      "-A FORWARD -o eth0 -j DOCKER-2",
      "-A FORWARD -i eth0 -j DOCKER",
      "-A FORWARD -o eth0 -j ACCEPT",
      '-A FORWARD -m comment --comment "-A FORWARD -o eth0 -j DOCKER" -j ACCEPT',
      "-A DOCKER-USER -o eth0 -j DOCKER",
      "-A DOCKER-INTERNAL -o eth0 -j DROP",
      "-A DOCKER ! -i eth0 -o eth1 -j DROP",
      "-A DOCKER-USER ! -i eth0 -o eth0 -j DROP",
    ];
    expect(bridges(...others)).to.deep.equal([]);
    expect(bridges(...['a"', "eth+", "a{", "all", "sixteen-letters-"].flatMap(docker27))).to.deep.equal([]);
  });

  it("removes every one, and nothing else", () => {
    expect(planForwardRemoval({ [program]: [drops, ours, jump, docker, ours] }, mark)).to.deep.equal([remove, remove]);
    expect(planForwardRemoval({ [program]: [drops, jump, docker] }, mark)).to.deep.equal([]);
  });

  it("is satisfied with what it has done, whatever was there, and leaves the others' rules alone", () => {
    const rule = fc.constantFrom(ours, jump, docker, reject);
    const lines = fc.tuple(fc.constantFrom(accepts, drops), fc.array(rule, { maxLength: 8 }));
    fc.assert(
      fc.property(lines, ([policy, rules]) => {
        const after = apply([policy, ...rules], plan(policy, ...rules));
        expect(plan(...after)).to.deep.equal([]);
        expect(after.filter((line) => line !== ours)).to.deep.equal([policy, ...rules].filter((line) => line !== ours));
        const needed = policy === drops || rules.includes(reject);
        expect(after.filter((line) => line === ours)).to.have.length(needed ? 1 : 0);
      }),
      { numRuns: 2000 },
    );
  });
});
