import { expect } from "chai";
import { dockerBackend, explainForward } from "../../../src/driver/report-forward.ts";
import { forwardLines } from "../../support/report.ts";

const mark = 0x0100_0000;
const ours = "-A FORWARD -m mark --mark 0x1000000/0x1000000 -m comment --comment tsnet -j ACCEPT";

/** FORWARD as Docker 20.10 lays it out: its jumps come on top again, and ours stands further down. */
const docker20 = [
  "-P FORWARD DROP",
  "-A FORWARD -j DOCKER-USER",
  "-A FORWARD -j DOCKER-ISOLATION-STAGE-1",
  "-A FORWARD -o mybridge -j DOCKER",
  "-A FORWARD -i mybridge ! -o mybridge -j ACCEPT",
  "-A FORWARD -o br-0123456789ab -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
  ours,
];

describe("what FORWARD does with an accepted packet", () => {
  const rulesBefore = (lines: readonly string[], marked = true) =>
    explainForward({ "iptables-nft": lines }, { family: 4, mark, marked }).steps.flatMap(({ rules = [] }) => rules);

  it("leaves out Docker's own rules, which match no bridge of ours, and what cannot drop", () => {
    expect(rulesBefore(docker20)).to.deep.equal([]);
    expect(rulesBefore(forwardLines(["-s 198.51.100.7/32 -j RETURN", "-j RETURN"]))).to.deep.equal([]);
    expect(rulesBefore(["-P FORWARD DROP", "-A FORWARD -i eth0 -j ACCEPT", ours])).to.deep.equal([]);
  });

  it("lists what may drop, in DOCKER-USER and in FORWARD itself, up to our rule", () => {
    const user = ["-s 198.51.100.7/32 -j RETURN", "-i eth0 -j DROP"];
    expect(rulesBefore(forwardLines(user))).to.deep.equal(user.map((rule) => `-A DOCKER-USER ${rule}`));
    const own = "-A FORWARD ! -i docker0 -j REJECT";
    expect(
      rulesBefore(["-P FORWARD DROP", own, "-A FORWARD -j ufw-before-forward", ours, "-A FORWARD -j after"]),
    ).to.deep.equal([own, "-A FORWARD -j ufw-before-forward"]);
    expect(rulesBefore(["-P FORWARD ACCEPT", "-A FORWARD -s 198.51.100.7/32 -j DROP"])).to.have.length(1);
  });

  it("asks the programs of the packet's family, all of them", () => {
    const forward = {
      "iptables-nft": forwardLines(),
      "ip6tables-nft": forwardLines([], false),
      "iptables-legacy": ["-P FORWARD ACCEPT"],
    };
    const result = (family: 4 | 6) => explainForward(forward, { family, mark, marked: true });
    expect(result(4).result).to.equal("passes");
    expect(result(4).steps.map(({ at }) => at)).to.deep.equal([
      "iptables-nft, chain FORWARD",
      "iptables-legacy, chain FORWARD",
    ]);
    expect(result(6).result).to.equal("dropped");
    expect(explainForward({}, { family: 4, mark, marked: true })).to.deep.equal({ steps: [], result: "passes" });
  });

  it("leaves what has no mark to Docker's rules", () => {
    expect(explainForward({ "docker-bridges": [] }, { family: 6, mark, marked: false }).result).to.equal("may pass");
    expect(explainForward({ "docker-bridges": [] }, { family: 6, mark, marked: true }).result).to.equal("passes");
    expect(explainForward({ "iptables-nft": docker20 }, { family: 4, mark, marked: false }).result).to.equal(
      "may pass",
    );
  });
});

describe("Docker's backend", () => {
  it("is known by its chains", () => {
    expect(dockerBackend({ "iptables-nft": forwardLines() })).to.equal("iptables-nft (chain DOCKER-FORWARD)");
    expect(dockerBackend({ "iptables-legacy": docker20, "iptables-nft": ["-P FORWARD ACCEPT"] })).to.equal(
      "iptables-legacy",
    );
    expect(dockerBackend({ "iptables-nft": ["-P FORWARD ACCEPT"], "docker-bridges": ["filter-FORWARD"] })).to.equal(
      "nftables (tables docker-bridges)",
    );
    expect(dockerBackend({ "iptables-nft": ["-P FORWARD ACCEPT"] })).to.equal("none of its chains are there");
  });
});
