/** What a user of Docker waits for, tsnet and Docker's own bridge in turn, through Docker's API. */
import type { Host } from "../support/host.ts";
import { image } from "../support/image.ts";
import type { Figure } from "./figures.ts";
import { timed } from "./statistics.ts";

const drivers = ["bridge", "tsnet"] as const;
type Driver = (typeof drivers)[number];
type Samples = Record<Driver, number[]>;

const samples = (): Samples => ({ bridge: [], tsnet: [] });

/** `names` give one figure each: `measure` returns a time for each of them, for one driver, once. */
async function inTurn(
  rounds: number,
  names: readonly (readonly [name: string, limit: number])[],
  measure: (driver: Driver, round: number) => Promise<readonly number[]>,
): Promise<Figure[]> {
  const times = names.map(samples);
  for (const driver of drivers) await measure(driver, 0); // the first time loads what later times find loaded
  for (let round = 1; round <= rounds; round++) {
    // who comes first changes, so that neither gains by it
    for (const driver of round % 2 === 0 ? drivers : drivers.toReversed()) {
      for (const [index, ms] of (await measure(driver, round)).entries()) times[index]?.[driver].push(ms);
    }
  }
  return names.map(([name, value], index): Figure => {
    const { tsnet, bridge } = times[index] ?? samples();
    return { name, unit: "ms", tsnet, bridge, limit: { of: "ratio", value } };
  });
}

async function createNetwork(host: Host, driver: Driver, name: string): Promise<string> {
  return (await host.dockerd.api("POST", "/networks/create", { Name: name, Driver: driver })).Id;
}

async function createContainer(host: Host, network: string): Promise<string> {
  const body = { Image: image, HostConfig: { NetworkMode: network } };
  return (await host.dockerd.api("POST", "/containers/create", body)).Id;
}

const start = (host: Host, id: string): Promise<unknown> => host.dockerd.api("POST", `/containers/${id}/start`);
const remove = (host: Host, id: string): Promise<unknown> => host.dockerd.api("DELETE", `/containers/${id}?force=1`);

function networkFigures(host: Host): Promise<Figure[]> {
  return inTurn(
    40,
    [
      ["network create", 0.45],
      ["network rm", 0.15],
    ],
    async (driver, round) => {
      let id = "";
      const created = await timed(async () => {
        id = await createNetwork(host, driver, `net-${driver}-${round}`);
      });
      return [created, await timed(() => host.dockerd.api("DELETE", `/networks/${id}`))];
    },
  );
}

async function connectFigures(host: Host): Promise<Figure[]> {
  const container = await createContainer(host, "base-bridge");
  await start(host, container);
  const figures = await inTurn(
    60,
    [
      ["connect of a running container", 1.0],
      ["disconnect", 0.6],
    ],
    async (driver) => {
      const network = `second-${driver}`;
      const connect = () => host.dockerd.api("POST", `/networks/${network}/connect`, { Container: container });
      const disconnect = () => host.dockerd.api("POST", `/networks/${network}/disconnect`, { Container: container });
      return [await timed(connect), await timed(disconnect)];
    },
  );
  await remove(host, container);
  return figures;
}

function containerFigures(host: Host): Promise<Figure[]> {
  return inTurn(
    60,
    [
      ["container start", 1.0],
      ["container rm -f", 0.8],
    ],
    async (driver) => {
      const id = await createContainer(host, `base-${driver}`);
      return [await timed(() => start(host, id)), await timed(() => remove(host, id))];
    },
  );
}

function massRemovalFigures(host: Host): Promise<Figure[]> {
  return inTurn(6, [["50 containers removed in parallel, wall time", 0.7]], async (driver) => {
    const ids: string[] = [];
    for (let index = 0; index < 50; index++) ids.push(await createContainer(host, `base-${driver}`));
    for (const id of ids) await start(host, id);
    return [await timed(() => Promise.all(ids.map((id) => remove(host, id))))];
  });
}

/** All of them; the host has dockerd and the plugin running. */
export async function dockerFigures(host: Host): Promise<Figure[]> {
  for (const driver of drivers) {
    await createNetwork(host, driver, `base-${driver}`);
    await createNetwork(host, driver, `second-${driver}`);
  }
  return [
    ...(await networkFigures(host)),
    ...(await connectFigures(host)),
    ...(await containerFigures(host)),
    ...(await massRemovalFigures(host)),
  ];
}
