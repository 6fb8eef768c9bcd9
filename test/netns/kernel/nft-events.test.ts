import { execFileSync } from "node:child_process";
import { expect } from "chai";
import { Nft } from "../../../src/kernel/nft.ts";
import { NftEvents } from "../../../src/kernel/nft-events.ts";
import { tableScript } from "../../../src/plan/firewall-script.ts";

const table = tableScript({}, 0x01000000);
const run = (program: string, ...words: string[]): unknown => execFileSync(program, words, { stdio: "pipe" });
const nothing = { firewall: false, forward: false, everything: false };
const firewall = { ...nothing, firewall: true };
const forward = { ...nothing, forward: true };

describe("nft events", () => {
  let nft: Nft;
  let events: NftEvents;
  beforeEach(() => {
    run("nft", "flush", "ruleset");
    nft = new Nft();
    nft.run(table);
    events = new NftEvents();
    events.ignore(nft.portId);
  });
  afterEach(() => {
    events.close();
    nft.close();
    run("nft", "flush", "ruleset");
  });

  it("tells others' changes to our table, of whatever kind", () => {
    const changes = [
      "add element inet tsnet bridges { docker0 }",
      "delete element inet tsnet bridges { docker0 }",
      "add rule inet tsnet pass counter",
      "flush chain inet tsnet pass",
      "add chain inet tsnet another",
      "add set inet tsnet another { type ifname; }",
      "delete set inet tsnet another",
      "add counter inet tsnet another",
      "add table inet tsnet { flags dormant; }",
      "delete table inet tsnet",
      "add table inet tsnet",
      "flush ruleset",
    ];
    for (const change of changes) {
      run("nft", change);
      expect(events.read(), change).to.deep.equal(firewall);
      expect(events.read(), change).to.deep.equal(nothing);
    }
  });

  it("does not tell our own", () => {
    nft.run("add element inet tsnet port4 { tcp . 80 : 10.0.0.1 . 80 }");
    nft.run(`${table}\nadd element inet tsnet bridges { "a" }`);
    nft.run("delete table inet tsnet");
    expect(events.read()).to.deep.equal(nothing);
  });

  it("tells ours from others' in one queue", () => {
    nft.run('add element inet tsnet bridges { "a" }');
    run("nft", "add element inet tsnet bridges { b }");
    nft.run('add element inet tsnet bridges { "c" }');
    expect(events.read()).to.deep.equal(firewall);
  });

  it("does not tell changes to other tables, even of our name in another family", () => {
    run("nft", "add table inet tsnet-hold; add table inet other; add chain inet other FORWARD");
    run("nft", "add table ip tsnet; add chain ip tsnet FORWARD; delete table ip tsnet");
    run("nft", "add table inet filter; add chain inet filter FORWARD");
    expect(events.read()).to.deep.equal(nothing);
  });

  for (const program of ["iptables-nft", "ip6tables-nft"]) {
    it(`tells changes to FORWARD, DOCKER-USER and the chains that name Docker's bridges of ${program}, and not to other chains`, () => {
      const telling = [
        "-P FORWARD DROP",
        "-N DOCKER-USER",
        "-A DOCKER-USER -j RETURN",
        "-I FORWARD -j DOCKER-USER",
        "-D FORWARD -j DOCKER-USER",
        "-F DOCKER-USER",
        "-X DOCKER-USER",
        ...["DOCKER-BRIDGE", "DOCKER-INTERNAL", "DOCKER-ISOLATION-STAGE-1"].flatMap((chain) => [
          `-N ${chain}`,
          `-A ${chain} -o docker0 -j DROP`,
          `-D ${chain} -o docker0 -j DROP`,
        ]),
      ];
      for (const change of telling) {
        run(program, ...change.split(" "));
        expect(events.read(), change).to.deep.equal(forward);
      }
      const silent = [
        "-N DOCKER",
        "-A DOCKER -p tcp --dport 80 -j ACCEPT",
        "-D DOCKER -p tcp --dport 80 -j ACCEPT",
        "-t nat -N DOCKER",
        "-t nat -A DOCKER -p tcp --dport 80 -j ACCEPT",
        "-t nat -F DOCKER",
        "-A INPUT -j ACCEPT",
      ];
      for (const change of silent) {
        run(program, ...change.split(" "));
        expect(events.read(), change).to.deep.equal(nothing);
      }
      run(program, "-F", "FORWARD");
      expect(events.read()).to.deep.equal(nothing);
      run("nft", "delete", "table", program === "iptables-nft" ? "ip" : "ip6", "filter");
      expect(events.read()).to.deep.equal(forward);
    });
  }

  for (const family of ["ip", "ip6"]) {
    it(`tells changes to the chains of Docker's own table ${family} docker-bridges, and not to their rules`, () => {
      const docker = `${family} docker-bridges`;
      const telling = [
        `add table ${docker}`,
        `add chain ${docker} filter-FORWARD { type filter hook forward priority 0; }`,
        `add chain ${docker} filter-forward-in__docker0`,
        `delete chain ${docker} filter-forward-in__docker0`,
      ];
      for (const change of telling) {
        run("nft", change);
        expect(events.read(), change).to.deep.equal(forward);
      }
      run("nft", `add rule ${docker} filter-FORWARD counter; add set ${docker} x { type ifname; elements = { lo } }`);
      run("nft", `add table ${family} docker-bridges-2; add chain ${family} docker-bridges-2 filter-forward-in__x`);
      expect(events.read()).to.deep.equal(nothing);
      run("nft", "delete", "table", family, "docker-bridges");
      expect(events.read()).to.deep.equal(forward);
    });
  }

  it("are told in a user namespace, too, which may not have a large buffer", () => {
    const script = `const { NftEvents } = await import("${new URL("../../../src/kernel/nft-events.ts", import.meta.url)}");
      const events = new NftEvents();
      (await import("node:child_process")).execFileSync("nft", ["add table inet tsnet"]);
      console.log(JSON.stringify(events.read()));`;
    const words = ["--user", "--map-root-user", "--net", process.execPath, "-e", script];
    expect(JSON.parse(execFileSync("unshare", words, { encoding: "utf8" }))).to.deep.equal(firewall);
  });

  it("says so when notifications were lost", () => {
    const elements = Array.from(
      { length: 40_000 },
      (_, port) => `${port < 20_000 ? "tcp" : "udp"} . ${port % 20_000} : 10.0.0.1 . 80`,
    );
    nft.run(`add element inet tsnet port4 { ${elements.join(", ")} }`);
    run("nft", "flush", "map", "inet", "tsnet", "port4");
    expect(events.read().everything).to.equal(true);
    expect(events.read()).to.deep.equal(nothing);
    run("nft", "add element inet tsnet bridges { b }");
    expect(events.read()).to.deep.equal(firewall);
  });
});
