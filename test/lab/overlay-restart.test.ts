/** Daemons and hosts that are restarted, with containers of an overlay network that come back with them. */
import { expect } from "chai";
import { Container } from "../support/container.ts";
import type { Host } from "../support/host.ts";
import { image } from "../support/image.ts";
import { allAgree } from "../support/lab-places.ts";
import { useLab } from "../support/lab-suite.ts";
import { aroundThe, undisturbed } from "../support/lab-traffic.ts";
import { until } from "../support/poll.ts";
import { ask, everything, reachable, reached } from "../support/probe.ts";

/** Docker starts containers one after another, when it answers already. */
const startDeadlineMs = 20_000;

describe("overlay network after a restart", () => {
  const lab = useLab({ plane: "etcd" });

  const runAlways = async (host: Host): Promise<Container> => {
    const args = ["--restart", "always", "--ip", `10.5.0.${host.number}0`, "-p", "8080:80"];
    return await Container.run(host, { network: "mesh", serve: true }, ...args);
  };

  const comesBack = async (container: Container): Promise<void> => {
    await until("the container runs again", startDeadlineMs, async () => (await container.inspect()).State.Running);
    await container.listens();
    await allAgree(lab(), "mesh");
  };

  /** They reach it, it reaches them, and the world reaches its port. */
  const isReached = async (container: Container, others: readonly Container[]): Promise<void> => {
    const address = await container.ipv4("mesh");
    for (const other of others) {
      expect(await reached(other, address)).to.deep.equal(everything);
      expect(await reached(container, await other.ipv4("mesh"))).to.deep.equal(everything);
      expect(await reached(container, await other.ipv6("mesh"))).to.deep.equal(everything);
    }
    await ask(lab().outside.client, "tcp", container.host.ipv4, 8080);
  };

  beforeEach(() => lab().network("mesh"));

  it("of dockerd is whole again, and the other hosts notice nothing", async () => {
    const [one, two, three] = await Promise.all(lab().hosts.map(runAlways));
    if (!one || !two || !three) throw new Error("there are three hosts");
    await allAgree(lab(), "mesh");
    await undisturbed(await aroundThe([two, three], "mesh"), async () => {
      await one.host.dockerd.stop();
      expect(await reachable(two, "10.5.0.10")).to.deep.equal([]);
      await one.host.dockerd.start();
      await comesBack(one);
    });
    await isReached(one, [two, three]);
  });

  it("of a killed dockerd is whole again", async () => {
    const [one, two, three] = await Promise.all(lab().hosts.map(runAlways));
    if (!one || !two || !three) throw new Error("there are three hosts");
    await two.host.dockerd.kill();
    await two.host.dockerd.start();
    await comesBack(two);
    await isReached(two, [one, three]);
  });

  it("of a host is whole again, and the other hosts notice nothing", async () => {
    const [one, two, three] = await Promise.all(lab().hosts.map(runAlways));
    if (!one || !two || !three) throw new Error("there are three hosts");
    await allAgree(lab(), "mesh");
    await undisturbed(await aroundThe([one, three], "mesh"), async () => {
      await two.host.reboot();
      expect(await reachable(one, "10.5.0.20")).to.deep.equal([]);
      await lab().etcd.restart(two.host);
      await two.host.plugin.start();
      await two.host.dockerd.start();
      await comesBack(two);
    });
    await isReached(two, [one, three]);
    const newcomer = await Container.run(two.host, { network: "mesh", serve: true });
    await allAgree(lab(), "mesh");
    await isReached(two, [newcomer]);
    expect(await two.host.docker("images", "-q", image)).not.to.equal("");
  });
});
