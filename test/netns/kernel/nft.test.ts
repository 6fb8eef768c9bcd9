import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect } from "chai";
import { TsnetError } from "../../../src/errors.ts";
import { Nft } from "../../../src/kernel/nft.ts";
import { NftTable } from "../../../src/kernel/nft-table.ts";
import { changeScript, removeTableScript, tableScript } from "../../../src/plan/firewall-script.ts";
import { setNames } from "../../support/nft-arbitrary.ts";

const mark = 0x01000000;
const table = tableScript({}, mark);

/** Every set and map of the table, each with every form of element that the plugin writes. */
const elements: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  bridges: { "tsb-0123456789a": "", "br-x.y": "", tcp: "", all: "", "17": "" },
  docker_links: { docker0: "" },
  internal: { "tsb-1": "" },
  trusted: { "eth0.100 . br0": "" },
  restricted: { br0: "" },
  sources4: { "br0 . 10.0.0.0/8": "", "br0 . 192.0.2.1": "", "br1 . 0.0.0.0/0": "" },
  sources6: { "br0 . fd00::/8": "", "br0 . ::1": "" },
  masq4: { "172.18.0.0/16": "", "10.0.0.0/25": "", "10.0.0.128/25": "", "10.9.9.9": "", "10.7.0.0-10.7.0.9": "" },
  masq6: { "fd00::/64": "", "fd00:0:0:1::/64": "", "fd00:1::1": "", "64:ff9b::/96": "" },
  snat4: { "172.18.0.0/16": "192.0.2.1", "10.0.0.1": "192.0.2.2" },
  snat6: { "fd00::/64": "2001:db8::1" },
  own4: { "br0 . 172.18.0.0/16": "", "br0 . 10.0.0.0/25": "", "br0 . 10.0.0.128/25": "", "br1 . 10.1.1.1": "" },
  own6: { "br0 . fd00::/64": "", "br1 . ::/0": "" },
  multihomed4: { "10.0.0.1": "" },
  multihomed6: { "fd00::1": "" },
  loopback4: { "127.0.0.1 . tcp . 8080": "", "127.0.0.2 . udp . 8000-8010": "" },
  proxied: { "ipv4 . tcp . 8080": "", "ipv6 . tcp . 8080": "", "ipv6 . udp . 53": "" },
  proxied4: { "192.0.2.1 . tcp . 8080": "" },
  proxied6: { "2001:db8::1 . udp . 8080": "" },
  port4: { "tcp . 8080": "172.18.0.2 . 80", "udp . 53": "172.18.0.3 . 53", "sctp . 5": "1.2.3.4 . 6" },
  port6: { "tcp . 8080": "fd00::2 . 80" },
  bound4: { "127.0.0.1 . tcp . 8080": "172.18.0.2 . 80" },
  bound6: { "::1 . udp . 8080": "fd00::2 . 80", "::ffff:102:304 . tcp . 22": "fd00::2 . 80" },
  range4: { "tcp . 8000-8010": "172.18.0.2", "tcp . 8011-8020": "172.18.0.2", "udp . 9": "1.2.3.4" },
  range6: { "tcp . 8000-8010": "fd00::2" },
  boundrange4: { "192.0.2.1 . tcp . 8000-8010": "172.18.0.2", "192.0.2.2 . tcp . 8000-8010": "172.18.0.3" },
  boundrange6: { "2001:db8::1 . tcp . 8000-8010": "fd00::2" },
  open4: { "10.0.0.1 . tcp . 80": "", "10.0.0.1 . udp . 8000-8007": "", "10.0.0.2 . sctp . 0-65535": "" },
  open6: { "fd00::2 . tcp . 80": "" },
  direct4: { "tsg-0123456789a . 10.5.0.0/24 . 10.5.0.0/24": "", "eth0 . 10.5.0.0/24 . 10.6.0.0/25": "" },
  direct6: { "eth0 . fd00:5::/64 . fd00:5::/64": "" },
  traffic4: { "10.0.0.1 . tcp . 80": "" },
  traffic6: { "fd00::2 . tcp . 80": "" },
  between: { "br0 . br0": "goto pass", "br1 . br1": "drop", "br2 . br2": "accept" },
  into: { "ipv4 . br0": "drop", "ipv6 . br0": "goto routed" },
};

const all = Object.entries(elements).flatMap(([set, content]) =>
  Object.entries(content).map(([key, data]) => [set, key, data] as const),
);

interface Listed {
  readonly set?: { readonly name: string; readonly elem?: readonly unknown[] };
  readonly map?: { readonly name: string; readonly elem?: readonly unknown[] };
}
/** How many elements each set and map has: by the program nft. */
const judgeCounts = (): Record<string, number> => {
  const listing = JSON.parse(execFileSync("nft", ["-j", "list", "table", "inet", "tsnet"], { encoding: "utf8" }));
  const sets = (listing.nftables as Listed[]).flatMap(({ set, map }) => set ?? map ?? []);
  return Object.fromEntries(sets.map(({ name, elem }) => [name, elem?.length ?? 0]));
};
const counts = (of: (set: string) => number): Record<string, number> =>
  Object.fromEntries(setNames.map((set) => [set, of(set)]));

describe("nft", () => {
  let nft: Nft;
  let ours: NftTable;
  beforeEach(() => {
    nft = new Nft();
    ours = new NftTable();
  });
  afterEach(() => {
    nft.run(removeTableScript);
    ours.close();
    nft.close();
  });

  const failure = (script: string): TsnetError => {
    try {
      nft.run(script);
    } catch (error) {
      if (error instanceof TsnetError) return error;
    }
    throw new Error(`no TsnetError: ${script}`);
  };

  it("sees no table where there is none", () => {
    expect(ours.observe()?.skeleton).to.equal(undefined);
    expect(ours.observe()).to.equal(undefined);
  });

  it("gives every key back as it was written, and deletes by these keys", () => {
    nft.run(table);
    nft.run(changeScript({ add: all }));
    expect(judgeCounts()).to.deep.equal(counts((set) => Object.keys(elements[set] ?? {}).length));
    const observed = Object.entries(ours.observe()?.elements ?? {});
    expect(Object.fromEntries(observed.map(([set, content]) => [set, { ...content }]))).to.deep.equal(elements);
    nft.run(changeScript({ remove: all }));
    expect(judgeCounts()).to.deep.equal(counts(() => 0));
  });

  it("does not need /etc/protocols", () => {
    const module = (name: string): string => String(new URL(`../../../src/kernel/${name}.ts`, import.meta.url));
    const script = `import { Nft } from "${module("nft")}"; import { NftTable } from "${module("nft-table")}";
      new Nft().run("add element inet tsnet port4 { tcp . 1 : 1.2.3.4 . 1, sctp . 2 : 1.2.3.4 . 2 }");
      console.log(JSON.stringify(Object.keys(new NftTable().observe().elements.port4).sort()))`;
    nft.run(table);
    const shell = 'mount --bind /dev/null /etc/protocols && exec "$0" --input-type=module -e "$1"';
    const output = execFileSync("unshare", ["--mount", "sh", "-c", shell, process.execPath, script], {
      encoding: "utf8",
    });
    expect(JSON.parse(output)).to.deep.equal(["sctp . 2", "tcp . 1"]);
  });

  it("has one skeleton for one script, whatever is in the table, and another for a changed one", () => {
    nft.run(table);
    const before = ours.observe()?.skeleton;
    nft.run(changeScript({ add: all }));
    expect(ours.observe()?.skeleton).to.equal(before);
    nft.run(table);
    expect(ours.observe()?.skeleton).to.equal(before);
    execFileSync("nft", ["insert", "rule", "inet", "tsnet", "ours", "counter", "accept"]);
    expect(ours.observe()?.skeleton).not.to.equal(before);
  });

  it("does all of a transaction or nothing", () => {
    nft.run(table);
    failure('add element inet tsnet bridges { "a" }\ndelete element inet tsnet bridges { "b" }');
    expect(judgeCounts()["bridges"]).to.equal(0);
  });

  it("names the line and the errno of a failure", () => {
    nft.run(table);
    nft.run("add element inet tsnet port4 { tcp . 80 : 10.0.0.1 . 80 }");
    const cases = [
      ["add element inet tsnet port4 { tcp . 80 : 10.0.0.2 . 80 }", "EEXIST"],
      ["add element inet tsnet nomap { tcp . 80 }", "ENOENT"],
      ["delete element inet tsnet port4 { tcp . 81 }", "ENOENT"],
      ["delete chain inet tsnet pass", "EBUSY"],
    ] as const;
    for (const [script, errno] of cases) {
      const error = failure(`add element inet tsnet bridges { "good" }\n${script}`);
      expect(error.code).to.equal("kernel");
      expect(error.errno, script).to.equal(errno);
      expect(error.message)
        .to.match(/^nft: .+ in: /)
        .and.to.contain(script);
    }
    expect(failure("no such language").message).to.match(/^nft: syntax error, .* in: no such language$/);
    nft.run('add element inet tsnet bridges { "after" }');
    expect(judgeCounts()["bridges"]).to.equal(1);
  });

  it("has a port ID of its own that the kernel knows", () => {
    const other = new Nft();
    try {
      expect(other.portId).not.to.equal(nft.portId);
      const rows = readFileSync("/proc/thread-self/net/netlink", "utf8").split("\n");
      const ports = rows.map((row) => row.trim().split(/\s+/)).filter(([, family]) => family === "12");
      expect(ports.map(([, , port]) => Number(port))).to.include.members([nft.portId, other.portId]);
    } finally {
      other.close();
    }
  });

  it("refuses to be used after close, and closes twice", () => {
    const closed = new Nft();
    closed.close();
    closed.close();
    expect(() => closed.run("list tables")).to.throw(TsnetError, "closed");
  });
});
