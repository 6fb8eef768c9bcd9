import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { createLan } from "../support/lan.ts";
import { client } from "../support/outside.ts";
import { driver } from "../support/plugin.ts";
import { until } from "../support/poll.ts";
import { ask, ping, talkDuring } from "../support/probe.ts";

/** The compare of the whole comes each 30 s; most of what is collected is collected on an event, long before. */
const collectedMs = 35_000;

describe("macvlan networks and restarts", () => {
  const host = useHost();
  let server: Container;
  let neighbor: Container;
  beforeEach(async () => {
    await createLan(host(), "lan");
    const always = ["--restart", "always"];
    server = await Container.run(host(), { network: "lan", serve: true }, "--ip", "192.168.77.40", ...always);
    neighbor = await Container.run(host(), { network: "lan" }, ...always);
  });
  afterEach("dockerd runs, whatever the test did", async () => {
    if (!host().dockerd.isRunning) await host().dockerd.start([]);
  });

  const everythingWorks = async () => {
    expect(await ask(host().outside.client, "tcp", "192.168.77.40")).to.equal(client.ipv4);
    expect(await ask(neighbor, "tcp", "192.168.77.40")).to.equal(await neighbor.ipv4("lan"));
    await ping(neighbor, client.ipv4);
  };
  const endpoints = () => [...host().records("endpoint").keys()].sort();
  const agreed = () =>
    until("endpoints are those of Docker", collectedMs, async () => {
      const shown = await Promise.all([server, neighbor].map((container) => container.endpoint("lan")));
      return `${endpoints()}` === `${shown.map(({ EndpointID }) => EndpointID).sort()}`;
    });

  it("of the plugin, by SIGTERM and SIGKILL, do not touch traffic", async () => {
    for (const end of [() => host().plugin.stop(), () => host().plugin.kill()]) {
      const talked = await talkDuring(host().outside.client, "192.168.77.40", async () => {
        await end();
        await everythingWorks();
        await host().plugin.start();
      });
      expect(talked).to.be.greaterThan(0);
      await everythingWorks();
    }
    const later = await Container.run(host(), { network: "lan" });
    await ping(later, "192.168.77.40");
    await later.remove();
    await agreed();
  });

  for (const how of ["stop", "kill"] as const) {
    it(`of dockerd after ${how === "stop" ? "its end" : "a SIGKILL"} bring containers back`, async () => {
      await host().dockerd[how]();
      await host().dockerd.start();
      await server.listens();
      await everythingWorks();
      if (driver === "tsnet") await agreed();
    });
  }

  it("of the whole machine bring networks and containers back", async () => {
    const idle = await Container.run(host(), { network: "lan" });
    await host().reboot();
    if (driver === "tsnet") await host().plugin.start();
    await host().dockerd.start([]);
    await server.listens();
    await everythingWorks();
    if (driver === "tsnet") await agreed(); // the container without the policy has none any more
    await host().docker("start", idle.id);
    await ping(idle, client.ipv4);
  });
});
