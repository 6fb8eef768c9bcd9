import { execFileSync } from "node:child_process";
import { expect } from "chai";
import { Observer } from "../../../src/kernel/observer.ts";
import { countTranslated } from "../../../src/kernel/translated-flows.ts";
import { mostMs, turnsOf } from "../../support/stall.ts";

const [mesh, other] = ["tsnet-test-a", "tsnet-test-b"];
const pathOf = (name: string): string => `/run/netns/${name}`;
const inside = (name: string, words: string, input = ""): string => {
  const program = ["netns", "exec", name, "sh", "-c", `cat | ${words}`];
  return execFileSync("ip", program, { encoding: "utf8", input, stdio: "pipe", maxBuffer: 64 << 20 });
};

/** So many, of which a service has 5 tasks, fill a third of what a kernel remembers on a machine with 8 GB. */
const many = 100_000;

describe("translated flows", function () {
  this.timeout(60_000);
  const observer = new Observer();

  before(() => {
    for (const name of [mesh, other]) {
      execFileSync("ip", ["netns", "add", name]);
      // without a rule that needs them, a namespace remembers no flows
      inside(name, "nft -f -", "table ip t { chain c { type filter hook input priority 0; ct state new accept; }; }");
    }
  });
  afterEach(() => {
    for (const name of [mesh, other]) inside(name, "conntrack -F");
  });
  after(() => {
    for (const name of [mesh, other]) execFileSync("ip", ["netns", "del", name]);
  });

  let port = 4000;
  /** A flow that is remembered, as `conntrack -I` has it. */
  const add = (name: string, to: string, target: string, protocol = "tcp --state ESTABLISHED"): string => {
    const words = `conntrack -I -p ${protocol} -s 10.5.0.9 -d ${to} --sport ${port++} --dport 80 -t 100`;
    return inside(name, `${words} --dst-nat ${target}`);
  };

  it("are counted by what they were sent to, and who answers", async () => {
    for (const target of ["10.5.0.11", "10.5.0.11", "10.5.0.12"]) add(mesh, "10.5.0.2", target);
    add(mesh, "10.5.0.2", "10.5.0.12", "udp");
    add(mesh, "10.5.0.3", "10.5.0.12");
    add(other, "10.5.0.2", "10.6.0.200");
    expect(await observer.observeTranslated([pathOf(mesh), pathOf(other)])).to.deep.equal({
      [pathOf(mesh)]: { "10.5.0.2 10.5.0.11": 2, "10.5.0.2 10.5.0.12": 2, "10.5.0.3 10.5.0.12": 1 },
      [pathOf(other)]: { "10.5.0.2 10.6.0.200": 1 },
    });
  });

  it("are not those that are closed, or were not translated", async () => {
    for (const state of ["TIME_WAIT", "CLOSE"]) add(mesh, "10.5.0.2", "10.5.0.11", `tcp --state ${state}`);
    inside(mesh, "conntrack -I -p udp -s 10.5.0.9 -d 10.5.0.11 --sport 5000 --dport 80 -t 100");
    inside(mesh, "conntrack -I -p udp -s 10.5.0.9 -d 10.5.0.12 --sport 5000 --dport 80 -t 100 --src-nat 10.5.0.2");
    inside(mesh, "conntrack -I -p udp -s fd00::9 -d fd00::2 --sport 5000 --dport 80 -t 100 --dst-nat fd00::11");
    expect(inside(mesh, "conntrack -C").trim()).to.equal("5");
    expect(await observer.observeTranslated([pathOf(mesh)])).to.deep.equal({ [pathOf(mesh)]: {} });
  });

  it("are not there in what is no namespace, or none any more", async () => {
    const files = ["/run/netns/tsnet-none", "/etc/hostname"];
    expect(await observer.observeTranslated(files)).to.deep.equal({});
    for (const file of files) expect(countTranslated(file)).to.equal(null);
  });

  it(`are counted among ${many} without keeping anybody`, async () => {
    const flow = (n: number): string => {
      const from = `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`;
      return `-A -t 100 -p udp -s ${from} -d 10.5.0.2 --sport 4000 --dport 53 --dst-nat 10.5.0.${11 + (n % 5)}\n`;
    };
    inside(mesh, "conntrack -R -", Array.from({ length: many }, (_, n) => flow(n)).join(""));
    expect(inside(mesh, "conntrack -C").trim()).to.equal(`${many}`);
    const { value, meanMs } = await turnsOf(() => observer.observeTranslated([pathOf(mesh)]));
    const tasks = Array.from({ length: 5 }, (_, n) => [`10.5.0.2 10.5.0.${11 + n}`, many / 5]);
    expect(value).to.deep.equal({ [pathOf(mesh)]: Object.fromEntries(tasks) });
    expect(meanMs).to.be.lessThan(mostMs);
  });
});
