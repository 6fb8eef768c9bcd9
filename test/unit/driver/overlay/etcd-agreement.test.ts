import { setImmediate } from "node:timers/promises";
import { expect } from "chai";
import fc from "fast-check";
import { MemoryStore } from "../../../../src/store/memory-store.ts";
import { overlayEndpoint, overlayNetwork, PlaneHost } from "../../../support/plane-host.ts";
import { soon } from "../../../support/plane-hosts.ts";
import { Wire, type WireFault } from "../../../support/shared-host.ts";

const ids = ["h1", "h2", "h3"] as const;
const host = fc.constantFrom(0, 1, 2);
const address = fc.integer({ min: 2, max: 6 }).map((n) => `10.1.0.${n}/24`);

/** What may happen to hosts that share a network. */
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("connect" as const), host, address }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("disconnect" as const), host, address }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("recreate" as const), host, address }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const), host, address }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("lose etcd" as const), host, address }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("find etcd" as const), host, address }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("etcd made anew" as const), host, address }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("removed by another" as const), host, address }) },
);
const scenario = fc.record({
  steps: fc.array(step, { maxLength: 25 }),
  turns: fc.array(fc.nat({ max: 4 }), { minLength: 1 }),
  faults: fc.array(fc.constantFrom<WireFault | undefined>(undefined, undefined, undefined, "before", "after"), {
    minLength: 1,
  }),
});

/** A host whose last network goes while it cannot tell etcd, which then loses all. */
const withoutNetworks: typeof scenario extends fc.Arbitrary<infer T> ? T : never = {
  steps: (["connect", "recreate", "lose etcd", "etcd made anew"] as const).map((what) => ({
    ...{ do: what, host: 1, address: "10.1.0.2/24" },
  })),
  ...{ turns: [0], faults: [undefined, undefined, "after"] },
};

/** Signs of life are told apart by their times. */
class RunningClock {
  #now = Date.parse("2026-01-01T00:00:00Z");

  get now(): number {
    return this.#now++;
  }
}

type Hosts = PlaneHost<Wire>[];

const vniOf = (one: PlaneHost): number => [...one.own.values()][0]?.network.vni ?? 0;

async function take(
  { do: what, host: n, address: at }: { do: string; host: number; address: string },
  hosts: Hosts,
  store: MemoryStore,
) {
  const one = hosts[n] as PlaneHost<Wire>;
  const network = [...one.own.values()][0];
  const endpoint = network?.endpoints.find(({ addresses }) => addresses[0] === at);
  switch (what) {
    case "connect":
      if (network && !endpoint) await one.connect(network.network.id, overlayEndpoint(`e${count++}`, "n", at));
      break;
    case "disconnect":
      if (network && endpoint) await one.disconnect(network.network.id, endpoint);
      break;
    case "recreate":
      if (network) await one.remove(network.network);
      await one.create(overlayNetwork(`n${count++}`));
      break;
    case "restart":
      await one.restart();
      break;
    case "lose etcd":
      one.records.away = "etcd is away";
      break;
    case "find etcd":
      await one.records.comeBack();
      break;
    case "etcd made anew":
      await emptied(hosts, store);
      break;
    case "removed by another":
      await hosts[(n + 1) % 3]?.plane.list.remove(one.id, true);
  }
}

let count = 0;

/** Those that reach it hear that it has lost everything; the others, when they reach it. */
async function emptied(hosts: Hosts, store: MemoryStore): Promise<void> {
  const reached = hosts.filter(({ records }) => records.away === undefined);
  for (const { records } of hosts) {
    records.away = "etcd is away";
    records.lose();
  }
  for (const kind of ["overlay", "place", "vtep", "space"] as const) {
    for (const id of (await store.list(kind)).keys()) await store.commit([{ remove: kind, id }]);
  }
  for (const { records } of reached) await records.comeBack();
}

/** Each network has the hosts that have it. */
async function areNetworksRight(hosts: Hosts, store: MemoryStore): Promise<boolean> {
  const inEtcd = [...(await store.list("overlay"))].flatMap(([vni, value]) =>
    Object.entries((value as { hosts: object }).hosts).map(([id, network]) => `${vni} ${id} ${network}`),
  );
  const own = hosts.flatMap(({ id, own: mine }) =>
    [...mine.values()].map(({ network }) => `${network.vni} ${id} ${network.id}`),
  );
  return JSON.stringify(inEtcd.sort()) === JSON.stringify(own.sort());
}

/** As everybody should see it: what each host has, as far as etcd says that it is its. */
async function isAgreed(hosts: Hosts, store: MemoryStore): Promise<boolean> {
  const places = await store.list("place");
  const own = new Map<string, string>();
  for (const one of hosts) {
    const vni = vniOf(one);
    for (const { id, addresses } of [...one.own.values()][0]?.endpoints ?? []) {
      const place = `${vni}/${addresses[0]?.split("/")[0]}`;
      // two hosts that could not hear of each other may both have an address; etcd knows one of them
      const holder = (places.get(place) as { endpoint?: string } | undefined)?.endpoint;
      if (!own.has(place) || holder === id) own.set(place, `${one.id} ${id}`);
    }
  }
  const inEtcd = [...places].map(([id, value]) => [
    id,
    `${(value as { host: string }).host} ${(value as { endpoint: string }).endpoint}`,
  ]);
  if (JSON.stringify(inEtcd.sort()) !== JSON.stringify([...own].sort())) return false;
  if (!(await areNetworksRight(hosts, store))) return false;
  return hosts.every((one) =>
    hosts.every((other) => {
      const seen = one.view(vniOf(other));
      const wanted = [...own].filter(
        ([id, owner]) => id.startsWith(`${vniOf(other)}/`) && !owner.startsWith(`${one.id} `),
      );
      const told = wanted.map(
        ([id, owner]) => `${id.split("/")[1]} at ${hosts.find(({ id: h }) => owner.startsWith(`${h} `))?.address}`,
      );
      return JSON.stringify(seen) === JSON.stringify(told.sort());
    }),
  );
}

describe("hosts that share etcd", () => {
  it("agree on who is where after whatever has happened to them", async function () {
    this.timeout(120_000);
    await fc.assert(
      fc.asyncProperty(scenario, async ({ steps, turns, faults }) => {
        const store = new MemoryStore(128);
        let n = 0;
        const clock = new RunningClock();
        const hosts = ids.map((id) =>
          new PlaneHost(id, new Wire(store), { clock, timing: { graceMs: 20, deadlineMs: 60 } }).start(),
        );
        try {
          for (const one of hosts) await one.create(overlayNetwork(`n-${one.id}`));
          for (const { records } of hosts) {
            records.turns = () => turns[n++ % turns.length] ?? 0;
            records.fault = () => faults[n++ % faults.length];
          }
          const running: Promise<unknown>[] = [];
          for (const one of steps) {
            running.push(take(one, hosts, store).catch(() => {})); // refused, or away
            if (n % 2 === 0) await Promise.all(running);
            await setImmediate();
          }
          await Promise.all(running);
          for (const { records } of hosts) {
            records.fault = () => undefined;
            await records.comeBack();
          }
          await soon("all agree", () => isAgreed(hosts, store)).catch(async (error: Error) => {
            const views = hosts.map((one) => [one.id, one.view(vniOf(one)), [...one.own.values()]]);
            expect.fail(
              `${error.message}: ${JSON.stringify({ views, places: [...(await store.list("place"))], networks: [...(await store.list("overlay"))] })}`,
            );
          });
        } finally {
          await Promise.all(hosts.map(({ plane }) => plane.close()));
        }
      }),
      { numRuns: Number(process.env["RUNS"] ?? 60), examples: [[withoutNetworks]] },
    );
  });
});
