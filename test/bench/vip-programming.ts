/**
 * Brings the virtual IPs of many services into the kernel, in namespaces of its own; prints milliseconds as JSON: of all services at once,
 * the first time in this process and later, and of a task more and a task less.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { absentMs } from "../../src/driver/swarm/absent-services.ts";
import type { GossipNetwork } from "../../src/plan/gossip.ts";
import { run } from "../support/commands.ts";
import { VipLab } from "../support/vip-lab.ts";
import { timed } from "./statistics.ts";

const services = 200;
const tasksEach = 5;
const laterTimes = 2;
const changes = 10;

/** What is left of one time ends before the next begins. */
const pauseMs = 200;

export interface Programming {
  readonly first: number;
  readonly later: readonly number[];
  /** Of one task. */
  readonly more: readonly number[];
  /** The same; with it go the flows that led to the task, for which the kernel walks through all that it remembers. */
  readonly less: readonly number[];
}

const addressOf = (service: number, task: number): string => `10.6.${service}.${task + 1}`;

/** @param lacking this service has a task less */
const gossip = (lacking?: number): GossipNetwork => ({
  peers: [],
  services: Array.from({ length: services }, (_, service) => ({
    name: `s${service}`,
    vip: `10.5.0.${service + 20}`,
    tasks: Array.from({ length: service === lacking ? tasksEach - 1 : tasksEach }, (_, task) => ({
      ...{ name: `s${service}.${task}`, endpoint: "", ip: addressOf(service, task) },
    })),
  })),
});

/** Tasks of other hosts, each with an address of its own. */
const elsewhere = Array.from({ length: services * tasksEach }, (_, n) => ({
  mac: `02:42:0a:06:${(n >> 8).toString(16).padStart(2, "0")}:${(n & 255).toString(16).padStart(2, "0")}`,
  ips: [addressOf(Math.floor(n / tasksEach), n % tasksEach)],
  vtep: "192.168.77.250",
}));

/** From what the swarm tells to the kernel having it. */
async function apply(lab: VipLab, told: GossipNetwork): Promise<number> {
  await sleep(pauseMs);
  lab.gossip = told;
  return await timed(() => lab.update());
}

/** @throws Error if the table does not have them */
async function expectTasks(lab: VipLab, count: number): Promise<void> {
  const table = await run(await lab.host(1).namespace.enter(["nft", "list", "map", "ip", "tsnet-vip", "slots"]));
  const found = table.match(/ : 10\.6\./g)?.length ?? 0;
  if (found !== count) throw new Error(`the table leads to ${found} tasks, and not to ${count}`);
}

/** What is listed no more is refused for a while, and then gone. */
async function clear(lab: VipLab): Promise<void> {
  await apply(lab, { peers: [], services: [] });
  lab.nowMs += absentMs;
  await lab.update();
  const left = await run(await lab.host(1).namespace.enter(["nft", "list", "ruleset"]));
  if (left.includes("tsnet-vip")) throw new Error(`the table is not gone:\n${left}`);
}

async function measure(): Promise<Programming> {
  await using lab = await VipLab.start(1);
  lab.elsewhere = elsewhere;
  const all: number[] = [];
  while (all.length <= laterTimes) {
    all.push(await apply(lab, gossip()));
    await expectTasks(lab, services * tasksEach);
    if (all.length <= laterTimes) await clear(lab);
  }
  const [more, less]: [number[], number[]] = [[], []];
  for (let n = 0; n < changes; n++) {
    less.push(await apply(lab, gossip(n)));
    if (n === 0) await expectTasks(lab, services * tasksEach - 1);
    more.push(await apply(lab, gossip()));
  }
  await expectTasks(lab, services * tasksEach);
  const [first = Number.NaN, ...later] = all;
  return { first, later, more, less };
}

console.log(JSON.stringify(await measure()));
