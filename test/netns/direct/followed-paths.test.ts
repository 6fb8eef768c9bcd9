/** What is told of the ways to other hosts: who is told compares everything. */
import { expect } from "chai";
import type { KernelChange } from "../../../src/driver/kernel.ts";
import { KernelClient } from "../../../src/kernel/kernel-client.ts";
import { makeNeighbor } from "../../support/direct-neighbor.ts";
import { expectNoLeftovers, ip } from "../../support/netns.ts";
import { until } from "../../support/poll.ts";

const table = 7631726;
const soonMs = 2_000;
const [host, elsewhere] = ["192.168.77.2", "192.168.77.3"];
const route = { destination: "10.5.0.20", via: host, link: "up0" };

describe("ways to other hosts", () => {
  let kernel: KernelClient;
  let changes: KernelChange[];
  expectNoLeftovers(async () => {
    await kernel.apply([{ op: "remove-direct-routes", destinations: [route.destination] }]);
    await kernel.close();
    ip("netns delete peer");
    await until("links are gone", soonMs, () => !ip("link show").includes("up0"));
  });
  beforeEach(async () => {
    kernel = await KernelClient.open({ mark: 0x0100_0000 });
    kernel.watch((change) => changes.push(change));
    makeNeighbor();
    changes = [];
    await kernel.followPaths([host], ["up0"]);
  });

  const isTold = (): boolean => changes.some(({ what }) => what === "paths");
  const told = async (what: string, work: () => void): Promise<void> => {
    changes = [];
    work();
    await until(`${what} is told`, soonMs, isTold);
    await whatComesAfter();
  };
  /** What comes after it is told, and it is not. */
  const quiet = async (what: string, work: () => unknown): Promise<void> => {
    changes = [];
    await work();
    await whatComesAfter();
    expect(isTold(), what).to.equal(false);
  };
  const whatComesAfter = async (): Promise<void> => {
    ip("link add br-after type bridge");
    const seen = (removed: boolean) =>
      until("what came after it is told", soonMs, () =>
        changes.some((one) => one.what === "link" && one.link.name === "br-after" && one.removed === removed),
      );
    await seen(false);
    ip("link delete br-after");
    await seen(true);
  };

  it("are told when they are others", async () => {
    await told("a route to the host", () => ip(`route add ${host}/32 via ${elsewhere} dev up0`));
    await told("its end", () => ip(`route del ${host}/32`));
    await quiet("a route in a table that is not asked", () =>
      ip(`route add ${host}/32 via ${elsewhere} dev up0 table 77`),
    );
    await told("a rule that leads there", () => ip(`rule add to ${host} lookup 77`));
    await told("its end", () => ip(`rule del to ${host} lookup 77`));
    await kernel.apply([{ op: "put-direct-routes", from: "up0", routes: [route] }]);
    await told("somebody who removes our rule", () => ip(`rule del lookup ${table}`));
    await told("somebody who flushes our table", () => ip(`route flush table ${table}`));
    await told("the link that goes down", () => ip("link set up0 down"));
    await told("the link that is up again", () => ip("link set up0 up"));
    await told("a route to the host, after all that", () => ip(`route add ${host}/32 via ${elsewhere} dev up0`));
  });

  it("are not told for rules and routes that they do not go by, nor for ours", async () => {
    await told("the link's first message", () => ip("link set up0 down"));
    await told("the link that is up again", () => ip("link set up0 up"));
    await quiet("a rule for others", () => ip("rule add from 10.0.0.0/8 lookup 78"));
    await quiet("a rule to a table without the host", () => ip(`rule add to ${host} lookup 78`));
    await quiet("a wider route", () => ip(`route add 192.168.0.0/16 via ${elsewhere} dev up0`));
    await quiet("a default route", () => ip(`route add default via ${elsewhere} dev up0`));
    await quiet("our own", () => kernel.apply([{ op: "put-direct-routes", from: "up0", routes: [route] }]));
    await quiet("their ends", () => {
      for (const rule of ["from 10.0.0.0/8 lookup 78", `to ${host} lookup 78`]) ip(`rule del ${rule}`);
    });
  });
});
