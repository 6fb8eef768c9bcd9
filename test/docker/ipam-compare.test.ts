import { readFileSync } from "node:fs";
import { expect } from "chai";
import { Container } from "../support/container.ts";
import { dockerIsAsked, expectNothingLeft } from "../support/docker-suite.ts";
import { Host } from "../support/host.ts";
import { type Form, guests } from "../support/ipam-address-forms.ts";
import { type Expected, meantIn, reasons, wordingsIn } from "../support/ipam-differences.ts";
import { forms } from "../support/ipam-forms.ts";
import { clear, differences, maxSteps, parentLink, type Side, type Step, tryCommands } from "../support/ipam-trial.ts";

const parents = Array.from({ length: maxSteps }, (_, number) => parentLink(number));
const prepare = parents.map((name) => `ip link add ${name} type veth peer name ${name}-peer`).join("\n");

describe("tsnet's address management, compared with Docker's own", () => {
  let host: Host;
  let major: number;
  const compared = new Set<string>();
  const wordsHeard = new Set<string>();
  before(async () => {
    host = await Host.start([], { prepare });
    major = Number.parseInt(await host.docker("version", "--format", "{{.Server.Version}}"), 10);
    await Promise.all(guests.map((name) => Container.run(host, { network: "bridge" }, "--name", name)));
  });
  after(() => host?.[Symbol.asyncDispose]());

  const outcomes = async (side: Side, { commands, either, around }: Form): Promise<Step[]> => {
    if (around) await host.sh(around.before);
    const steps = await tryCommands(host, side, commands).finally(async () => {
      await clear(host, guests);
      await dockerIsAsked(host);
      if (around) await host.sh(around.after);
    });
    if (either === undefined) return steps;
    return steps.map(({ command, outcome }) => ({ command, outcome: outcome.replaceAll(either, "EITHER") }));
  };

  for (const [name, form] of Object.entries(forms)) {
    const { theirs, ours } = form.drivers ?? { theirs: "bridge", ours: "tsnet" };
    it(`does the same, but for what is meant: ${name}`, async function () {
      if (major < (form.since ?? 0)) return this.skip();
      const withDocker = await outcomes({ driver: theirs, ipam: "default" }, form);
      const withTsnet = await outcomes({ driver: ours, ipam: "tsnet" }, form);
      await expectNothingLeft(host);
      const found = differences(withDocker, withTsnet);
      compared.add(name);
      const known: Expected[] = [...meantIn(name, major), ...wordingsIn(major)];
      const unexpected = found.filter((difference) => !known.some((entry) => entry.matches(difference)));
      const isFound = (entry: Expected) => found.some((difference) => entry.matches(difference));
      const past = meantIn(name, major).filter((entry) => !isFound(entry));
      for (const wording of wordingsIn(major).filter(isFound)) wordsHeard.add(wording.name);
      expect({ unexpected, past: past.map(({ name }) => name) }).to.deep.equal({ unexpected: [], past: [] });
    });
  }

  it("says all that it is known to say differently", function () {
    if (Object.entries(forms).some(([name, { since = 0 }]) => since <= major && !compared.has(name)))
      return this.skip();
    expect([...wordsHeard].toSorted()).to.deep.equal(
      wordingsIn(major)
        .map(({ name }) => name)
        .toSorted(),
    );
  });

  it("differs in what the docs say", () => {
    const docs = readFileSync(new URL("../../docs/ipam.md", import.meta.url), "utf8");
    const section = docs.split(/^## /m).find((part) => part.startsWith("Where it differs")) ?? "";
    const [, ...cells] = [...section.matchAll(/^\| (.*?) \|/gm)].map(([, cell]) => cell);
    expect(cells).to.have.members(Object.values(reasons));
  });

  // Docker 29 is the first to ask for it itself: until then "0.0.0.0/24" is a subnet for its own address management.
  it("chooses any subnet of a size when Docker 29 asks for one", async () => {
    const ask = (pool: string, v6 = false) =>
      host.plugin.call("IpamDriver.RequestPool", {
        ...{ AddressSpace: "tsnet-local", Pool: pool, SubPool: "", Options: {}, V6: v6 },
      });
    const pools = [await ask("0.0.0.0/24"), await ask("0.0.0.0/24"), await ask("0.0.0.0/20"), await ask("::/72", true)];
    expect(pools.slice(0, 3).map(({ Pool }) => Pool)).to.deep.equal([
      "172.18.0.0/24",
      "172.18.1.0/24",
      "172.18.16.0/20",
    ]);
    expect(pools[3].Pool).to.match(/^fd[0-9a-f:]+\/72$/);
    expect((await ask("0.0.0.0/11")).Error).to.match(/^invalid address pool: /);
    for (const { PoolID } of pools) await host.plugin.call("IpamDriver.ReleasePool", { PoolID });
    await expectNothingLeft(host);
  });

  // Only swarm's manager asks so; `--ipam-opt` of the same name asks nobody.
  it("gives out the next address after the last one when swarm asks for that", async () => {
    const { PoolID } = await host.plugin.call("IpamDriver.RequestPool", {
      ...{ AddressSpace: "tsnet-global", Pool: "10.91.0.0/29", SubPool: "", Options: {}, V6: false },
    });
    const next = async () => {
      const Options = { "com.docker.network.ipam.serial": "true" };
      return (await host.plugin.call("IpamDriver.RequestAddress", { PoolID, Address: "", Options })).Address;
    };
    const release = (Address: string) => host.plugin.call("IpamDriver.ReleaseAddress", { PoolID, Address });
    expect([await next(), await next()]).to.deep.equal(["10.91.0.1/29", "10.91.0.2/29"]);
    await release("10.91.0.1");
    expect([await next(), await next(), await next(), await next()]).to.deep.equal(
      ["3", "4", "5", "6"].map((host) => `10.91.0.${host}/29`),
    );
    expect(await next()).to.equal("10.91.0.1/29");
    await host.plugin.call("IpamDriver.ReleasePool", { PoolID });
    await expectNothingLeft(host);
  });
});
