import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { createWithAccess, expectBothWays, hasLink, repairMs, wayTo } from "../support/host-access.ts";
import { addUplink, lanDriver, onParent } from "../support/lan.ts";
import { hostNetwork, router } from "../support/outside.ts";
import { until } from "../support/poll.ts";
import { echoes, ping } from "../support/probe.ts";

const own = hostNetwork.ipv4(1);
const address = "192.168.77.40";

describe("host access, when others change it", () => {
  const host = useHost();
  let container: Container;
  let shim: string;
  let whole: string[];
  beforeEach(async () => {
    shim = await createWithAccess(host(), "macvlan", "lan");
    container = await Container.run(host(), { network: "lan", serve: true }, "--ip", address);
    whole = await wayTo(host(), address);
    expect(whole).to.have.length(3);
  });

  const isWhole = () => until("all is back", repairMs, async () => `${await wayTo(host(), address)}` === `${whole}`);
  const table = async (): Promise<string> => (await host().exec("nft -s list table arp tsnet")).stdout;

  const changes: Readonly<Record<string, (link: string) => string>> = {
    "the shim is deleted": (link) => `ip link del ${link}`,
    "the shim is down": (link) => `ip link set ${link} down`,
    "the route is deleted": () => `ip route del ${address}`,
    "the route has another source": (link) =>
      `ip addr add 10.8.8.8/32 dev lo; ip route replace ${address} dev ${link} src 10.8.8.8`,
    "the neighbor is deleted": (link) => `ip neigh del ${address} dev ${link}`,
    "the neighbor has another MAC": (link) =>
      `ip neigh replace ${address} lladdr 02:00:00:00:00:01 dev ${link} nud permanent`,
    "the ruleset is flushed": () => "nft flush ruleset",
    "a rule is deleted": () => "nft flush chain arp tsnet input",
    "an element is deleted": (link) => `nft delete element arp tsnet reach '{ "${link}" . ${address} }'`,
    "an element is added": (link) => `nft add element arp tsnet reach '{ "${link}" . 192.168.77.99 }'`,
  };
  for (const [what, change] of Object.entries(changes)) {
    it(`is as it was within a second after ${what}`, async () => {
      const before = await table();
      await host().sh(change(shim));
      await until(
        "something is repaired",
        repairMs,
        async () => `${await wayTo(host(), address)}` === `${whole}` && (await table()) === before,
      );
      await expectBothWays(host(), container);
      await host().exec("ip addr del 10.8.8.8/32 dev lo");
    });
  }

  it("follows the host's address, as a DHCP client changes it", async () => {
    await host().sh(`ip addr del ${own}/24 dev eth0; ip addr add 192.168.77.9/24 dev eth0`);
    whole = whole.map((text) => text.replace(own, "192.168.77.9"));
    await isWhole();
    await ping(host(), address);
    await ping(container, "192.168.77.9");
    await host().sh(`ip addr del 192.168.77.9/24 dev eth0; ip addr add ${own}/24 dev eth0`);
    whole = whole.map((text) => text.replace("192.168.77.9", own));
    await isWhole();
    await host().sh(`ip route replace default via ${router.ipv4}`);
    await expectBothWays(host(), container);
  });

  it("comes back with its parent", async () => {
    await addUplink(host().outside, host(), "usb0");
    await host().sh("ip addr add 192.168.79.1/24 dev usb0");
    const options = [
      ...lanDriver(),
      ...onParent("usb0"),
      "-o",
      "tsnet.host_access=true",
      "--subnet",
      "192.168.79.0/24",
    ];
    const id = await host().docker("network", "create", ...options, "second");
    const link = `tsh-${id.slice(0, 11)}`;
    const other = await Container.run(host(), { network: "second" }, "--ip", "192.168.79.40");
    await ping(host(), "192.168.79.40");
    await host().sh("ip link del usb0");
    expect(await hasLink(host(), link)).to.equal(false);
    await addUplink(host().outside, host(), "usb0");
    await host().sh("ip addr add 192.168.79.1/24 dev usb0");
    await until(
      "the shim is back",
      repairMs,
      async () => (await wayTo(host(), "192.168.79.40"))[0] === `route ${link} 192.168.79.1`,
    );
    const isUp = async () => (await other.ip("link show dev eth0"))[0]?.operstate === "UP";
    await until("the container has its link", repairMs, isUp);
    await ping(host(), "192.168.79.40");
    await ping(other, "192.168.79.1");
    await other.remove();
    await host().docker("network", "rm", "second");
    await host().sh("ip link del usb0");
  });

  it("is repaired for what there is, and removed for what there is no more", async () => {
    await host().plugin.kill();
    await host().sh(`ip link del ${shim}`);
    expect(await echoes(host(), address)).to.equal(false);
    await host().plugin.start();
    await until("the host reaches it", 5000, () => echoes(host(), address));
    await expectBothWays(host(), container);
    await host().sh(
      `ip route add 192.168.77.77/32 dev ${shim} proto kernel scope link; ip route add 192.168.77.78/32 dev ${shim}`,
    );
    await host().sh(`ip neigh add 192.168.77.77 lladdr 02:00:00:00:00:77 dev ${shim} nud permanent`);
    await host().sh(`ip neigh del ${address} dev ${shim}`);
    await isWhole();
    expect(await wayTo(host(), "192.168.77.77")).to.deep.equal([]);
    expect(await wayTo(host(), "192.168.77.78"), "a route of somebody else's").to.deep.equal([
      `route ${shim} undefined`,
    ]);
  });
});
