/** What published ports cost: tsnet and Docker's own bridge in turn, and tsnet with many mappings against tsnet with few. */
import { createHash } from "node:crypto";
import { Container } from "../support/container.ts";
import type { Host } from "../support/host.ts";
import { talkDuring } from "../support/probe.ts";
import { createContainer, createNetwork, remove, start } from "./docker-figures.ts";
import { accepted, residentMib } from "./driver-figures.ts";
import type { Figure } from "./figures.ts";
import { type Driver, drivers, inTurn } from "./in-turn.ts";
import { connectionsPerSecond, serveIn } from "./rate.ts";
import { median, timed } from "./statistics.ts";

type Ports = readonly (readonly [number, number])[];

const firstPort = 10_000;

/** Neighboring host ports that go to neighboring container ports. */
const range = (count: number): Ports => Array.from({ length: count }, (_, n) => [firstPort + n, firstPort + n]);

/** No two of them can be one element of an interval map. The first goes to port 80. */
const scattered = (count: number): Ports => Array.from({ length: count }, (_, n) => [firstPort + n, 80 + 2 * n]);

function startFigures(host: Host, name: string, ports: Ports, limits: readonly number[], rounds: number) {
  const names = ["start", "rm -f"].map((what, index) => [`${what} with ${name}`, limits[index] ?? Number.NaN] as const);
  return inTurn(rounds, names.slice(0, limits.length), async (driver) => {
    const id = await createContainer(host, `ports-${driver}`, ports);
    const times = [await timed(() => start(host, id)), await timed(() => remove(host, id))];
    return times.slice(0, limits.length);
  });
}

/** An endpoint without a container, for mappings that are only there. */
const fillerNetwork = createHash("sha256").update("ports").digest("hex");
const perFiller = 5000;
const fillerId = (index: number): string => createHash("sha256").update(`filler ${index}`).digest("hex");

async function createFillers(host: Host, count: number): Promise<void> {
  const subnet = { AddressSpace: "LocalDefault", Pool: "10.201.0.0/16", Gateway: "10.201.0.1/16", AuxAddresses: {} };
  await accepted(host, "CreateNetwork", { NetworkID: fillerNetwork, Options: {}, IPv4Data: [subnet], IPv6Data: [] });
  for (let index = 0; index < count; index++) {
    const ids = { NetworkID: fillerNetwork, EndpointID: fillerId(index) };
    const address = { Address: `10.201.1.${index + 1}/16`, AddressIPv6: "", MacAddress: "" };
    await accepted(host, "CreateEndpoint", { ...ids, Interface: address, Options: {} });
    await accepted(host, "Join", { ...ids, SandboxKey: `/run/docker/netns/filler${index}`, Options: {} });
  }
}

/**
 * Publishes so many mappings that are not part of a range; 0 takes them back. Each tcp port is an open file on each host address,
 * and not everybody may have 20,000: so half of as many are sctp, which is a map element all the same.
 * @param hostAddress "" is all of both families
 */
async function fill(host: Host, mappings: number, hostAddress = "0.0.0.0"): Promise<void> {
  for (let index = 0; index * perFiller < Math.max(mappings, 4 * perFiller); index++) {
    const ids = { NetworkID: fillerNetwork, EndpointID: fillerId(index) };
    const count = Math.min(perFiller, mappings - index * perFiller);
    if (count <= 0) await accepted(host, "RevokeExternalConnectivity", ids);
    else {
      const Options = {
        "com.docker.network.portmap": Array.from({ length: count }, (_, n) => binding(index, n, hostAddress)),
      };
      await accepted(host, "ProgramExternalConnectivity", { ...ids, Options });
    }
  }
}

function binding(index: number, n: number, HostIP: string): object {
  const HostPort = 20_000 + index * perFiller + n;
  return { Proto: index < 2 ? 6 : 132, IP: "", Port: 1 + 2 * n, HostIP, HostPort, HostPortEnd: HostPort };
}

async function startTimes(host: Host, rounds: number): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const id = await createContainer(host, "ports-tsnet", range(1));
    times.push(await timed(() => start(host, id)));
    await remove(host, id);
  }
  return times.slice(1);
}

async function crowdedStart(host: Host): Promise<Figure> {
  const without = await startTimes(host, 20);
  await fill(host, 20_000);
  const crowded = await startTimes(host, 40);
  await fill(host, 0);
  without.push(...(await startTimes(host, 20)));
  const name = "start with 1 port on a host with 20,000 mappings over one with none";
  return {
    ...{ name, unit: "ratio", tsnet: [median(crowded) / median(without)] },
    limit: { of: "median", value: 1.1 },
  };
}

async function costPerPort(host: Host): Promise<Figure[]> {
  const processes = async (): Promise<number> => Number(await host.sh("ls -d /proc/[0-9]* | wc -l"));
  const id = await createContainer(host, "ports-tsnet", scattered(50));
  const without = await createContainer(host, "ports-tsnet");
  await start(host, without);
  const before = await processes();
  await remove(host, without);
  await start(host, id);
  const after = await processes();
  await remove(host, id);
  await fill(host, 1000, "");
  const residentBefore = residentMib(host);
  await fill(host, 9000, "");
  const kibibytes = ((residentMib(host) - residentBefore) * 1024) / 8000;
  await fill(host, 0);
  return [
    {
      ...{ name: "processes for 50 published ports", unit: "processes", tsnet: [after - before] },
      limit: { of: "max", value: 0 },
    },
    {
      ...{ name: "resident memory per published port", unit: "KiB", tsnet: [kibibytes] },
      limit: { of: "max", value: 2 },
    },
  ];
}

async function rateWithMappings(host: Host): Promise<Figure> {
  const id = await createContainer(host, "ports-tsnet", [[firstPort, 80]]);
  await start(host, id);
  await using _server = await serveIn(host, id);
  const rates: Record<"few" | "many", number[]> = { few: [], many: [] };
  for (let round = 0; round < 6; round++) {
    await fill(host, 0);
    rates.few.push(await connectionsPerSecond(host, firstPort));
    await fill(host, 10_000);
    rates.many.push(await connectionsPerSecond(host, firstPort));
  }
  await fill(host, 0);
  await remove(host, id);
  const name = "new TCP connections through a published port, with 10,000 mappings over 1";
  return {
    ...{ name, unit: "ratio", tsnet: [median(rates.many) / median(rates.few)] },
    limit: { of: "median", value: 0.97, atLeast: true },
  };
}

/** Ports of the two that do not meet. Removing the containers would take the bridge minutes: they go with the host. */
async function rateAgainstBridge(host: Host): Promise<Figure> {
  const ports: Record<Driver, Ports> = {
    tsnet: scattered(1000),
    bridge: scattered(1000).map(([hostPort, port]) => [hostPort + 1000, port]),
  };
  const ids = {} as Record<Driver, string>;
  for (const driver of drivers) {
    ids[driver] = await createContainer(host, `ports-${driver}`, ports[driver]);
    await host.docker("start", ids[driver]); // takes the bridge a minute, for which the command waits
  }
  await using servers = new AsyncDisposableStack();
  for (const driver of drivers) servers.use(await serveIn(host, ids[driver]));
  const port = (driver: Driver): number => ports[driver][0]?.[0] ?? 0;
  const name = "new TCP connections a second through a published port, 1,000 mappings each";
  const [figure] = await inTurn(8, [[name, 1]], async (driver) => [await connectionsPerSecond(host, port(driver))]);
  return { ...(figure as Figure), unit: "1/s", limit: { of: "ratio", value: 1, atLeast: true } };
}

/** The plugin is killed and started again under a connection that talks all the time. */
async function restartFigures(host: Host): Promise<Figure[]> {
  const echo = await Container.run(host, { network: "ports-tsnet", serve: true }, "-p", `${firstPort}:7`);
  await fill(host, 10_000);
  const retransmitted = async (): Promise<number> => {
    const { stdout } = await host.outside.client.exec("nstat -asz TcpRetransSegs");
    return Number(/TcpRetransSegs\s+(\d+)/.exec(stdout)?.[1]);
  };
  const before = await retransmitted();
  const times: number[] = [];
  await talkDuring(
    host.outside.client,
    host.ipv4,
    async () => {
      for (let round = 0; round < 3; round++) times.push(await restartTime(host));
    },
    firstPort,
  );
  const lost = (await retransmitted()) - before;
  await fill(host, 0);
  await echo.remove();
  return [
    {
      ...{ name: "restart with 10,000 mappings to repaired and answering", unit: "ms", tsnet: times },
      limit: { of: "max", value: 2000 },
    },
    {
      ...{ name: "segments of an established connection sent again meanwhile", unit: "segments", tsnet: [lost] },
      limit: { of: "max", value: 0 },
    },
  ];
}

async function restartTime(host: Host): Promise<number> {
  await host.plugin.kill();
  return await timed(async () => {
    await host.plugin.start();
    await accepted(host, "EndpointOperInfo", { NetworkID: fillerNetwork, EndpointID: fillerId(0) });
  });
}

/** All of them. The plugin is killed and started again, and containers are left. */
export async function portFigures(host: Host): Promise<Figure[]> {
  for (const driver of drivers) await createNetwork(host, driver, `ports-${driver}`);
  const fillers = 4;
  const started = [
    ...(await startFigures(host, "1 port", range(1), [1.0, 0.75], 40)),
    ...(await startFigures(host, "50 ports", scattered(50), [0.35, 0.06], 10)),
    ...(await startFigures(host, "a range of 200 ports", range(200), [0.15], 5)),
  ];
  await createFillers(host, fillers);
  const figures = [
    ...started,
    await crowdedStart(host),
    ...(await costPerPort(host)),
    await rateWithMappings(host),
    ...(await restartFigures(host)),
  ];
  await accepted(host, "DeleteNetwork", { NetworkID: fillerNetwork });
  return [...figures, await rateAgainstBridge(host)];
}
