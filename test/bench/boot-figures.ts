/** dockerd's start with containers that it starts again: on networks of tsnet, in either packaging, and on Docker's own bridge. */
import { Host } from "../support/host.ts";
import { loadImage } from "../support/image.ts";
import { until } from "../support/poll.ts";
import { createContainer, createNetwork, start } from "./docker-figures.ts";
import type { Figure } from "./figures.ts";
import { samplesInTurn } from "./in-turn.ts";
import { timed } from "./statistics.ts";

const kinds = ["bridge", "socket", "managed"] as const;
type Kind = (typeof kinds)[number];

const networks = 4;
const containers = 20;
const deadlineMs = 120_000;

/** A host whose dockerd is stopped, and starts its containers again. */
async function bootableHost(kind: Kind): Promise<Host> {
  await using made = new AsyncDisposableStack();
  const host = made.use(await Host.create({ packaging: kind === "managed" ? "managed" : "socket" }));
  if (kind !== "bridge") await host.plugin.start();
  await host.dockerd.start();
  await loadImage(host);
  const driver = kind === "bridge" ? "bridge" : "tsnet";
  for (let index = 0; index < networks; index++) await createNetwork(host, driver, `net${index}`);
  for (let index = 0; index < containers; index++) {
    const id = await createContainer(host, `net${index % networks}`);
    await host.dockerd.api("POST", `/containers/${id}/update`, { RestartPolicy: { Name: "always" } });
    await start(host, id);
  }
  await host.dockerd.stop();
  made.move();
  return host;
}

/** Until all containers run; then it is stopped again. */
async function bootTime({ dockerd }: Host): Promise<number> {
  const ms = await timed(async () => {
    await dockerd.start();
    await until("all containers run", deadlineMs, async () => {
      return (await dockerd.api("GET", "/containers/json")).length === containers;
    });
  });
  await dockerd.stop();
  return ms;
}

/** One figure for each packaging. */
export async function bootFigures(): Promise<Figure[]> {
  await using made = new AsyncDisposableStack();
  const hosts = {} as Record<Kind, Host>;
  for (const kind of kinds) hosts[kind] = made.use(await bootableHost(kind));
  const [times] = await samplesInTurn(kinds, { rounds: 5, count: 1 }, async (kind) => [await bootTime(hosts[kind])]);
  return (["socket", "managed"] as const).map((kind) => ({
    ...{ name: `dockerd's start with ${containers} containers that it starts again, ${kind} plugin`, unit: "ms" },
    ...{ tsnet: times?.[kind] ?? [], bridge: times?.bridge ?? [] },
    limit: { of: "ratio", value: 1.3 },
  }));
}
