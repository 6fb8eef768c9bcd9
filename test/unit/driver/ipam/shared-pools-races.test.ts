/** Hosts that ask for and give back addresses at the same time, on ways that are slow, deaf and lose answers. */
import { expect } from "chai";
import fc from "fast-check";
import { TsnetError } from "../../../../src/errors.ts";
import { MemoryStore } from "../../../../src/store/memory-store.ts";
import { poolOn, type SharedHost, startHost, takeOn, type WireFault } from "../../../support/shared-host.ts";
import { idOf } from "../../../support/values.ts";

const pool = "10.5.0.0/28";
const id = `tsnet-shared/${pool}`;
const capacity = 14;

/** What one of the hosts does next: it asks for any address, for a certain one, gives back one of those that it has, or follows anew. */
interface Step {
  readonly host: number;
  readonly what: "any" | "named" | "release" | "reconnect";
  readonly pick: number;
  /** How many turns of the event loop pass before the next step begins. */
  readonly pauses: number;
}

const steps = fc.array(
  fc.record({
    host: fc.nat(2),
    what: fc.constantFrom("any", "any", "named", "release", "release", "reconnect") as fc.Arbitrary<Step["what"]>,
    pick: fc.nat(13),
    pauses: fc.nat(3),
  }),
  { minLength: 5, maxLength: 60 },
);

/** How slow each call is, and how it fails. */
const conditions = fc.record({
  turns: fc.infiniteStream(fc.nat(4)),
  faults: fc.infiniteStream(
    fc.oneof(
      { weight: 8, arbitrary: fc.constant<WireFault | undefined>(undefined) },
      { weight: 1, arbitrary: fc.constantFrom<WireFault>("before", "after") },
    ),
  ),
});

interface Run {
  readonly store: MemoryStore;
  readonly hosts: readonly SharedHost[];
  /** Who has what, as Docker would have it. */
  readonly holders: Map<string, number>;
}

async function begin(turns: Iterator<number>, faults: Iterator<WireFault | undefined>): Promise<Run> {
  const store = new MemoryStore(128);
  const hosts = await Promise.all(["a", "b", "c"].map((name) => startHost(name, store)));
  for (const [index, host] of hosts.entries()) {
    await poolOn(host, pool);
    // An address that is asked for before there is a network is one that hosts have together.
    const subnet = { addressSpace: "tsnet-local", pool, gateway: null, auxiliary: [] };
    await host.ipam.attach(idOf(`a${index}`), [subnet]);
  }
  for (const { wire } of hosts) {
    wire.turns = () => turns.next().value;
    wire.fault = () => faults.next().value;
  }
  return { store, hosts, holders: new Map() };
}

async function take({ hosts, holders }: Run, host: number, address: string): Promise<string> {
  const [given = ""] = (await takeOn(hosts[host] as SharedHost, id, address)).split("/");
  expect(holders.get(given), `${given} is given out twice`).to.equal(undefined);
  holders.set(given, host);
  return given;
}

async function act(run: Run, { host, what, pick }: Step): Promise<void> {
  const { hosts, holders } = run;
  const { ipam, wire } = hosts[host] as SharedHost;
  if (what === "reconnect") return wire.comeBack();
  if (what !== "release") {
    await take(run, host, what === "any" ? "" : `10.5.0.${pick + 1}`);
    return;
  }
  const own = [...holders].flatMap(([address, holder]) => (holder === host ? [address] : []));
  const address = own[pick % Math.max(1, own.length)];
  if (address === undefined) return;
  holders.delete(address);
  await ipam.releaseAddress({ poolId: id, address });
}

/** Nothing is lost: what etcd has is what the hosts' containers have; and each mirror says the same. */
async function expectAgreement({ store, hosts, holders }: Run): Promise<void> {
  for (const { wire } of hosts) {
    wire.fault = () => undefined;
    wire.turns = () => 0;
  }
  for (const { ipam } of hosts) await ipam.settleOwed();
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
  const held = [...holders].map(([address, host]) => `${address} ${hosts[host]?.id}`).toSorted();
  const leases = [...(await store.list("lease")).values()] as { address: string; hosts: string[] }[];
  expect(leases.map((lease) => `${lease.address} ${lease.hosts}`).toSorted()).to.deep.equal(held);
  for (const { ipam, disk } of hosts) {
    const mirrored = [...ipam.leasesOf(id)].map((lease) => `${lease.address} ${lease.hosts}`);
    expect(mirrored.toSorted()).to.deep.equal(held);
    expect([...(await disk.list("owed")).keys()]).to.deep.equal([]);
  }
}

const refusals = (allowed: readonly string[]) => (error: unknown) => {
  if (!(error instanceof TsnetError && allowed.includes(error.code))) throw error;
};

describe("hosts at the same pool", () => {
  it("give no address out twice and lose none, whatever fails and whatever is late", async function () {
    this.timeout(60_000);
    await fc.assert(
      fc.asyncProperty(steps, conditions, async (all, { turns, faults }) => {
        const run = await begin(turns[Symbol.iterator](), faults[Symbol.iterator]());
        const calls: Promise<void>[] = [];
        for (const step of all) {
          calls.push(act(run, step).catch(refusals(["conflict", "exhausted"])));
          for (let left = step.pauses; left > 0; left--) await new Promise(setImmediate);
        }
        await Promise.all(calls);
        await expectAgreement(run);
        await Promise.all(run.hosts.map(({ ipam }) => ipam.close()));
      }),
      { numRuns: 300 },
    );
  });

  it("share it out to the last address, and refuse only when there is none", async function () {
    this.timeout(60_000);
    await fc.assert(
      fc.asyncProperty(conditions, fc.array(fc.nat(2), { minLength: 20, maxLength: 30 }), async (slow, askers) => {
        const run = await begin(slow.turns[Symbol.iterator](), slow.faults[Symbol.iterator]());
        const results = await Promise.allSettled(askers.map((host) => take(run, host, "")));
        const failed = results.flatMap((result) => (result.status === "rejected" ? [result.reason as TsnetError] : []));
        expect(run.holders.size).to.equal(capacity);
        for (const { code } of failed) expect(code).to.equal("exhausted");
        await expectAgreement(run);
        await Promise.all(run.hosts.map(({ ipam }) => ipam.close()));
      }),
      { numRuns: 100 },
    );
  });

  it("that have heard of nothing are right all the same", async () => {
    const { promise: deaf, resolve: hear } = Promise.withResolvers<void>();
    const run = await begin([][Symbol.iterator](), [][Symbol.iterator]());
    for (const { wire } of run.hosts) wire.deaf = deaf;
    for (let count = 0; count < capacity; count++) await take(run, count % 3, "");
    expect((await errorCode(take(run, 0, ""))).at(-1)).to.equal("exhausted");
    await run.hosts[1]?.ipam.releaseAddress({
      poolId: id,
      address: [...run.holders].find(([, host]) => host === 1)?.[0] ?? "",
    });
    for (const [address, host] of run.holders)
      if (host === 1) {
        run.holders.delete(address);
        break;
      }
    await take(run, 0, "");
    hear();
    await expectAgreement(run);
  });

  it("make and leave pools at the same time, and never have two that overlap", async function () {
    this.timeout(60_000);
    const wishes = fc.array(
      fc.record({
        host: fc.nat(2),
        pool: fc.constantFrom("", "10.8.0.0/24", "10.8.0.0/16", "172.18.0.0/16"),
        leaves: fc.boolean(),
      }),
      { minLength: 3, maxLength: 12 },
    );
    await fc.assert(
      fc.asyncProperty(wishes, conditions, async (all, { turns, faults }) => {
        const { store, hosts } = await begin(turns[Symbol.iterator](), faults[Symbol.iterator]());
        const kept: string[] = [`a ${id}`, `b ${id}`, `c ${id}`];
        await Promise.all(
          all.map(async ({ host: number, pool: subnet, leaves }) => {
            const host = hosts[number] as SharedHost;
            const made = await poolOn(host, subnet).catch(refusals(["conflict"]));
            if (made !== undefined && leaves) await host.ipam.releasePool(made);
            else if (made !== undefined) kept.push(`${host.id} ${made}`);
          }),
        );
        for (const { ipam, wire } of hosts) {
          wire.fault = () => undefined;
          await ipam.settleOwed();
        }
        const pools = [...(await store.list("pool"))] as [string, { subnet: string; hosts: object }][];
        const found = pools.flatMap(([poolId, record]) => Object.keys(record.hosts).map((host) => `${host} ${poolId}`));
        expect(found.toSorted()).to.deep.equal(kept.toSorted());
        const shared = pools.map(([, { subnet }]) => subnet);
        expect(shared.includes("10.8.0.0/24") && shared.includes("10.8.0.0/16")).to.equal(false);
        await Promise.all(hosts.map(({ ipam }) => ipam.close()));
      }),
      { numRuns: 200 },
    );
  });
});

const errorCode = (work: Promise<unknown>): Promise<readonly string[]> =>
  work.then(
    () => [],
    (error: unknown) => [error instanceof TsnetError ? error.code : String(error)],
  );
