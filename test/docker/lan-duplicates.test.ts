import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { image } from "../support/image.ts";
import { createLan, hostSubnet6, lanDriver, onParent, Stranger } from "../support/lan.ts";
import { hostNetwork, router } from "../support/outside.ts";
import { until } from "../support/poll.ts";
import { ping } from "../support/probe.ts";

const number = 70;
const ipv4 = hostNetwork.ipv4(number);
const ipv6 = hostNetwork.ipv6(number);

/** An announcement comes as soon as the link is up. */
const announcedMs = 2_000;

describe("an address that somebody on the segment has", () => {
  const host = useHost();
  const segment = () => host().outside.router;
  let stranger: Stranger;
  beforeEach("a stranger", async () => {
    stranger = await Stranger.connect(host().outside, number);
  });
  afterEach(() => stranger[Symbol.asyncDispose]());

  const refusal = (...args: string[]) => host().dockerError("run", "-d", "--network", "lan", ...args, image);
  const expectNoEndpoint = async () => {
    expect([...host().records("endpoint").keys()]).to.deep.equal([]);
    const links: { ifname: string }[] = await host().ip("link");
    expect(links.filter(({ ifname }) => ifname.startsWith("tsm-"))).to.deep.equal([]);
    const [{ Containers }] = JSON.parse(await host().docker("network", "inspect", "lan"));
    expect(Containers).to.deep.equal({});
  };

  for (const [family, address, args] of [
    ["IPv4", ipv4, ["--ip", ipv4]],
    ["IPv6", ipv6, ["--ip6", ipv6]],
  ] as const) {
    it(`stops the start of a container that would have it, in ${family}, and leaves nothing`, async () => {
      const id = await createLan(host(), "lan", ...hostSubnet6());
      const error = await refusal("--name", "late", ...args);
      const [option] = args;
      for (const part of [address, stranger.mac, "eth0", id, `another ${option},`, "tsnet.duplicate_check=false"]) {
        expect(error).to.include(part);
      }
      await expectNoEndpoint();
      await stranger[Symbol.asyncDispose]();
      await host().docker("start", "late");
      const [late] = await host().dockerd.api("GET", "/containers/json");
      await ping(new Container(host(), late.Id), family === "IPv4" ? router.ipv4 : router.ipv6);
      await ping(segment(), address);
    });
  }

  it("does not stop it with duplicate_check=false", async () => {
    await createLan(host(), "lan", "-o", "tsnet.duplicate_check=false");
    const a = await Container.run(host(), { network: "lan" }, "--ip", ipv4);
    expect(await a.ipv4("lan")).to.equal(ipv4);
  });

  it("is given to nobody else, and the next start takes another one", async () => {
    await createLan(host(), "lan", "--aux-address", `stranger=${ipv4}`);
    expect(await refusal("--ip", ipv4)).to.match(/already in use/i);
    const a = await Container.run(host(), { network: "lan" });
    await ping(a, ipv4);
  });

  it("may be a container's of the same host, or the host's own", async () => {
    await createLan(host(), "lan");
    const first = await Container.run(host(), { network: "lan" }, "--ip", hostNetwork.ipv4(40));
    // of another address management, which does not know what Docker's has given
    const range = ["--ipam-driver", "tsnet", "--subnet", "192.168.77.0/24", "--ip-range", "192.168.77.128/27"];
    await host().docker("network", "create", ...lanDriver(), ...onParent("eth0"), ...range, "twin");
    const twin = (ip: string) => host().dockerError("run", "-d", "--network", "twin", "--ip", ip, image);
    const { EndpointID } = await first.endpoint("lan");
    expect(await twin(hostNetwork.ipv4(40)))
      .to.include(hostNetwork.ipv4(40))
      .and.include(EndpointID);
    expect(await twin(host().ipv4))
      .to.include(host().ipv4)
      .and.include("eth0");
    expect(await host().dockerError("run", "-d", "--network", "lan", "--ip", host().ipv4, image)).to.include(
      host().ipv4,
    );
    expect([...host().records("endpoint").keys()]).to.deep.equal([EndpointID]);
    const second = await Container.run(host(), { network: "twin" });
    await ping(second, hostNetwork.ipv4(40));
  });
});

describe("an address that a container takes over", () => {
  const host = useHost();
  const neighbor = async (ip: string): Promise<string> =>
    (await host().outside.router.ip(`neigh show ${ip}`))[0]?.lladdr;

  it("is announced: neighbors that knew another MAC for it find the container at once", async () => {
    await createLan(host(), "lan", ...hostSubnet6());
    const have = ["--ip", ipv4, "--ip6", ipv6];
    const before = await Container.run(host(), { network: "lan" }, ...have, "--mac-address", "02:00:5e:00:53:01");
    for (const ip of [ipv4, ipv6]) {
      await ping(host().outside.router, ip);
      expect(await neighbor(ip)).to.equal("02:00:5e:00:53:01");
    }
    await before.remove();
    const after = await Container.run(host(), { network: "lan" }, ...have, "--mac-address", "02:00:5e:00:53:02");
    for (const ip of [ipv4, ipv6]) {
      // the router asks nobody: its entries are some seconds old, and were confirmed
      await until(
        `the router knows who has ${ip}`,
        announcedMs,
        async () => (await neighbor(ip)) === "02:00:5e:00:53:02",
      );
      await ping(after, ip === ipv4 ? router.ipv4 : router.ipv6);
    }
  });
});
