import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { client } from "../support/outside.ts";
import { driver, packaging } from "../support/plugin.ts";
import { until } from "../support/poll.ts";
import { answers, ask, ping, talkDuring } from "../support/probe.ts";

/** The compare of the whole comes each 30 s; most of what is collected is collected on an event, long before. */
const collectedMs = 35_000;

/** From the plugin's first answer to its networks being there. */
const restoredMs = 5_000;

const published = ["-p", "8080:80", "-p", "7007:7"];
const always = ["--restart", "always"];

describe("restarts", () => {
  const host = useHost();
  let server: Container;
  let neighbor: Container;
  beforeEach(async () => {
    await host().docker("network", "create", "-d", driver, "web");
    server = await Container.run(host(), { network: "web", serve: true }, "--name", "server", ...published, ...always);
    neighbor = await Container.run(host(), { network: "web" }, "--name", "neighbor", ...always);
  });
  afterEach("dockerd runs, whatever the test did", async () => {
    if (!host().dockerd.isRunning) await host().dockerd.start([]);
  });

  const outside = () => host().outside.client;
  const everythingWorks = async () => {
    expect(await ask(outside(), "tcp", host().ipv4, 8080)).to.equal(client.ipv4);
    expect(await ask(neighbor, "tcp", await server.ipv4("web"))).to.equal(await neighbor.ipv4("web"));
    await ping(neighbor, client.ipv4);
  };
  const endpoints = () => [...host().records("endpoint").keys()].sort();
  const endpointsOfDocker = async () =>
    (
      await Promise.all([server, neighbor].map(async (container) => (await container.endpoint("web")).EndpointID))
    ).sort();

  it("of the plugin do not touch traffic, nor do the seconds without it", async () => {
    const address = await server.ipv4("web");
    let talked: number[] = [];
    const restart = async () => {
      expect(await host().plugin.stop()).to.equal(0);
      await everythingWorks();
      await host().plugin.start();
    };
    const kill = async () => {
      await host().plugin.kill();
      await everythingWorks();
      await host().plugin.start();
    };
    for (const how of [restart, kill]) {
      talked = await Promise.all([talkDuring(outside(), host().ipv4, () => talkDuring(neighbor, address, how), 7007)]);
      expect(Math.min(...talked)).to.be.greaterThan(0);
      await everythingWorks();
    }
    expect(endpoints()).to.deep.equal(await endpointsOfDocker());
  });

  it("of dockerd bring containers back with working networks", async () => {
    await host().dockerd.restart();
    await server.listens();
    await everythingWorks();
    await until(
      "endpoints are those of Docker",
      collectedMs,
      async () => `${endpoints()}` === `${await endpointsOfDocker()}`,
    );
  });

  it("of dockerd with --live-restore leave containers and their traffic alone", async () => {
    await host().dockerd.stop();
    await host().dockerd.start(["--live-restore"]);
    await server.listens();
    const before = await endpointsOfDocker();
    for (const end of [() => host().dockerd.stop(), () => host().dockerd.kill()]) {
      const answered = await talkDuring(
        outside(),
        host().ipv4,
        async () => {
          await end();
          await ask(outside(), "tcp", host().ipv4, 8080);
          await host().dockerd.start();
        },
        7007,
      );
      expect(answered).to.be.greaterThan(0);
      await everythingWorks();
      expect(await endpointsOfDocker()).to.deep.equal(before);
      expect(endpoints()).to.deep.equal(before);
    }
    await host().dockerd.stop();
    await host().dockerd.start([]);
  });

  it("of dockerd after a SIGKILL leave no dead endpoint behind, and no port of one", async () => {
    const idle = await Container.run(host(), { network: "web" }, "-p", "8085:80");
    const { EndpointID } = await idle.endpoint("web");
    await host().dockerd.kill();
    await host().dockerd.start();
    await server.listens();
    await until("the dead endpoint is collected", collectedMs, () => !endpoints().includes(EndpointID));
    expect((await host().exec("nft list map inet tsnet port4")).stdout).to.not.include("8085");
    expect((await host().exec(`ip link show tsv-${EndpointID.slice(0, 11)}`)).code).to.not.equal(0);
    await everythingWorks();
    expect(endpoints()).to.deep.equal(await endpointsOfDocker());
  });

  /** With the plugin there, Docker gives the address back itself; without, nobody does but the plugin. */
  for (const away of [false, true]) {
    const when = away ? ", while the plugin is away," : "";
    it(`of dockerd after a SIGKILL${when} let a container that died have its address again`, async () => {
      await Promise.all([server.remove(), neighbor.remove()]);
      const subnet = ["--ipam-driver", "tsnet", "--subnet", "10.77.0.0/24"];
      await host().docker("network", "create", "-d", driver, ...subnet, "fixed");
      const dead = await Container.run(host(), { network: "fixed" }, "--ip", "10.77.0.5");
      if (away) await host().plugin.stop(); // before dockerd, which else starts a managed plugin again
      await host().dockerd.kill();
      await host().dockerd.start();
      if (away) await host().plugin.start();
      await until("the dead container starts again", collectedMs, async () => {
        await host().docker("start", dead.id);
        return true;
      });
      expect(await dead.ipv4("fixed")).to.equal("10.77.0.5");
      await ping(dead, client.ipv4);
      const held = ["tsnet-local/10.77.0.1", "tsnet-local/10.77.0.5"];
      expect([...host().records("lease").keys()].sort()).to.deep.equal(held);
    });
  }

  /** A managed plugin is started by dockerd, and before the containers: then it has the networks as early as it can. */
  it("of the whole machine bring networks back before Docker asks, and then the containers", async () => {
    const [network] = JSON.parse(await host().docker("network", "inspect", "web"));
    const idle = await Container.run(host(), { network: "web" });
    const { EndpointID } = await idle.endpoint("web");
    await host().reboot();
    await host().plugin.start();
    if (packaging === "managed") await host().dockerd.start([]);
    const bridge = `tsb-${network.Id.slice(0, 11)}`;
    await until("the bridge is back", restoredMs, async () =>
      JSON.stringify(await host().ip(`addr show dev ${bridge}`)).includes(network.IPAM.Config[0].Gateway),
    );
    if (packaging === "socket") await host().dockerd.start([]);
    await server.listens();
    await everythingWorks();
    await until(
      "the endpoint of the container that did not come back is collected",
      collectedMs,
      () => !endpoints().includes(EndpointID),
    );
  });

  it("of the machine while a container is gone leave its port to others", async () => {
    await server.remove();
    await host().reboot();
    await host().plugin.start();
    await host().dockerd.start([]);
    expect(await answers(outside(), "tcp", host().ipv4, 8080)).to.equal(false);
    const next = await Container.run(host(), { network: "web", serve: true }, "-p", "8080:80");
    expect(await ask(outside(), "tcp", host().ipv4, 8080)).to.equal(client.ipv4);
    await next.remove();
  });
});
