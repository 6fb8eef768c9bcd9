import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { type Story, storyOfDocker, storyOfKernel, storyOfRecords } from "../support/agreement.ts";
import { useHost } from "../support/docker-suite.ts";
import type { Host } from "../support/host.ts";
import { image } from "../support/image.ts";
import { patience } from "../support/patience.ts";
import { driver } from "../support/plugin.ts";
import { until } from "../support/poll.ts";

const containers = 200;
const workers = 4;
const kills = 5;
/** Every so many containers one is kept. */
const keepEach = 20;
/** A compare of the whole each 30 s, and an endpoint that Docker gave up is waited for longer than Docker's own retries. */
const agreedMs = 45_000;
/**
 * What Docker gave back in the moment of a kill it gives back again without a body, and then no more: such an address is found a minute
 * later at the latest, and given back another minute later.
 */
const releasedMs = 130_000;
const settings = { TSNET_ORPHAN_GRACE: "30s" };

describe("kill -9 of the plugin in the middle of 200 container starts and removals", function () {
  this.timeout(400_000 * patience);
  const host = useHost();
  const gateway = "10.80.0.1";
  before("which gives back soon what nobody uses", async () => {
    await host().plugin.stop();
    await host().plugin.start(settings);
  });

  it("leaves links, nft elements, leases and records as Docker sees them", async () => {
    const subnet = ["--subnet", "10.80.0.0/22", "--gateway", gateway];
    await host().docker("network", "create", "-d", driver, "--ipam-driver", "tsnet", ...subnet, "busy");
    const done = { count: 0, failed: 0, over: false };
    const killer = killAgainAndAgain(host(), done);
    await Promise.all(Array.from({ length: workers }, (_, worker) => startAndRemove(host(), worker, done)));
    done.over = true;
    await killer;
    console.log(`      ${done.count} containers, ${done.failed} of them failed to start while the plugin was away`);
    expect(done.failed).to.be.lessThan(containers / 4);

    const docker = await storyOfDocker(host(), "busy");
    expect(docker.endpoints.length).to.be.greaterThan(5);
    const { addresses, ...others } = docker;
    const records = () => storyOfRecords(host(), gateway);
    await until("kernel and records agree with Docker", agreedMs, async () => {
      const kernel = await storyOfKernel(host());
      return same({ ...records(), addresses }, docker) && same({ ...kernel, addresses }, docker);
    }).catch(() => {}); // what differs is said below
    expect(await storyOfKernel(host())).to.deep.equal(others);
    expect({ ...records(), addresses }).to.deep.equal(docker);
    await until("addresses agree with Docker", releasedMs, () => same(records(), docker)).catch(() => {});
    expect(records()).to.deep.equal(docker);
  });
});

const same = (one: Story, other: Story): boolean => JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
const sorted = ({ endpoints, addresses, ports }: Story): Story => ({ endpoints, addresses, ports });

interface Progress {
  count: number;
  failed: number;
  over: boolean;
}

/** Kills the plugin at moments that are spread over the work, and starts it again at once. */
async function killAgainAndAgain(host: Host, done: Progress): Promise<void> {
  for (let kill = 1; kill <= kills && !done.over; kill++) {
    while (!done.over && done.count < (containers * kill) / (kills + 1)) await sleep(1);
    await host.plugin.kill();
    await host.plugin.start();
  }
}

async function startAndRemove(host: Host, worker: number, done: Progress): Promise<void> {
  for (let n = worker; n < containers; n += workers) {
    const id = await startContainer(host, 20_000 + n).catch(() => undefined);
    if (id === undefined) done.failed += 1;
    else if (n % keepEach !== 0) await host.dockerd.api("DELETE", `/containers/${id}?force=1`);
    done.count += 1;
  }
}

/** @throws Error if it does not start; then nothing of it is left in Docker */
async function startContainer(host: Host, port: number): Promise<string> {
  const PortBindings = { "80/tcp": [{ HostPort: `${port}` }] };
  const body = { Image: image, HostConfig: { NetworkMode: "busy", PortBindings }, ExposedPorts: { "80/tcp": {} } };
  const { Id } = await host.dockerd.api("POST", "/containers/create", body);
  try {
    await host.dockerd.api("POST", `/containers/${Id}/start`);
  } catch (error) {
    await host.dockerd.api("DELETE", `/containers/${Id}?force=1`);
    throw error;
  }
  return Id;
}
