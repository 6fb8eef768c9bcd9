/** The command tsnet ipam against the plugin on a real Docker host; who has what is judged by what Docker says. */
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { driver } from "../support/plugin.ts";
import { until } from "../support/poll.ts";

const program = fileURLToPath(new URL("../../src/cli/tsnet", import.meta.url));

describe("the command tsnet ipam on a Docker host", () => {
  const host = useHost();
  /** Runs it on the host. @returns the exit code, and what it prints */
  const tsnet = async (words: string): Promise<[code: number, text: string]> => {
    const said = await host().sh(`DOCKER_HOST=unix://${host().socket} ${program} ${words} 2>&1; echo "exit $?"`);
    const [, text = "", code] = /^(.*)exit (\d+)\n?$/s.exec(said) ?? [];
    return [Number(code), text];
  };
  const answerOf = async (words: string): Promise<string> => {
    const [code, text] = await tsnet(words);
    expect([code, code === 0 ? "" : text]).to.deep.equal([0, ""]);
    return text;
  };
  const rowsOf = async (words: string): Promise<string[][]> =>
    (await answerOf(words)).split("\n").map((line) => line.trim().split(/ {3,}/));
  const create = (...args: string[]) => host().docker("network", "create", "--ipam-driver", "tsnet", ...args);

  it("shows who has which address of a network, as Docker has it", async () => {
    const aux = ["--aux-address", "router=10.80.0.5"];
    await create("-d", driver, "--subnet", "10.80.0.0/24", "--gateway", "10.80.0.254", ...aux, "web");
    const began = Date.now();
    const one = await Container.run(host(), { network: "web" }, "--name", "one");
    const two = await Container.run(host(), { network: "web" }, "--name", "two", "--ip", "10.80.0.77");
    const id = "tsnet-local/10.80.0.0/24";
    expect(await rowsOf("ipam")).to.deep.include([id, "web", "256", "4", "0", "250", "1.5%"]);

    const [title, , header, ...rows] = await rowsOf("ipam show web");
    expect([title, header]).to.deep.equal([[`Pool ${id} of network web`], ["ADDRESS", "HELD BY", "SINCE"]]);
    expect(rows.map(([address, holder]) => [address, holder]).slice(0, -1)).to.deep.equal([
      [await one.ipv4("web"), "one"],
      ["10.80.0.5", "auxiliary"],
      [await two.ipv4("web"), "two"],
      ["10.80.0.254", "gateway"],
    ]);
    const { pools } = JSON.parse(await answerOf("ipam show 10.80.0.0/24 --json"));
    const lease = pools[0].leases.find(({ address }: { address: string }) => address === "10.80.0.77");
    expect(lease).to.deep.include({ containerName: "two", endpoint: (await two.endpoint("web")).EndpointID });
    expect(Date.parse(lease.since)).to.be.within(began, Date.now());
  });

  it("shows both pools of a network with two families, and counts what no number holds", async () => {
    await create("-d", driver, "--ipv6", "--subnet", "10.81.0.0/29", "--subnet", "fd00:81::/64", "dual");
    const one = await Container.run(host(), { network: "dual" }, "--name", "one");
    const rows = (await rowsOf("ipam")).filter(([, network]) => network === "dual");
    expect(rows).to.deep.equal([
      ["tsnet-local/10.81.0.0/29", "dual", "8", "2", "0", "4", "33.3%"],
      ["tsnet-local/fd00:81::/64", "dual", "2^64", "2", "0", "~2^64", "<0.01%"],
    ]);
    const shown = await rowsOf("ipam show dual");
    const holders = shown.filter(([address = ""]) => /^(10\.81|fd00:81:)/.test(address)).map((row) => row.slice(0, 2));
    expect(holders).to.deep.equal([
      ["10.81.0.1", "gateway"],
      [await one.ipv4("dual"), "one"],
      ["fd00:81::1", "gateway"],
      [await one.ipv6("dual"), "one"],
    ]);
  });

  it("marks a pool that is nearly full", async () => {
    await create("-d", driver, "--subnet", "10.82.0.0/30", "small");
    await Container.run(host(), { network: "small" });
    expect(await rowsOf("ipam")).to.deep.include(["tsnet-local/10.82.0.0/30", "small", "4", "2", "0", "0", "100% !"]);
  });

  it("names the networks and containers of other drivers that have their addresses from tsnet", async () => {
    const range = ["--subnet", "10.83.0.0/24", "--ip-range", "10.83.0.128/25"];
    await create("-d", "bridge", ...range, "theirs");
    const one = await Container.run(host(), { network: "theirs" }, "--name", "one");
    const shown = await rowsOf("ipam show theirs");
    expect(shown[0]).to.deep.equal(["Pool tsnet-local/10.83.0.0/24/10.83.0.128/25 of network theirs"]);
    expect(shown.map((row) => row.slice(0, 2))).to.deep.include([await one.ipv4("theirs"), "one"]);
  });

  it("says of a pool that there is not which there are", async () => {
    await create("-d", driver, "--subnet", "10.84.0.0/24", "web");
    expect(await tsnet("ipam show wbe")).to.deep.equal([
      1,
      "tsnet: wbe: no such pool, subnet or network; there are tsnet-local/10.84.0.0/24 (web)\n",
    ]);
  });

  it("finds an address that nobody has, and gives it back when it is told to", async () => {
    await host().plugin.stop();
    await host().plugin.start({ TSNET_ORPHAN_GRACE: "1s" }); // what tsnet does about it by itself, it begins to do in a minute
    const id = "tsnet-local/10.85.0.0/24";
    await create("-d", driver, "--subnet", "10.85.0.0/24", "web");
    const one = await Container.run(host(), { network: "web" }, "--name", "one");
    expect(await answerOf("ipam check")).to.equal("Nothing is wrong.\n");
    const leaked = await host().plugin.call("IpamDriver.RequestAddress", { PoolID: id, Address: "", Options: {} });
    expect(leaked).to.have.property("Address", "10.85.0.3/24");
    expect(await rowsOf("ipam")).to.deep.include([id, "web", "256", "3", "0", "251", "1.1%"]);

    let findings: Record<string, unknown>[] = [];
    await until("the leak has been one for the grace time", 20_000, async () => {
      const [code, text] = await tsnet("ipam check --json");
      expect(code).to.equal(1);
      findings = JSON.parse(text).findings;
      return findings.every(({ repairable }) => repairable);
    });
    expect(findings.map(({ kind, pool, address }) => [kind, pool, address])).to.deep.equal([
      ["orphan-lease", id, "10.85.0.3"],
    ]);
    expect(await tsnet("ipam check")).to.have.property("0", 1);
    expect(await rowsOf("ipam")).to.deep.include([id, "web", "256", "3", "0", "251", "1.1%"]);

    expect(await answerOf("ipam check --repair")).to.match(
      /^Given back:\n\n.*\n\S+ +10\.85\.0\.3 .*no endpoint has it\n\nNothing is wrong now\.\n$/,
    );
    expect(await answerOf("ipam check")).to.equal("Nothing is wrong.\n");
    expect(await rowsOf("ipam")).to.deep.include([id, "web", "256", "2", "0", "252", "0.78%"]);
    const held = (await rowsOf("ipam show web")).map(([address]) => address);
    expect(held)
      .to.include(await one.ipv4("web"))
      .and.not.include("10.85.0.3");
    const two = await Container.run(host(), { network: "web" });
    expect(await two.ipv4("web")).to.equal("10.85.0.3");
  });
});
