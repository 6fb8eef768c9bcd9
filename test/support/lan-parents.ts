/** Containers on a network whose parent comes and goes: for unit tests. */
import { MemoryStore } from "../../src/store/memory-store.ts";
import { type Driver, startDriver, stopDriver } from "./driver.ts";
import { until } from "./poll.ts";
import { idOf, lanRequest } from "./values.ts";
import { World } from "./world.ts";
import type { WorldLink } from "./world-links.ts";

export const network = idOf("a1");
export const sandboxOf = (n: number): string => `/var/run/docker/netns/e${n}`;
const endpointIds = [1, 2].map((n) => idOf(`e${n}`));

/** A host with a LAN, and another one, on which the containers are. */
export function hostOnLans(): World {
  const world = new World();
  world.links.add("eth0", "", { up: true });
  world.links.add("eth9", "", { up: true });
  return world;
}

async function startContainers(
  driver: Driver,
  parent: string,
  options: Readonly<Record<string, string>>,
): Promise<void> {
  await driver.networks.create(lanRequest("macvlan", { parent, "tsnet.duplicate_check": "false", ...options }));
  for (const [index, id] of endpointIds.entries()) {
    await driver.endpoints.create({ network, id, addresses: [`192.168.1.${10 + index}/24`], mac: null });
    await driver.endpoints.join(network, id, sandboxOf(index + 1));
    driver.world.moveIntoSandbox(`tsm-${id.slice(0, 11)}`, sandboxOf(index + 1));
  }
  await driver.announcements.idle();
}

/** Two containers, e1 and e2; the test starts them. */
export class ParentsLab {
  world!: World;
  driver!: Driver;

  static use(): ParentsLab {
    const lab = new ParentsLab();
    afterEach(() => stopDriver(lab.driver));
    return lab;
  }

  start = async (parent: string, options: Readonly<Record<string, string>> = {}): Promise<void> => {
    this.world = hostOnLans();
    this.driver = await startDriver(this.world, new MemoryStore());
    await startContainers(this.driver, parent, options);
    this.world.announcements.length = 0;
  };

  inSandbox = (n: number): WorldLink | undefined =>
    this.world.links.all.find(({ namespace }) => namespace === sandboxOf(n));

  areBack = (): boolean =>
    [1, 2].every((n) => this.inSandbox(n)?.lower !== undefined && this.inSandbox(n)?.up === true);

  lines = (text: string): string[] => this.driver.log.lines.filter((line) => line.includes(text));

  mended = (): Promise<boolean> => until("restored", 1000, this.areBack);

  /** The next comparison begins when this one is over. */
  settled = (): Promise<void> => this.driver.reconciler.run();
}

export const goneText = (parent: string): string =>
  `warn: parent ${parent} of network ${network} is gone: its containers are cut off until it is back`;

export const backText = (parent: string, links = 2): string =>
  `info: parent ${parent} of network ${network} is back: ${links} ${links === 1 ? "link" : "links"} restored`;
