/** Networks on a link of the host: tsnet's mode macvlan and Docker's own macvlan driver in turn, and what tsnet adds to it. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { exitOf, run } from "../support/commands.ts";
import { Container } from "../support/container.ts";
import type { Host } from "../support/host.ts";
import { addUplink } from "../support/lan.ts";
import { until } from "../support/poll.ts";
import type { Place } from "../support/probe.ts";
import { createContainer, remove, start } from "./docker-figures.ts";
import type { Figure } from "./figures.ts";
import { type Driver, drivers, inTurn } from "./in-turn.ts";
import { median, timed } from "./statistics.ts";

const program = fileURLToPath(new URL("byte-stream.mjs", import.meta.url));

/** How long one transfer is, in seconds, and how many there are of each kind. */
const seconds = 1;
const transfers = 9;

/** What `docker network create` is told: Docker's own driver stands in the column of the bridge. */
const kinds: Readonly<Record<Driver, { readonly Driver: string; readonly Options: Readonly<Record<string, string>> }>> =
  {
    bridge: { Driver: "macvlan", Options: {} },
    tsnet: { Driver: "tsnet", Options: { mode: "macvlan", "tsnet.duplicate_check": "false" } },
  };

/** A network of this kind, on a parent of its own: up to 26, Docker's driver has one network a parent. */
async function createLan(
  host: Host,
  { driver, number, options = {} }: { driver: Driver; number: number; options?: Readonly<Record<string, string>> },
): Promise<string> {
  const parent = `nic${number}`;
  await addUplink(host.outside, host, parent);
  const { Driver, Options } = kinds[driver];
  const Config = [{ Subnet: `10.21${number}.0.0/16`, Gateway: `10.21${number}.0.1` }];
  const body = { Name: `lan${number}`, Driver, Options: { ...Options, parent, ...options }, IPAM: { Config } };
  await host.dockerd.api("POST", "/networks/create", body);
  return body.Name;
}

async function connectFigures(host: Host, networks: Readonly<Record<Driver, string>>): Promise<Figure[]> {
  const container = await createContainer(host, "bridge");
  await start(host, container);
  const names = [
    ["connect of a running container to a macvlan network", 1.0],
    ["disconnect from it", 0.7],
  ] as const;
  const figures = await inTurn(60, names, async (driver) => {
    const path = `/networks/${networks[driver]}`;
    const connect = () => host.dockerd.api("POST", `${path}/connect`, { Container: container });
    const disconnect = () => host.dockerd.api("POST", `${path}/disconnect`, { Container: container });
    return [await timed(connect), await timed(disconnect)];
  });
  await remove(host, container);
  return figures;
}

/** @param networks with the check off, and on */
async function checkFigure(host: Host, networks: readonly [string, string]): Promise<Figure> {
  const times: [number[], number[]] = [[], []];
  for (let round = 0; round < 15; round++) {
    for (const index of [0, 1] as const) {
      const id = await createContainer(host, networks[index]);
      times[index].push(await timed(() => start(host, id)));
      await remove(host, id);
    }
  }
  const [off, on] = times;
  const name = "start with the duplicate check, less one without";
  return { ...{ name, unit: "ms", tsnet: [median(on) - median(off)] }, limit: { of: "median", value: 1100 } };
}

/** A container that takes what is sent to its port 99, until it is removed. */
async function takeIn(host: Host, network: string): Promise<AsyncDisposable & { readonly address: string }> {
  const container = await Container.run(host, { network });
  const [file = "", ...args] = await container.enter([process.execPath, program, "serve", "99"]);
  const server = spawn(file, args, { stdio: ["ignore", "ignore", "inherit"] });
  await until(
    "the other end listens",
    5000,
    async () => (await container.exec("ss -Hltn 'sport = :99'")).stdout !== "",
  );
  return {
    address: await container.ipv4(network),
    [Symbol.asyncDispose]: async () => {
      const ended = exitOf(server);
      server.kill("SIGKILL");
      await ended;
      await container.remove();
    },
  };
}

/** Gbit/s of one TCP connection. */
async function throughput(from: Place, address: string): Promise<number> {
  const command = await from.enter([process.execPath, program, address, "99", `${seconds}`]);
  return (Number(await run(command, { env: process.env })) * 8) / 1e9;
}

async function throughputFigure(host: Host, networks: Readonly<Record<Driver, string>>): Promise<Figure> {
  await using made = new AsyncDisposableStack();
  const pairs = {} as Record<Driver, { from: Container; address: string }>;
  for (const driver of drivers) {
    const { address } = made.use(await takeIn(host, networks[driver]));
    const from = await Container.run(host, { network: networks[driver] });
    made.defer(() => from.remove());
    pairs[driver] = { from, address };
  }
  const name = "TCP throughput between two containers of a macvlan network";
  const measure = async (driver: Driver) => [await throughput(pairs[driver].from, pairs[driver].address)];
  const [figure] = await inTurn(transfers, [[name, 0.98]], measure);
  return { ...(figure as Figure), unit: "Gbit/s", limit: { of: "ratio", value: 0.98, atLeast: true } };
}

/** @param network with host access */
async function shimFigure(host: Host, network: string): Promise<Figure> {
  await using target = await takeIn(host, network);
  const from = await Container.run(host, { network });
  const rates: [number[], number[]] = [[], []];
  for (let round = 0; round < transfers; round++) {
    rates[0].push(await throughput(host, target.address));
    rates[1].push(await throughput(from, target.address));
  }
  await from.remove();
  const name = "TCP throughput from the host to a macvlan container, over container to container";
  return {
    ...{ name, unit: "ratio", tsnet: [median(rates[0]) / median(rates[1])] },
    limit: { of: "median", value: 0.9, atLeast: true },
  };
}

/** All of them; the host has dockerd and the plugin running. */
export async function lanFigures(host: Host): Promise<Figure[]> {
  const networks = {
    bridge: await createLan(host, { driver: "bridge", number: 1 }),
    tsnet: await createLan(host, { driver: "tsnet", number: 2 }),
  };
  const checked = { "tsnet.duplicate_check": "true" };
  const withCheck = await createLan(host, { driver: "tsnet", number: 3, options: checked });
  const reached = { "tsnet.host_access": "true", "tsnet.host_address": "10.214.0.250" };
  const withAccess = await createLan(host, { driver: "tsnet", number: 4, options: reached });
  return [
    ...(await connectFigures(host, networks)),
    await checkFigure(host, [networks.tsnet, withCheck]),
    await throughputFigure(host, networks),
    await shimFigure(host, withAccess),
  ];
}
