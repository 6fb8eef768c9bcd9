/** The managed plugin while dockerd comes and goes, and the host with it. */
import { expect } from "chai";
import { BothNames } from "../support/both-names.ts";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { addUplink, onParent } from "../support/lan.ts";
import { LiveTraffic } from "../support/live-traffic.ts";
import { until } from "../support/poll.ts";

/** tsnet tries to reach Docker again each 1 to 5 s. */
const askedMs = 15_000;

/** What died with dockerd is found when that answers again, long before the next of the comparisons, which come each 30 s. */
const collectedMs = 5_000;

/** A host with networks of both modes under both names, and what tests of it have in common. */
function useBothNames(flags: readonly string[]) {
  const host = useHost(flags);
  let both: BothNames;
  beforeEach("networks under both names", async () => {
    both = await BothNames.create(host());
  });

  /** dockerd is started again whatever happens meanwhile. */
  async function without(how: "stop" | "kill", meanwhile: () => Promise<unknown> = async () => {}): Promise<void> {
    await host().dockerd[how]();
    try {
      await meanwhile();
    } finally {
      await host().dockerd.start();
    }
  }

  async function everythingWorks(): Promise<void> {
    await both.listens();
    await both.works();
    await both.takesNew();
  }

  /** A network of Docker's own driver is nothing in the kernel before it has a container: only Docker can have told tsnet of it. */
  async function asksDocker(): Promise<void> {
    await addUplink(host().outside, host(), "eth9");
    const onEth9 = [...onParent("eth9"), "--subnet", "10.91.0.0/24"];
    await host().docker("network", "create", "-d", "macvlan", ...onEth9, "theirs");
    const passthru = ["-o", "mode=macvlan", "-o", "macvlan_mode=passthru", ...onParent("eth9")];
    const create = ["network", "create", "-d", "tsnet", ...passthru, "--subnet", "10.92.0.0/24", "ours"];
    await until("tsnet knows of Docker's network", askedMs, async () => {
      const { code, stderr } = await host().tryDocker(...create);
      if (code === 0) await host().docker("network", "rm", "ours");
      return stderr.includes("the Docker network theirs (macvlan)");
    });
    await host().docker("network", "rm", "theirs");
  }
  afterEach(() => host().sh("ip link del eth9 2>/dev/null || true"));

  return {
    host,
    both: () => both,
    ...{ without, everythingWorks, asksDocker, endpoints: () => [...host().records("endpoint").keys()] },
  };
}

describe("the managed plugin and dockerd", () => {
  const { host, both, without, everythingWorks, asksDocker, endpoints } = useBothNames([]);

  it("ends with it, and is back before the containers", async () => {
    const { pid } = host().plugin;
    await without("stop");
    expect(host().plugin.pid).to.not.equal(pid);
    await everythingWorks();
    await asksDocker();
  });

  it("leaves nothing of a container that died with it, whichever name its network was made with", async () => {
    const published = (port: number) => ["-p", `${port}:80`];
    const dead = await Promise.all([
      Container.run(host(), { network: "bridge-short" }, ...published(8085)),
      Container.run(host(), { network: "bridge-full" }, ...published(8086)),
      Container.run(host(), { network: "macvlan-full" }),
    ]);
    const before = endpoints();
    let messages: number[] = [];
    const works = await both().look();
    await without("kill", async () => {
      messages = await both().streamDuring(works);
    });
    expect(Math.min(...messages)).to.be.greaterThan(0);
    await both().listens();
    await until("nothing of them is left", collectedMs, () => !endpoints().some((id) => before.includes(id)));
    expect(endpoints()).to.have.length(before.length - dead.length);
    await everythingWorks();
    await asksDocker();
  });

  it("is started again by it, if it was killed while that was away", async () => {
    let messages: number[] = [];
    const works = await both().look();
    await without("kill", async () => {
      messages = await both().streamDuring(async () => {
        await host().plugin.kill();
        await works();
      });
    });
    expect(Math.min(...messages)).to.be.greaterThan(0);
    await everythingWorks();
    await asksDocker();
  });

  it("makes everything anew after the host has lost its power", async () => {
    await host().reboot();
    expect((await host().exec("nft list table inet tsnet")).code).to.not.equal(0);
    await host().dockerd.start();
    await everythingWorks();
    await asksDocker();
  });
});

describe("the managed plugin and dockerd with --live-restore", () => {
  const { host, both, without, everythingWorks, asksDocker, endpoints } = useBothNames(["--live-restore"]);

  for (const how of ["stop", "kill"] as const) {
    it(`lives on through its ${how}, and so does all traffic`, async () => {
      const before = endpoints();
      const traffic = await LiveTraffic.start(host(), "bridge-full");
      const { pid } = host().plugin;
      const works = await both().look();
      let messages: number[] = [];
      await traffic.undisturbed(async () => {
        messages = await both().streamDuring(() => without(how, works));
      });
      expect(Math.min(...messages)).to.be.greaterThan(0);
      expect(host().plugin.pid).to.equal(pid);
      await Promise.all([traffic.server.remove(), traffic.neighbor.remove()]);
      await everythingWorks();
      await asksDocker();
      expect(endpoints()).to.have.members(before);
    });
  }

  it("is started again by it, if it was killed while that was away, and traffic goes on", async () => {
    const { pid } = host().plugin;
    const works = await both().look();
    const messages = await both().streamDuring(() =>
      without("kill", async () => {
        await host().plugin.kill();
        await works();
      }),
    );
    expect(Math.min(...messages)).to.be.greaterThan(0);
    expect(host().plugin.pid).to.not.equal(pid);
    await everythingWorks();
    await asksDocker();
  });
});
