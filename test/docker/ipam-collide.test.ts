import { expect } from "chai";
import { useHost } from "../support/docker-suite.ts";
import { driver, type LogLine } from "../support/plugin.ts";
import { until } from "../support/poll.ts";

/** An event of Docker's, and a list of its networks. */
const viewDeadlineMs = 5000;

const settings = { TSNET_ADDRESS_POOLS: "base=10.60.0.0/16,size=24;exclude=10.60.3.0/24" };

describe("a subnet that tsnet chooses", () => {
  const host = useHost();
  before("which Docker's own driver does not do", function () {
    if (driver === "bridge") this.skip();
  });

  /** What tsnet itself chooses: dockerd asks again for what it does not like. */
  const choose = async (): Promise<string> => {
    const wish = { AddressSpace: "tsnet-local", Pool: "", SubPool: "", Options: {}, V6: false };
    const { PoolID, Pool, Error: error } = await host().plugin.call("IpamDriver.RequestPool", wish);
    if (error !== undefined) throw new Error(error);
    await host().plugin.call("IpamDriver.ReleasePool", { PoolID });
    return Pool;
  };
  const chooses = (subnet: string) =>
    until(`tsnet chooses ${subnet}`, viewDeadlineMs, async () => (await choose()) === subnet);
  const create = (name: string, ...args: string[]) => host().docker("network", "create", ...args, name);
  const ours = ["-d", driver, "--ipam-driver", "tsnet"];
  const restart = async (values: NodeJS.ProcessEnv) => {
    await host().plugin.stop();
    await host().plugin.start(values);
  };

  beforeEach(() => restart(settings));
  afterEach(async () => {
    await host().sh("ip rule del table 52 2>/dev/null; ip route flush table 52; ip route flush proto 99; true");
    await host().sh("sed -i /10.60/d /etc/resolv.conf; rm -rf /run/systemd");
    await restart({});
  });

  it("touches no VPN's route, no name server, no network of Docker's without a link, nothing excluded, none of ours", async () => {
    expect(await choose()).to.equal("10.60.0.0/24");
    await create("without-link", "-d", "macvlan", "-o", "parent=eth0", "--subnet", "10.60.0.0/24");
    const links: { ifname: string }[] = await host().ip("link");
    const routes: { dst: string }[] = await host().ip("route show table all");
    expect(links.filter(({ ifname }) => /^(dm|eth0)[-.@]/.test(ifname))).to.deep.equal([]);
    expect(routes.filter(({ dst }) => dst.startsWith("10.60"))).to.deep.equal([]);
    await chooses("10.60.1.0/24");
    await host().sh("ip rule add from all table 52 && ip route add 10.60.1.0/25 dev eth0 table 52");
    expect(await choose()).to.equal("10.60.2.0/24");
    await host().sh("echo nameserver 10.60.2.53 >>/etc/resolv.conf");
    expect(await choose()).to.equal("10.60.4.0/24"); // 10.60.3.0/24 is excluded
    await host().sh("mkdir -p /run/systemd/resolve; echo nameserver 10.60.4.53 >/run/systemd/resolve/resolv.conf");
    await create("ours", ...ours);
    const [{ IPAM }] = JSON.parse(await host().docker("network", "inspect", "ours"));
    expect(IPAM.Config[0].Subnet).to.equal("10.60.5.0/24");
    await create("dockers", "-d", "bridge", "--subnet", "10.60.6.0/24");
    expect(await choose()).to.equal("10.60.7.0/24");
    await host().docker("network", "rm", "without-link");
    await chooses("10.60.0.0/24");
    await host().docker("network", "rm", "ours");
    await host().sh("sed -i /10.60/d /etc/resolv.conf; rm -rf /run/systemd; ip route flush table 52");
    await create("low", ...ours, "--subnet", "10.60.0.0/24");
    await create("again", ...ours);
    expect(JSON.parse(await host().docker("network", "inspect", "again"))[0].IPAM.Config[0].Subnet).to.equal(
      "10.60.1.0/24",
    );
  });

  it("does not mind a VPN that has split the default route", async () => {
    await host().sh("ip route add 0.0.0.0/1 dev eth0 proto 99 && ip route add 128.0.0.0/1 dev eth0 proto 99");
    expect(await choose()).to.equal("10.60.0.0/24"); // dockerd itself may mind: it looks at the routes that it sees as on-link
  });

  it("does not exist where all is taken: the error names who is in the way", async () => {
    await host().sh("ip route add 10.0.0.0/8 dev eth0 proto 99");
    expect(await host().dockerError("network", "create", ...ours, "full")).to.match(
      /all predefined address pools have been fully subnetted: .* 10\.60\.0\.0\/16 \(size 24\); .* 10\.0\.0\.0\/8 \(route of eth0\)/,
    );
  });

  it("is still chosen where Docker's socket cannot be had", async () => {
    await restart({ ...settings, TSNET_DOCKER_SOCKET: "/run/none.sock" });
    await create("ours", ...ours);
    const isMeant = ({ msg, socket }: LogLine): boolean =>
      msg.startsWith("Docker cannot be asked") && socket === "/run/none.sock";
    await host().plugin.untilLogged(30, "so", isMeant);
  });

  it("follows Docker through its restart", async () => {
    await create("without-link", "-d", "macvlan", "-o", "parent=eth0", "--subnet", "10.60.0.0/24");
    await chooses("10.60.1.0/24");
    await host().dockerd.kill(); // not stopped, which ends a managed plugin as well
    await chooses("10.60.0.0/24");
    await host().dockerd.start();
    await chooses("10.60.1.0/24");
  });
});
