/** The pools of one host on a store that can be made to fail or to wait, with a clock and a log. */
import type { AttachedSubnet } from "../../src/driver/ipam/backend.ts";
import { type PoolRequest, parsePoolRequest } from "../../src/driver/ipam/pool-request.ts";
import { Pools, type PoolsOptions } from "../../src/driver/ipam/pools.ts";
import { type Cidr, parseCidr } from "../../src/net/cidr.ts";
import { TestLog } from "./driver.ts";
import { SlowStore } from "./slow-store.ts";

/** Options of RequestAddress. */
export const gateway = { RequestAddressType: "com.docker.network.gateway" };
export const serial = { "com.docker.network.ipam.serial": "true" };
export const named = (name: string) => ({ "com.docker.network.endpoint.name": name });
export const withMac = (mac: string) => ({ "com.docker.network.endpoint.macaddress": mac });

/** Any time, in milliseconds since 1970. */
export const startMs = Date.UTC(2026, 0, 1);

export async function openPools(records: PoolsOptions["records"], options: Partial<PoolsOptions> = {}): Promise<Pools> {
  const pools = new Pools({
    ...{ records, hostId: "host-1", excluded: async () => [], log: new TestLog(), now: () => startMs },
    ...options,
  });
  await pools.restore();
  return pools;
}

/** Restored as it is made, and again after `restart`. */
export class PoolsLab {
  readonly store = new SlowStore();
  readonly log = new TestLog();
  nowMs = startMs;
  excluded: readonly Cidr[] = [];
  pools = new Pools(this.#options());

  static async open(): Promise<PoolsLab> {
    const lab = new PoolsLab();
    await lab.restart();
    return lab;
  }

  async restart(): Promise<void> {
    this.pools = await openPools(this.store, this.#options());
  }

  readonly request = async (pool: string, wish: Partial<PoolRequest> = {}, mayExist = false) => {
    const request = { addressSpace: "tsnet-local", pool, subPool: "", options: {}, v6: pool.includes(":"), ...wish };
    return this.pools.requestPool(parsePoolRequest(request), mayExist);
  };

  /** Requests a pool, and returns its ID. */
  readonly idOf = async (pool: string, wish: Partial<PoolRequest> = {}) => (await this.request(pool, wish)).poolId;

  readonly take = (poolId: string, address = "", options: Record<string, string> = {}, mayExist = false) =>
    this.pools.requestAddress({ poolId, address, options }, mayExist);

  /** An address for each of these containers, one after the other. */
  readonly takeAll = async (poolId: string, names: readonly string[]) => {
    const given: string[] = [];
    for (const name of names) given.push(await this.take(poolId, "", named(name)));
    return given;
  };

  readonly release = (poolId: string, address: string) => this.pools.releaseAddress({ poolId, address });

  /** Says that a network has these subnets. */
  readonly attach = (network: string, ...subnets: (string | Partial<AttachedSubnet>)[]) =>
    this.pools.attach(
      network,
      subnets.map((subnet) => ({
        ...{ addressSpace: "tsnet-local", pool: "", gateway: null, auxiliary: [] },
        ...(typeof subnet === "string" ? { pool: subnet } : subnet),
      })),
    );

  /** The IDs of all records. */
  readonly recorded = async () => [
    ...(await this.store.list("pool")).keys(),
    ...(await this.store.list("lease")).keys(),
  ];

  #options() {
    const excluded = async () => this.excluded.map((cidr) => ({ cidr, by: "somebody" }));
    return { records: this.store, hostId: "host-1", excluded, log: this.log, now: () => this.nowMs };
  }
}

export const cidrs = (...texts: string[]): Cidr[] => texts.map(parseCidr);
