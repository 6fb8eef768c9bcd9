/** Networks between two hosts: tsnet's mode overlay and Docker's own overlay in turn. */
import { fileURLToPath } from "node:url";
import { run } from "../support/commands.ts";
import type { Container } from "../support/container.ts";
import type { Host } from "../support/host.ts";
import { install } from "../support/setup.ts";
import { createContainer, remove, start } from "./docker-figures.ts";
import type { Figure } from "./figures.ts";
import { inTurn, samplesInTurn } from "./in-turn.ts";
import { arrivalFigures } from "./overlay-arrival.ts";
import { entryFigures } from "./overlay-entries.ts";
import { createOverlayHosts, type Kind, kinds, networks, type OverlayHosts, runOn, serveOn } from "./overlay-hosts.ts";
import { timed } from "./statistics.ts";

const program = fileURLToPath(new URL("ping-pong.mjs", import.meta.url));

/** How long one measurement is, in seconds, and how many there are of each kind. */
const seconds = 2;
const pairs = 5;
const latencyPairs = 12;

/** Noise of the machine, where the wanted ratio is 1.0. */
const noise = { throughput: 0.97, latency: 1.05 };

/** A client on the one host, and a server's address on the other. */
interface Pair {
  readonly client: Container;
  readonly address: string;
}

/** The same core for both ends: no core has to be woken by another. */
const pinned = ["taskset", "-c", "1"];

type Pairs = Readonly<Record<Kind, Pair>>;

async function createPairs({ near, far }: OverlayHosts, made: AsyncDisposableStack): Promise<Pairs> {
  const all: Partial<Record<Kind, Pair>> = {};
  for (const kind of kinds) {
    const server = await runOn(far, networks[kind]);
    made.use(await serveOn(server, 5201, ["iperf3", "-s"]));
    made.use(await serveOn(server, 99, [...pinned, process.execPath, program, "serve", "99"]));
    all[kind] = { client: await runOn(near, networks[kind]), address: await server.ipv4(networks[kind]) };
  }
  return all as Pairs;
}

/** Gbit/s of one TCP connection, as its receiver counts them. */
async function throughput({ client, address }: Pair): Promise<number> {
  const command = await client.enter(["iperf3", "-c", address, "-t", `${seconds}`, "-J"]);
  const { end } = JSON.parse(await run(command, { env: process.env }));
  return end.sum_received.bits_per_second / 1e9;
}

/** The underlay's own segmentation of what is in a tunnel, which few network cards have. */
async function setTunnelOffload({ near, far }: OverlayHosts, value: "on" | "off"): Promise<void> {
  const features = ["tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation"];
  for (const host of [near, far])
    await host.sh(`ethtool -K eth0 ${features.map((name) => `${name} ${value}`).join(" ")}`);
}

async function throughputFigures(hosts: OverlayHosts, all: Pairs): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const [offload, direct] of [
    ["on", noise.throughput],
    ["off", 2.5],
  ] as const) {
    await setTunnelOffload(hosts, offload);
    const [times] = await samplesInTurn(kinds, { rounds: pairs, count: 1 }, async (kind) => [
      await throughput(all[kind]),
    ]);
    const limits = { tsnet: noise.throughput, direct };
    for (const kind of ["tsnet", "direct"] as const) {
      const path = kind === "tsnet" ? "by VXLAN" : "on the direct path";
      figures.push({
        name: `overlay: TCP throughput between two hosts ${path}, the underlay's tunnel offload ${offload}`,
        ...{ unit: "Gbit/s", tsnet: times?.[kind] ?? [], bridge: times?.bridge ?? [] },
        limit: { of: "ratio", value: limits[kind], atLeast: true },
      });
    }
  }
  await setTunnelOffload(hosts, "on");
  return figures;
}

async function latencyFigures(all: Pairs): Promise<Figure[]> {
  const rounds = { rounds: latencyPairs, count: 3 };
  const times = await samplesInTurn(kinds, rounds, async (kind) => {
    const { client, address } = all[kind];
    const command = [...pinned, process.execPath, program, address, "99", `${seconds}`];
    const answer = JSON.parse(await run(await client.enter(command), { env: process.env }));
    return [answer.perSecond, answer.p50, answer.p99];
  });
  const lines = [
    ["requests and responses over TCP", "1/s", { of: "ratio", value: 0.95, atLeast: true }],
    ["time of one, p50", "µs", { of: "ratio", value: noise.latency }],
    ["time of one, p99", "µs", { of: "ratio", value: noise.latency }],
  ] as const;
  return lines.flatMap(([name, unit, limit], index): Figure[] => {
    const { tsnet = [], direct = [], bridge = [] } = times[index] ?? {};
    return [
      { name: `overlay: ${name}, by VXLAN`, unit, tsnet, bridge, limit },
      { name: `overlay: ${name}, on the direct path`, unit, tsnet: direct, bridge },
    ];
  });
}

/** The container has a network without a way out: Docker's own overlay then gives it two interfaces, one of them for the way out. */
async function connectFigures(host: Host): Promise<Figure[]> {
  await host.docker("network", "create", "--internal", "base");
  const container = await createContainer(host, "base");
  await start(host, container);
  const names = [
    ["overlay: connect of a running container", 0.6],
    ["overlay: disconnect", 0.6],
  ] as const;
  const figures = await inTurn(60, names, async (driver) => {
    const path = `/networks/${networks[driver]}`;
    const call = (word: string) => timed(() => host.dockerd.api("POST", `${path}/${word}`, { Container: container }));
    return [await call("connect"), await call("disconnect")];
  });
  await remove(host, container);
  return figures;
}

const containerFigures = (host: Host): Promise<Figure[]> =>
  inTurn(
    40,
    [
      ["overlay: container start", 1.0],
      ["overlay: container rm -f", 1.0],
    ],
    async (driver) => {
      const id = await createContainer(host, networks[driver]);
      return [await timed(() => start(host, id)), await timed(() => remove(host, id))];
    },
  );

/** All of them, on hosts of their own. */
export async function overlayFigures(): Promise<Figure[]> {
  await install({ iperf3: "iperf3", ethtool: "ethtool" });
  await using made = new AsyncDisposableStack();
  const hosts = made.use(await createOverlayHosts());
  const all = await createPairs(hosts, made);
  return [
    ...(await throughputFigures(hosts, all)),
    ...(await latencyFigures(all)),
    ...(await connectFigures(hosts.near)),
    ...(await containerFigures(hosts.near)),
    ...(await arrivalFigures(hosts)),
    ...(await entryFigures(hosts)),
  ];
}
