import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { client } from "../support/outside.ts";
import { driver, packaging } from "../support/plugin.ts";
import { until } from "../support/poll.ts";
import { ask, everything, ping, reached, talkDuring } from "../support/probe.ts";

/** What somebody breaks by hand is back within this time. */
const repairedMs = 1_000;

/** From the plugin's first answer to all being as its records say. */
const restoredMs = 5_000;

describe("what somebody breaks", () => {
  const host = useHost();
  let server: Container;
  let neighbor: Container;
  let bridge: string;
  beforeEach(async () => {
    const id = await host().docker("network", "create", "-d", driver, "web");
    bridge = `tsb-${id.slice(0, 11)}`;
    server = await Container.run(host(), { network: "web", serve: true }, "-p", "8080:80", "-p", "7007:7");
    neighbor = await Container.run(host(), { network: "web" });
  });

  const everythingWorks = async () => {
    expect(await reached(neighbor, await server.ipv4("web"))).to.deep.equal(everything);
    expect(await ask(host().outside.client, "tcp", host().ipv4, 8080)).to.equal(client.ipv4);
    await ping(neighbor, client.ipv4);
  };
  const breakBy = async (script: string) => {
    const { code, stderr } = await host().exec(script);
    expect(code, stderr).to.equal(0);
  };
  const ruleset = async () => (await host().exec("nft -s list table inet tsnet")).stdout;

  it("is repaired within a second: ip link del of a bridge", async () => {
    const before = await host().ip(`addr show dev ${bridge}`);
    await breakBy(`ip link del ${bridge}`);
    await until("bridge and ports are back", repairedMs, async () => {
      const [now] = await host().ip(`addr show dev ${bridge}`);
      const ports = await host().ip(`link show master ${bridge}`);
      return now.address === before[0].address && now.flags.includes("UP") && ports.length === 2;
    });
    await everythingWorks();
  });

  it("is repaired within a second: nft flush ruleset, and no connection breaks", async () => {
    const before = await ruleset();
    const dockers = await host().sh("iptables-save");
    const answered = await talkDuring(
      host().outside.client,
      host().ipv4,
      async () => {
        await breakBy("nft flush ruleset");
        await until("the table is back", repairedMs, async () => (await ruleset()) === before);
        await ping(host(), client.ipv4);
      },
      7007,
    );
    expect(answered).to.be.greaterThan(1);
    await host().sh("iptables-restore", dockers); // Docker's own rules went as well
    await everythingWorks();
  });

  it("is repaired within a second: iptables -F FORWARD", async () => {
    const rule = async () =>
      (await host().iptables("-S FORWARD")).filter((line) => line.includes("0x1000000/0x1000000"));
    const before = await rule();
    expect(before).to.have.length(1);
    await host().sh("iptables -w -F FORWARD");
    await until("our rule in FORWARD is back", repairedMs, async () => `${await rule()}` === `${before}`);
    await everythingWorks();
  });

  it("is repaired within a second: an element, an address, a port of the bridge, a link that is down", async () => {
    const address = await server.ipv4("web");
    const { EndpointID } = await server.endpoint("web");
    const veth = `tsv-${EndpointID.slice(0, 11)}`;
    const table = await ruleset();
    const [{ addr_info: addresses }] = await host().ip(`-4 addr show dev ${bridge}`);
    const gateway = `${addresses[0].local}/${addresses[0].prefixlen}`;
    await breakBy(`nft delete element inet tsnet port4 { tcp . 8080 : ${address} . 80 }`);
    await until("the element is back", repairedMs, async () => (await ruleset()) === table);
    await breakBy(`ip addr del ${gateway} dev ${bridge}`);
    await until(
      "the address is back",
      repairedMs,
      async () => (await host().ip(`-4 addr show dev ${bridge}`))[0]?.addr_info[0]?.local === addresses[0].local,
    );
    await breakBy(`ip link set ${veth} nomaster`);
    await until(
      "the port is back",
      repairedMs,
      async () => (await host().ip(`link show dev ${veth}`))[0].master === bridge,
    );
    for (const link of [veth, bridge]) {
      await breakBy(`ip link set ${link} down`);
      await until(`${link} is up`, repairedMs, async () =>
        (await host().ip(`link show dev ${link}`))[0].flags.includes("UP"),
      );
    }
    await everythingWorks();
  });

  it("is left alone where it is not ours: links and tables of others, whatever they are called", async () => {
    await breakBy(
      "ip link add tsb-0123456789a type bridge; ip link add tsv-0123456789a type veth peer name tsc-0123456789a",
    );
    await breakBy("nft add table inet theirs; nft add chain inet theirs tsnet");
    const links = async () =>
      (await host().ip("link"))
        .map(({ ifname, ifindex, group }: Record<string, unknown>) => [ifname, ifindex, group])
        .filter(([ifname]: unknown[]) => !`${ifname}`.startsWith("tsd-")); // those wait to be deleted
    const before = await links();
    await host().plugin.restart();
    await everythingWorks();
    expect(await links()).to.deep.equal(before);
    expect((await host().exec("nft list chain inet theirs tsnet")).code).to.equal(0);
    await breakBy("ip link del tsb-0123456789a; ip link del tsv-0123456789a; nft delete table inet theirs");
  });

  it("of our own without a record goes when the plugin starts", async () => {
    const id = "ab".repeat(32);
    await breakBy(
      `ip link add tsb-${id.slice(0, 11)} type bridge; ip link set tsb-${id.slice(0, 11)} alias tsnet:bridge:${id}`,
    );
    await host().plugin.restart();
    await until(
      "the leftover is gone",
      restoredMs,
      async () => (await host().exec(`ip link show tsb-${id.slice(0, 11)}`)).code !== 0,
    );
    await everythingWorks();
  });
});

describe("a full disk under the state directory", () => {
  const host = useHost();
  /** Where it has its state, as it sees it: a managed plugin cannot be given another place. */
  const inside = packaging === "managed" ? "/var/lib/tsnet" : "/run/small";

  it("gives a clear error and loses nothing", async () => {
    await host().plugin.stop();
    const small = packaging === "managed" ? host().plugin.stateDirectory : inside;
    await host().sh(`mkdir -p ${small} && mount -t tmpfs -o size=1m,mode=700 tmpfs ${small}`);
    await host().plugin.start(packaging === "managed" ? {} : { TSNET_STATE_DIR: small });
    await host().docker("network", "create", "-d", driver, "web");
    const server = await Container.run(host(), { network: "web", serve: true }, "-p", "8080:80");

    await host().sh(`dd if=/dev/zero of=${small}/filler bs=4k 2>/dev/null; true`);
    const errors = await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        host().tryDocker("network", "create", "-d", driver, "--subnet", `10.90.${n}.0/24`, `n${n}`),
      ),
    );
    const failed = errors.filter(({ code }) => code !== 0);
    expect(failed.length).to.be.greaterThan(0);
    for (const { stderr } of failed)
      expect(stderr)
        .to.match(/full|no space/i)
        .and.include(inside);
    expect(await ask(host().outside.client, "tcp", host().ipv4, 8080)).to.equal(client.ipv4);

    await host().sh(`rm ${small}/filler`);
    await host().docker("network", "create", "-d", driver, "--subnet", "10.91.0.0/24", "later");
    await host().plugin.kill();
    await host().plugin.start();
    const neighbor = await Container.run(host(), { network: "web" });
    expect(await reached(neighbor, await server.ipv4("web"))).to.deep.equal(everything);
    expect(await ask(host().outside.client, "tcp", host().ipv4, 8080)).to.equal(client.ipv4);
    await host().docker("rm", "-f", server.id, neighbor.id);
    await host().docker("network", "rm", "web", "later");
    await until("no bridge is left but those of the networks that were made", 3_000, async () => {
      const made = errors.filter(({ code }) => code === 0).length;
      const { stdout } = await host().exec("ip -o link show type bridge");
      return (stdout.match(/tsb-/g) ?? []).length === made;
    });
  });
});
