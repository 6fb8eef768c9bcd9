import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { image } from "../support/image.ts";
import { addUplink, createLan, hostSubnet, lanDriver, onParent } from "../support/lan.ts";
import { router } from "../support/outside.ts";
import { until } from "../support/poll.ts";
import { ask, echoes, ping } from "../support/probe.ts";

/** After so many seconds without an answer the kernel asks anew who has an address. */
const reflectedMs = 10_000;

describe("macvlan_mode", () => {
  const host = useHost();
  const segment = () => host().outside.router;
  const mode = (name: string): string[] => ["-o", `macvlan_mode=${name}`];
  const serve = (...args: string[]) => Container.run(host(), { network: "lan", serve: true }, ...args);
  const reflect = (how: "on" | "off") => segment().sh(`bridge link set dev port1 hairpin ${how}`);
  afterEach("the switch sends nothing back", () => reflect("off"));

  /** Two containers of a network with this mode, which the router reaches; and whether one reaches the other. */
  const pair = async (...args: string[]): Promise<() => Promise<boolean>> => {
    await createLan(host(), "lan", ...args);
    const [a, b] = await Promise.all([serve(), serve()]);
    for (const container of [a, b]) {
      await ping(container, router.ipv4);
      expect(await ask(segment(), "tcp", await container.ipv4("lan"))).to.equal(router.ipv4);
    }
    const [link] = await a.ip("link show dev eth0");
    expect(link.linkinfo.info_data.mode).to.equal(args.at(-1)?.split("=")[1] ?? "bridge");
    const address = await b.ipv4("lan");
    return () => echoes(a, address);
  };

  it("bridge, which is the default, lets containers of a host talk, whatever the switch does", async () => {
    const talk = await pair();
    expect(await talk()).to.equal(true);
  });

  it("private keeps containers of a host apart, whatever the switch does", async () => {
    const talk = await pair(...mode("private"));
    expect(await talk()).to.equal(false);
    await reflect("on");
    expect(await talk()).to.equal(false);
  });

  it("vepa lets containers of a host talk if the switch sends their frames back", async () => {
    const talk = await pair(...mode("vepa"));
    expect(await talk()).to.equal(false);
    await reflect("on");
    await until("the switch sends frames back", reflectedMs, talk); // it may have asked for the other's MAC in vain just before
  });

  it("passthru gives the parent and its MAC to one container", async () => {
    await addUplink(host().outside, host(), "nic1");
    const [before] = await host().ip("link show dev nic1");
    const create = ["network", "create", ...lanDriver(), ...onParent("nic1"), ...mode("passthru"), ...hostSubnet()];
    await host().docker(...create, "lan");
    const a = await serve();
    expect((await a.ip("link show dev eth0"))[0].address).to.equal(before.address);
    expect(await ask(segment(), "tcp", await a.ipv4("lan"))).to.equal(router.ipv4);
    const error = await host().dockerError("run", "-d", "--network", "lan", image);
    expect(error)
      .to.include("passthru")
      .and.include((await a.endpoint("lan")).EndpointID);
    await a.remove();
    const next = await serve();
    await ping(next, router.ipv4);
    await host().sh("ip link del nic1");
  });
});
