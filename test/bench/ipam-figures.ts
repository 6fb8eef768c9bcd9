/** What address management takes: calls on the plugin's socket as dockerd makes them, each durable before its answer. */
import { type Answer, type Caller, openCallers } from "../support/caller.ts";
import { EtcdServer } from "../support/etcd.ts";
import type { Host } from "../support/host.ts";
import { callersPerHost, IpamLoad } from "../support/ipam-load.ts";
import { residentMib } from "./driver-figures.ts";
import type { Figure } from "./figures.ts";
import { fillTimes } from "./ipam-fill.ts";
import type { StallMonitor } from "./stall.ts";
import { median, timed } from "./statistics.ts";

const callers = 32;

/** One call that must succeed. */
async function accepted(caller: Caller, method: string, body: object): Promise<Answer> {
  const answer = await caller.call(`IpamDriver.${method}`, body);
  if (answer["Err"] || answer["Error"]) throw new Error(`${method}: ${answer["Error"] ?? answer["Err"]}`);
  return answer;
}

async function requestPool(caller: Caller, subnet: string): Promise<string> {
  const request = { AddressSpace: "tsnet-local", Pool: subnet, SubPool: "", Options: {}, V6: false };
  return (await accepted(caller, "RequestPool", request))["PoolID"] ?? "";
}

/** So many free addresses of a pool, from all callers at once. @returns milliseconds until the last has its answer */
async function allocate(all: readonly Caller[], pool: string, count: number): Promise<number> {
  let left = count;
  const work = async (caller: Caller): Promise<void> => {
    while (left-- > 0) await accepted(caller, "RequestAddress", { PoolID: pool, Address: "", Options: {} });
  };
  return await timed(() => Promise.all(all.map(work)));
}

/** One caller, who waits for each answer. */
async function latencyFigures(host: Host): Promise<Figure[]> {
  using one = await openCallers(host.plugin.socket, 1);
  const [caller] = one.all as [Caller];
  const pool = await requestPool(caller, "10.210.0.0/16");
  await allocate(one.all, pool, 2000); // until the plugin's code is compiled
  const times: number[] = [];
  while (times.length < 5000) times.push(await allocate(one.all, pool, 1));
  await accepted(caller, "ReleasePool", { PoolID: pool });
  const name = "RequestAddress, as its caller sees it";
  return [
    { name: `${name}, p50`, unit: "ms", tsnet: times, limit: { of: "median", value: 1 } },
    { name: `${name}, p99`, unit: "ms", tsnet: times, limit: { of: "p99", value: 5 } },
  ];
}

async function rateFigure(host: Host): Promise<Figure> {
  using crowd = await openCallers(host.plugin.socket, callers);
  const [caller] = crowd.all as [Caller];
  const rates: number[] = [];
  for (let round = 0; round < 8; round++) {
    const pool = await requestPool(caller, "10.211.0.0/16");
    const count = 8000;
    const ms = await allocate(crowd.all, pool, count);
    await accepted(caller, "ReleasePool", { PoolID: pool });
    if (round > 0) rates.push((count / ms) * 1000);
  }
  return {
    ...{ name: `addresses a second, ${callers} callers at once`, unit: "1/s", tsnet: rates },
    limit: { of: "median", value: 3000, atLeast: true },
  };
}

/** What 100,000 addresses take, of the plugin as it has just been started. */
async function memoryFigures(host: Host): Promise<Figure[]> {
  await host.plugin.restart();
  const idle = residentMib(host);
  using crowd = await openCallers(host.plugin.socket, callers);
  const [caller] = crowd.all as [Caller];
  const pool = await requestPool(caller, "10.0.0.0/8");
  await allocate(crowd.all, pool, 100_000);
  const held = residentMib(host) - idle;
  const restart = await timed(async () => {
    await host.plugin.restart();
    using after = await openCallers(host.plugin.socket, 1);
    await accepted(after.all[0] as Caller, "RequestAddress", { PoolID: pool, Address: "", Options: {} });
  });
  const restored = residentMib(host) - idle;
  using after = await openCallers(host.plugin.socket, 1);
  await accepted(after.all[0] as Caller, "ReleasePool", { PoolID: pool });
  const limit = { of: "max", value: 40 } as const;
  const name = "resident memory over idle, 100,000 addresses";
  return [
    { name, unit: "MiB", tsnet: [held], limit },
    { name: `${name}, after a restart`, unit: "MiB", tsnet: [restored], limit },
    { name: "restart with 100,000 addresses", unit: "ms", tsnet: [restart] },
  ];
}

/** In this process, without the disk: what a pool itself takes. */
function fillFigures(): Figure[] {
  const rounds = Array.from({ length: 30 }, fillTimes).slice(10); // the first are not compiled yet
  const name = "a /16 from empty to full, in the process";
  return [
    {
      ...{ name: `addresses a second, ${name}`, unit: "1/s", tsnet: rounds.map(({ perSecond }) => perSecond) },
      limit: { of: "median", value: 200_000, atLeast: true },
    },
    {
      ...{ name: `the last 1 % of ${name}, over the first`, unit: "ratio" },
      tsnet: [median(rounds.map(({ lastMs }) => lastMs)) / median(rounds.map(({ firstMs }) => firstMs))],
      limit: { of: "median", value: 1.5 },
    },
  ];
}

/** Three hosts, one of which is killed, and an etcd that is killed too: what they get done, outage and all. */
async function etcdFigures(): Promise<Figure[]> {
  await using etcd = await EtcdServer.start();
  await using load = await IpamLoad.create(etcd);
  const { ledger, seconds, after } = await load.run(20_000);
  const name = `three hosts on one etcd, ${callersPerHost} callers each`;
  const none = { of: "max", value: 0 } as const;
  return [
    {
      ...{ name: `requests and releases a second, ${name}`, unit: "1/s", tsnet: [ledger.done / seconds] },
      limit: { of: "median", value: 400, atLeast: true },
    },
    { name: `given twice, ${name}`, unit: "addresses", tsnet: [ledger.problems.length], limit: none },
    {
      ...{ name: `lost or leaked after the check, ${name}`, unit: "addresses" },
      tsnet: [after.unknown.length + after.missing.length],
      limit: none,
    },
  ];
}

/** All of them. The plugin is started anew, without its debug log, and left so. */
export async function ipamFigures(host: Host, _stall: StallMonitor): Promise<Figure[]> {
  const inProcess = fillFigures();
  await host.plugin.stop();
  await host.plugin.start({});
  return [
    ...(await latencyFigures(host)),
    await rateFigure(host),
    ...inProcess,
    ...(await memoryFigures(host)),
    ...(await etcdFigures()),
  ];
}
