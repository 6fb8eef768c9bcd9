/** Pools against a model that is as plain as can be: arrays of the last numbers of 10.0.0.x. */
import { expect } from "chai";
import fc from "fast-check";
import { parsePoolRequest } from "../../../../src/driver/ipam/pool-request.ts";
import type { Pools } from "../../../../src/driver/ipam/pools.ts";
import { TsnetError } from "../../../../src/errors.ts";
import { parseCidr } from "../../../../src/net/cidr.ts";
import { MemoryStore } from "../../../../src/store/memory-store.ts";
import { openPools } from "../../../support/pools-lab.ts";

/** Addresses `first` to `last` of 10.0.0.x. */
interface Span {
  readonly first: number;
  readonly last: number;
}

interface ModelPool {
  readonly id: string;
  readonly space: string;
  readonly subnet: string;
  readonly leases: Set<number>;
  cursor: number;
}

const spanOf = (subnet: string): Span => {
  const [, first = "", prefix = ""] = /^10\.0\.0\.(\d+)\/(\d+)$/.exec(subnet) ?? [];
  return { first: Number(first), last: Number(first) + 2 ** (32 - Number(prefix)) - 1 };
};
const overlap = (a: string, b: string): boolean =>
  spanOf(a).first <= spanOf(b).last && spanOf(b).first <= spanOf(a).last;
const isReserved = (subnet: string, address: number): boolean => {
  const { first, last } = spanOf(subnet);
  return last - first > 1 && (address === first || address === last);
};

/** What should happen, as the texts of answers or the codes of errors. */
class Model {
  pools: ModelPool[] = [];

  requestPool(space: string, subnet: string, subPool: string): string {
    const others = this.pools.filter((pool) => pool.space === space);
    const id = [space, subnet, ...(subPool ? [subPool] : [])].join("/");
    if (others.some((pool) => pool.id === id)) return "conflict";
    if (others.some((pool) => overlap(pool.subnet, subnet) && !(pool.subnet === subnet && subPool))) return "conflict";
    this.pools.push({ id, space, subnet, leases: new Set(), cursor: -1 });
    return id;
  }

  requestAny(space: string, candidates: readonly string[]): string {
    const others = this.pools.filter((pool) => pool.space === space);
    const free = candidates.find((subnet) => !others.some((pool) => overlap(pool.subnet, subnet)));
    return free === undefined ? "exhausted" : this.requestPool(space, free, "");
  }

  releasePool(id: string): void {
    this.pools = this.pools.filter((pool) => pool.id !== id);
  }

  take(id: string, address: number | undefined, serial: boolean): string {
    const pool = this.pools.find((candidate) => candidate.id === id);
    if (!pool) return "not-found";
    const { first, last } = spanOf(pool.subnet);
    if (address !== undefined && (address < first || address > last)) return "invalid";
    const isFree = (wanted: number) =>
      !isReserved(pool.subnet, wanted) && !this.#sharing(pool).some(({ leases }) => leases.has(wanted));
    const found =
      address === undefined ? this.#order(pool, serial).find(isFree) : isFree(address) ? address : "conflict";
    if (typeof found !== "number") return found ?? "exhausted";
    pool.leases.add(found);
    if (serial && address === undefined) pool.cursor = found;
    return `10.0.0.${found}/${pool.subnet.split("/")[1]}`;
  }

  release(id: string, address: number): void {
    this.pools.find((pool) => pool.id === id)?.leases.delete(address);
  }

  #sharing({ space, subnet }: ModelPool): ModelPool[] {
    return this.pools.filter((pool) => pool.space === space && pool.subnet === subnet);
  }

  #order({ id, subnet, cursor }: ModelPool, serial: boolean): number[] {
    const { first, last } = spanOf(id.split("/").length > 3 ? id.split("/").slice(3).join("/") : subnet);
    const all = Array.from({ length: last - first + 1 }, (_, n) => first + n);
    return serial ? [...all.filter((n) => n > cursor), ...all.filter((n) => n <= cursor)] : all;
  }
}

const spaces = ["tsnet-local", "tsnet-global"] as const;
const subnets = [
  ...[
    ["10.0.0.0/28"],
    ["10.0.0.0/28", "10.0.0.4/30"],
    ["10.0.0.0/28", "10.0.0.4/31"],
    ["10.0.0.0/29"],
    ["10.0.0.16/30"],
  ],
  ...[["10.0.0.20/31"], ["10.0.0.22/32"], ["10.0.0.32/30"], ["10.0.0.16/28", "10.0.0.24/29"], ["10.0.0.36/31"]],
] as const;
const defaults = { "tsnet-local": "10.0.0.32/28", "tsnet-global": "10.0.0.8/29" } as const;
const defaultSubnets = (space: (typeof spaces)[number], size: 2 | 4): string[] => {
  const { first, last } = spanOf(defaults[space]);
  const starts = Array.from({ length: (last + 1 - first) / size }, (_, n) => first + n * size);
  return starts.map((start) => `10.0.0.${start}/${size === 2 ? 31 : 30}`);
};
const poolIds = [
  ...spaces.flatMap((space) => subnets.map((parts) => [space, ...parts].join("/"))),
  ...spaces.flatMap((space) =>
    [...defaultSubnets(space, 4), ...defaultSubnets(space, 2)].map((subnet) => `${space}/${subnet}`),
  ),
];

const step = fc.oneof(
  fc.record({
    call: fc.constant("request" as const),
    space: fc.constantFrom(...spaces),
    parts: fc.constantFrom(...subnets),
  }),
  fc.record({
    call: fc.constant("any" as const),
    space: fc.constantFrom(...spaces),
    size: fc.constantFrom(2 as const, 4 as const, undefined),
  }),
  fc.record({ call: fc.constant("release pool" as const), pool: fc.nat() }),
  fc.record({ call: fc.constant("take any" as const), pool: fc.nat(), serial: fc.boolean() }),
  fc.record({ call: fc.constant("take" as const), pool: fc.nat(), address: fc.nat(48) }),
  fc.record({ call: fc.constant("release" as const), pool: fc.nat(), address: fc.nat(48) }),
  fc.record({ call: fc.constant("restart" as const) }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const defaultPools = {
  "tsnet-local": [{ base: parseCidr(defaults["tsnet-local"]), prefix: 30 }],
  "tsnet-global": [{ base: parseCidr(defaults["tsnet-global"]), prefix: 30 }],
};

function start(store: MemoryStore): Promise<Pools> {
  return openPools(store, { defaultPools });
}

const codeOf = (error: unknown): string => {
  if (error instanceof TsnetError) return error.code;
  throw error;
};

/** Mostly a pool that exists, now and then any. */
const pick = (model: Model, n: number): string =>
  (n % 5 === 0 ? undefined : model.pools[n % Math.max(model.pools.length, 1)]?.id) ?? poolIds[n % poolIds.length] ?? "";

/** Does a step with both. */
function run(step: Step, model: Model, pools: Pools): [expected: string, Promise<string>] {
  const requestPool = async (addressSpace: string, pool: string, subPool = "") =>
    (await pools.requestPool(parsePoolRequest({ addressSpace, pool, subPool, options: {}, v6: false }), false)).poolId;
  const requestAddress = (poolId: string, address: string, serial = "false") =>
    pools.requestAddress({ poolId, address, options: { "com.docker.network.ipam.serial": serial } }, false);
  const done = (promise: Promise<void>) => promise.then(() => "done");
  if (step.call === "request") {
    const [subnet, subPool] = step.parts;
    return [model.requestPool(step.space, subnet, subPool ?? ""), requestPool(step.space, subnet, subPool)];
  }
  if (step.call === "any") {
    const candidates = defaultSubnets(step.space, step.size ?? 4);
    return [
      model.requestAny(step.space, candidates),
      requestPool(step.space, step.size ? `0.0.0.0/${step.size === 2 ? 31 : 30}` : ""),
    ];
  }
  if (step.call === "restart") return ["done", Promise.resolve("done")];
  const id = pick(model, step.pool);
  if (step.call === "take any")
    return [model.take(id, undefined, step.serial), requestAddress(id, "", String(step.serial))];
  if (step.call === "take") return [model.take(id, step.address, false), requestAddress(id, `10.0.0.${step.address}`)];
  if (step.call === "release pool") {
    model.releasePool(id);
    return ["done", done(pools.releasePool(id))];
  }
  model.release(id, step.address);
  return ["done", done(pools.releaseAddress({ poolId: id, address: `10.0.0.${step.address}` }))];
}

describe("Pools, in any sequence of calls and restarts,", () => {
  it("do what a plain model does", async function () {
    this.timeout(30_000);
    let given = 0;
    const property = fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 80, size: "max" }), async (steps) => {
      const model = new Model();
      const store = new MemoryStore();
      let pools = await start(store);
      for (const one of steps) {
        if (one.call === "restart") pools = await start(store);
        const [expected, result] = run(one, model, pools);
        expect(await result.catch(codeOf)).to.equal(expected);
        if (expected.startsWith("10.")) given++;
      }
      expect([...(await store.list("pool")).keys()].sort()).to.deep.equal(model.pools.map(({ id }) => id).sort());
      const leases = model.pools.flatMap(({ space, leases }) => [...leases].map((n) => `${space}/10.0.0.${n}`));
      expect([...(await store.list("lease")).keys()].sort()).to.deep.equal(leases.sort());
    });
    await fc.assert(property, { numRuns: 400 });
    expect(given).to.be.greaterThan(1000);
  });
});
