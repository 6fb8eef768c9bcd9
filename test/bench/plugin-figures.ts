/** The managed plugin: how soon it is there, what running connections notice of its end, and what it costs against the socket plugin. */
import { globSync, lstatSync } from "node:fs";
import { join } from "node:path";
import { Host } from "../support/host.ts";
import { pluginName } from "../support/managed-plugin.ts";
import { type Packaging, packagings } from "../support/plugin.ts";
import { build, otherBuild, publish, reference, startRegistry } from "../support/registry.ts";
import { bootFigures } from "./boot-figures.ts";
import { createContainer, createNetwork, remove, start } from "./docker-figures.ts";
import type { Figure } from "./figures.ts";
import { samplesInTurn } from "./in-turn.ts";
import { providePlugin } from "./installed-plugin.ts";
import { disable, enableTime, lossFigures } from "./plugin-loss.ts";
import { timed } from "./statistics.ts";

/** From the registry; it is enabled as a step of its own, so that both can be told. */
const install = (host: Host): Promise<string> =>
  host.docker("plugin", "install", "--grant-all-permissions", "--disable", "--alias", pluginName, reference("first"));

/** Disk space of the files of the plugin's root directory: MB. */
function unpackedMegabytes(directory: string): number {
  const files = globSync(`${directory}/**`).map((path) => lstatSync(path));
  return files.reduce((sum, { blocks }) => sum + blocks * 512, 0) / 1e6;
}

/** From the registry to a network, again and again; the plugin is installed and runs at the end. */
async function installFigures(host: Host): Promise<Figure[]> {
  const [total, cold, warm]: [number[], number[], number[]] = [[], [], []];
  await host.docker("plugin", "rm", pluginName);
  for (let round = 0; round < 4; round++) {
    const pull = await timed(() => install(host));
    cold.push(await enableTime(host));
    const create = await timed(() => createNetwork(host, "tsnet", "first"));
    total.push(pull + (cold.at(-1) ?? Number.NaN) + create);
    await host.docker("network", "rm", "first");
    await disable(host);
    if (round < 3) await host.docker("plugin", "rm", pluginName);
  }
  const size = unpackedMegabytes(join(host.plugin.stateDirectory, "../rootfs"));
  for (let round = 0; round < 8; round++) {
    if (round > 0) await disable(host);
    warm.push(await enableTime(host));
  }
  return [
    {
      ...{ name: "managed plugin: install from a registry to the first network created", unit: "ms", tsnet: total },
      limit: { of: "median", value: 15_000 },
    },
    {
      ...{ name: "managed plugin: first enable after an install, to answering", unit: "ms", tsnet: cold },
      limit: { of: "median", value: 1000 },
    },
    {
      ...{ name: "managed plugin: enable to answering", unit: "ms", tsnet: warm },
      limit: { of: "median", value: 1000 },
    },
    {
      ...{ name: "managed plugin: unpacked size", unit: "MB", tsnet: [size] },
      limit: { of: "max", value: 200 },
    },
  ];
}

/** A host whose dockerd has the plugin installed, and finds two builds of it in a registry. */
async function lifeFigures(): Promise<Figure[]> {
  await using host = await Host.start([], { packaging: "managed" });
  await startRegistry(host);
  await disable(host);
  await publish(host, build(), "first");
  await publish(host, otherBuild(host, "second"), "second");
  return [...(await installFigures(host)), ...(await lossFigures(host, ["second", "first"]))];
}

/** A host for each packaging: what a container takes, and a network more. */
async function packagingFigures(): Promise<Figure[]> {
  await using socket = await Host.start([], { packaging: "socket" });
  await using managed = await Host.start([], { packaging: "managed" });
  const hosts: Readonly<Record<Packaging, Host>> = { socket, managed };
  const running: Record<Packaging, string> = { socket: "", managed: "" };
  for (const kind of packagings) {
    for (const name of ["first", "second"]) await createNetwork(hosts[kind], "tsnet", name);
    running[kind] = await createContainer(hosts[kind], "first");
    await start(hosts[kind], running[kind]);
  }
  const startAndRemove = async (kind: Packaging): Promise<readonly number[]> => {
    const id = await createContainer(hosts[kind], "first");
    return [(await timed(() => start(hosts[kind], id))) + (await timed(() => remove(hosts[kind], id)))];
  };
  const connectAndDisconnect = async (kind: Packaging): Promise<readonly number[]> => {
    const call = (word: string) =>
      timed(() => hosts[kind].dockerd.api("POST", `/networks/second/${word}`, { Container: running[kind] }));
    return [(await call("connect")) + (await call("disconnect"))];
  };
  const figure = async (name: string, rounds: number, measure: typeof startAndRemove): Promise<Figure> => {
    const [times] = await samplesInTurn(packagings, { rounds, count: 1 }, measure);
    return {
      ...{ name: `${name}: managed plugin, and socket plugin in the place of Docker's own`, unit: "ms" },
      ...{ tsnet: times?.managed ?? [], bridge: times?.socket ?? [] },
      limit: { of: "ratio", value: 1.05 },
    };
  };
  return [
    await figure("container start + rm -f", 60, startAndRemove),
    await figure("connect + disconnect", 100, connectAndDisconnect),
  ];
}

/** All of them, on hosts of their own. */
export async function pluginFigures(): Promise<Figure[]> {
  using _plugin = await providePlugin();
  return [...(await lifeFigures()), ...(await packagingFigures()), ...(await bootFigures())];
}
