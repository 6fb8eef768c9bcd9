import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { answersToArp, createWithAccess, expectBothWays, hasLink, hasTable, wayTo } from "../support/host-access.ts";
import { hostSubnet, lanDriver, onParent, Stranger } from "../support/lan.ts";
import { client, hostNetwork } from "../support/outside.ts";
import { until } from "../support/poll.ts";
import { ask, echoes, ping } from "../support/probe.ts";

const own = hostNetwork.ipv4(1);

describe("host access to networks of mode macvlan", () => {
  const one = useHost();
  const two = useHost([], () => ({ outside: one().outside, number: 2 }));
  const run = (...args: string[]) => Container.run(one(), { network: "lan", serve: true }, ...args);
  const macOf = async (link: string): Promise<string> => (await one().ip(`link show dev ${link}`))[0].address;

  it("works both ways, without an address of its own", async () => {
    const shim = await createWithAccess(one(), "macvlan", "lan");
    const [a, b] = await Promise.all([run(), run()]);
    await expectBothWays(one(), a);
    await expectBothWays(one(), b);
    const [{ addr_info, linkinfo, ifalias }] = await one().ip(`addr show dev ${shim}`);
    expect(addr_info).to.deep.equal([]);
    expect([linkinfo.info_kind, linkinfo.info_data.mode]).to.deep.equal(["macvlan", "bridge"]);
    expect(ifalias).to.match(/^tsnet:shim:/);
    await ping(a, await b.ipv4("lan"));
    await ping(a, client.ipv4);
    await ping(one().outside.client, await a.ipv4("lan"));
  });

  it("reaches ports that are published on the host", async () => {
    await createWithAccess(one(), "macvlan", "lan");
    await one().docker("network", "create", "-d", "tsnet", "bridged");
    await Container.run(one(), { network: "bridged", serve: true }, "-p", "8080:80");
    const a = await run();
    expect(await ask(a, "tcp", own, 8080)).to.equal(await a.ipv4("lan"));
    expect(await ask(a, "udp", own, 80).catch(() => "closed")).to.equal("closed");
  });

  it("leaves containers of other hosts and their hosts as they are", async () => {
    await createWithAccess(one(), "macvlan", "lan");
    await two().docker("network", "create", ...lanDriver(), ...onParent("eth0"), ...hostSubnet(2), "lan");
    const a = await run();
    const c = await Container.run(two(), { network: "lan", serve: true });
    const [address, other] = [await a.ipv4("lan"), await c.ipv4("lan")];
    expect(await ask(one(), "tcp", other)).to.equal(own);
    expect(await ask(a, "tcp", other)).to.equal(address);
    expect(await ask(c, "tcp", address)).to.equal(other);
    expect(await ask(two(), "tcp", address)).to.equal(two().ipv4);
    await ping(c, own);
    expect(await echoes(two(), other)).to.equal(false);
  });

  it("answers neighbors once for each address of the host, with the MAC of its own link", async () => {
    const shim = await createWithAccess(one(), "macvlan", "lan");
    const a = await run();
    await one().sh(
      "ip link add second type veth peer name second-peer; ip link set second up; ip addr add 10.9.9.9/24 dev second",
    );
    await using stranger = await Stranger.connect(one().outside, 99);
    await stranger.exec("ip route add 10.9.9.9 dev eth0");
    for (const address of [own, "10.9.9.9"]) {
      const answers = await answersToArp(stranger, "eth0", address);
      expect(new Set(answers), address).to.deep.equal(new Set([await macOf("eth0")]));
      expect(answers.length, address).to.be.at.most(2);
      await ping(stranger, address);
    }
    expect(new Set(await answersToArp(stranger, "eth0", await a.ipv4("lan")))).to.have.property("size", 1);
    expect(await macOf(shim)).not.to.equal(await macOf("eth0"));
    await one().sh("ip link del second");
  });

  it("goes with the container, and with the network", async () => {
    const shim = await createWithAccess(one(), "macvlan", "lan");
    const a = await run();
    const address = await a.ipv4("lan");
    const { MacAddress } = await a.endpoint("lan");
    expect(await wayTo(one(), address)).to.deep.equal([
      `route ${shim} ${own}`,
      `neighbor ${shim} ${MacAddress}`,
      "element",
    ]);
    await one().docker("stop", "-t", "0", a.id);
    expect(await wayTo(one(), address)).to.deep.equal([]);
    await one().docker("start", a.id);
    await a.listens();
    await expectBothWays(one(), a);
    await a.remove();
    expect([await hasLink(one(), shim), await hasTable(one())]).to.deep.equal([true, true]);
    await one().docker("network", "rm", "lan");
    expect([await hasLink(one(), shim), await hasTable(one())]).to.deep.equal([false, false]);
  });

  it("of several networks on one parent is that of each", async () => {
    const first = await createWithAccess(one(), "macvlan", "lan");
    const options = ["-d", "tsnet", "-o", "mode=macvlan", "-o", "parent=eth0", "-o", "tsnet.host_access=true"];
    const range = ["--subnet", "192.168.77.0/24", "--ip-range", "192.168.77.96/27"];
    await one().docker("network", "create", ...options, ...range, "lan2");
    const a = await run();
    const b = await Container.run(one(), { network: "lan2", serve: true });
    await expectBothWays(one(), a);
    await expectBothWays(one(), b, "lan2");
    await ping(a, await b.ipv4("lan2"));
    await a.remove();
    await one().docker("network", "rm", "lan");
    expect([await hasLink(one(), first), await hasTable(one())]).to.deep.equal([false, true]);
    await expectBothWays(one(), b, "lan2");
  });

  it("survives restarts of the plugin and of Docker, and of the machine", async () => {
    await createWithAccess(one(), "macvlan", "lan");
    const a = await run("--restart", "always", "--ip", "192.168.77.40");
    for (const end of [() => one().plugin.stop(), () => one().plugin.kill()]) {
      await end();
      await expectBothWays(one(), a);
      await one().plugin.start();
      await expectBothWays(one(), a);
    }
    await one().dockerd.stop();
    await one().dockerd.start();
    await a.listens();
    await expectBothWays(one(), a);
    await one().reboot();
    await one().plugin.start();
    await one().dockerd.start([]);
    await a.listens();
    await until("the host reaches it", 5000, () => echoes(one(), "192.168.77.40"));
    await expectBothWays(one(), a);
  });
});
