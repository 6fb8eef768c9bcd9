/** What running connections notice when the managed plugin goes away and comes back: nothing. */
import type { Host } from "../support/host.ts";
import { LiveTraffic } from "../support/live-traffic.ts";
import { pluginName } from "../support/managed-plugin.ts";
import { until } from "../support/poll.ts";
import { reference } from "../support/registry.ts";
import { createNetwork } from "./docker-figures.ts";
import type { Figure } from "./figures.ts";
import { timed } from "./statistics.ts";

const deadlineMs = 60_000;
const unknownEndpoint = { NetworkID: "0".repeat(64), EndpointID: "0".repeat(64) };

/** `docker plugin enable`, until a call is answered that needs the restored state: milliseconds. */
export const enableTime = ({ dockerd, plugin }: Host): Promise<number> =>
  timed(async () => {
    await dockerd.api("POST", `/plugins/${pluginName}/enable?timeout=30`);
    await plugin.call("NetworkDriver.EndpointOperInfo", unknownEndpoint);
  });

export const disable = (host: Host): Promise<string> => host.docker("plugin", "disable", "-f", pluginName);

/** How many of dockerd's calls have been answered that it makes when the plugin has started; the plugin logs at level debug. */
const introductions = ({ plugin }: Host): number =>
  plugin.logged(20).filter(({ method }) => /\.(GetCapabilities|GetDefaultAddressSpaces)$/.test(String(method))).length;

/** How many of them dockerd makes at each start: the versions differ. */
async function introductionsOfAStart(host: Host): Promise<number> {
  await disable(host);
  await host.docker("plugin", "set", pluginName, "TSNET_LOG_LEVEL=debug");
  const before = introductions(host);
  await enableTime(host);
  await until("the log tells of the last call", deadlineMs, () =>
    host.plugin.logged(20).some(({ method }) => method === "NetworkDriver.EndpointOperInfo"),
  );
  return introductions(host) - before;
}

/** dockerd starts it again; one that is killed while dockerd introduces itself, dockerd waits for, for half a minute. */
async function kill(host: Host, perStart: number): Promise<void> {
  const before = introductions(host);
  await host.plugin.kill();
  await until("dockerd has started it again", deadlineMs, () => introductions(host) >= before + perStart);
}

async function reenable(host: Host): Promise<void> {
  await disable(host);
  await enableTime(host);
}

async function upgrade(host: Host, tag: string): Promise<void> {
  await disable(host);
  const words = ["--grant-all-permissions", "--skip-remote-check", pluginName, reference(tag)];
  await host.docker("plugin", "upgrade", ...words);
  await enableTime(host);
}

/**
 * Two connections that send a message each millisecond, one of them through a published port.
 * @param tags of two builds in the registry, the first of which is not installed
 */
export async function lossFigures(host: Host, tags: readonly [string, string]): Promise<Figure[]> {
  await createNetwork(host, "tsnet", "busy");
  const traffic = await LiveTraffic.start(host, "busy");
  const perStart = await introductionsOfAStart(host);
  const events = [
    ["kill -9", 5, () => kill(host, perStart)],
    ["disable -f and enable", 5, () => reenable(host)],
    ["upgrade", 3, (round: number) => upgrade(host, tags[round % 2] ?? "")],
  ] as const;
  const figures: Figure[] = [];
  for (const [what, rounds, work] of events) {
    const lost: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const fate = await traffic.during(() => work(round));
      lost.push(fate.lost + fate.resets);
    }
    const name = `managed plugin: segments of two established connections lost or reset, ${what}`;
    figures.push({ name, unit: "segments", tsnet: lost, limit: { of: "max", value: 0 } });
  }
  return figures;
}
