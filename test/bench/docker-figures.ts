/** What a user of Docker waits for, tsnet and Docker's own bridge in turn, through Docker's API. */
import type { Host } from "../support/host.ts";
import { image } from "../support/image.ts";
import type { Figure } from "./figures.ts";
import { type Driver, drivers, inTurn } from "./in-turn.ts";
import { timed } from "./statistics.ts";

export async function createNetwork(host: Host, driver: Driver, name: string): Promise<string> {
  return (await host.dockerd.api("POST", "/networks/create", { Name: name, Driver: driver })).Id;
}

/** @param ports host port → container port */
export async function createContainer(
  host: Host,
  network: string,
  ports: readonly (readonly [number, number])[] = [],
): Promise<string> {
  const bindings = ports.map(([hostPort, port]) => [`${port}/tcp`, [{ HostPort: `${hostPort}` }]]);
  const body = {
    Image: image,
    ExposedPorts: Object.fromEntries(ports.map(([, port]) => [`${port}/tcp`, {}])),
    HostConfig: { NetworkMode: network, PortBindings: Object.fromEntries(bindings) },
  };
  return (await host.dockerd.api("POST", "/containers/create", body)).Id;
}

export const start = (host: Host, id: string): Promise<unknown> => host.dockerd.api("POST", `/containers/${id}/start`);
export const remove = (host: Host, id: string): Promise<unknown> =>
  host.dockerd.api("DELETE", `/containers/${id}?force=1`);

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
