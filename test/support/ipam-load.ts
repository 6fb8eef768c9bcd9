/**
 * Three hosts that share a pool in etcd, with many callers each, while one of the hosts is killed, and then etcd: what they were
 * told, and what is in etcd in the end, as etcd itself says it.
 */
import { Caller } from "./caller.ts";
import type { EtcdServer } from "./etcd.ts";
import { callAtOnce } from "./ipam-callers.ts";
import { IpamHost } from "./ipam-host.ts";
import { IpamLedger } from "./ipam-ledger.ts";
import { until } from "./poll.ts";

const subnet = "10.99.0.0/16";
const localSubnet = "10.98.0.0/16";
export const callersPerHost = 32;

/** What was retried when etcd came back is done by then. */
const settleDeadlineMs = 20_000;

export interface LoadOutcome {
  readonly ledger: IpamLedger;
  readonly seconds: number;
  /** Addresses of a host's own pool that were given out while etcd was away, and the longest that one took, milliseconds. */
  readonly local: { readonly given: number; readonly longestMs: number };
  /** What etcd holds in the end and no caller knows of, and what callers hold that etcd does not know, before the check and after. */
  readonly before: Difference;
  readonly after: Difference;
}

export interface Difference {
  readonly unknown: readonly string[];
  readonly missing: readonly string[];
}

export class IpamLoad implements AsyncDisposable {
  readonly #etcd: EtcdServer;
  readonly #hosts: IpamHost[] = [];
  #pool = "";

  private constructor(etcd: EtcdServer) {
    this.#etcd = etcd;
  }

  static async create(etcd: EtcdServer): Promise<IpamLoad> {
    await using made = new AsyncDisposableStack();
    const load = made.use(new IpamLoad(etcd));
    for (const name of ["host-a", "host-b", "host-c"]) {
      const host = await IpamHost.start(name, etcd.url);
      load.#hosts.push(host);
      load.#pool = await requestPool(host, subnet, { "tsnet.shared": "true" });
      await accepted(host, "Test.Attach", { pool: subnet });
    }
    made.move();
    return load;
  }

  /** @param total requests and releases that are answered with success */
  async run(total: number): Promise<LoadOutcome> {
    const ledger = new IpamLedger();
    const [healthy, killed] = this.#hosts as [IpamHost, IpamHost];
    const localPool = await requestPool(healthy, localSubnet, {});
    let isOver = false;
    const startedAt = performance.now();
    const calls = this.#hosts.map((host) =>
      callAtOnce(callersPerHost, { host, pool: this.#pool, ledger, isOver: () => isOver }),
    );
    await this.#reached(ledger, total / 3);
    await killed.kill();
    await killed.start();
    await this.#reached(ledger, (total * 2) / 3);
    const local = await this.#withoutEtcd(ledger, () => allocateFrom(healthy, localPool));
    await this.#reached(ledger, total);
    isOver = true;
    await Promise.all(calls);
    const seconds = (performance.now() - startedAt) / 1000;
    const before = await this.#settled(ledger, killed);
    for (const host of this.#hosts) await accepted(host, "Test.Check", { held: ledger.heldBy(host.name) });
    return { ledger, seconds, local, before, after: await this.#difference(ledger) };
  }

  /** Etcd is killed, and stays away until each host has refused something. */
  async #withoutEtcd<T>(ledger: IpamLedger, work: () => Promise<T>): Promise<T> {
    const already = ledger.refusals.length;
    await this.#etcd.kill();
    const done = await work();
    await until("requests are refused", 10_000, () => ledger.refusals.length >= already + callersPerHost);
    await this.#etcd.start();
    return done;
  }

  async #reached(ledger: IpamLedger, count: number): Promise<void> {
    await until(`${count} answers`, 300_000, () => ledger.done >= count);
  }

  /** Waits until what the hosts owe etcd is given back: all but what a killed host did not hear of. */
  async #settled(ledger: IpamLedger, killed: IpamHost): Promise<Difference> {
    let difference = await this.#difference(ledger);
    const isExplained = async (): Promise<boolean> => {
      difference = await this.#difference(ledger);
      const isOfKilled = difference.unknown.every((text) => text.endsWith(killed.name));
      return isOfKilled && difference.unknown.length <= ledger.unheard.requests + ledger.unheard.releases;
    };
    await until("what is owed to etcd is given back", settleDeadlineMs, isExplained).catch(() => {});
    return difference;
  }

  async #difference({ holders }: IpamLedger): Promise<Difference> {
    const held = await this.#held();
    const unknown = [...held].filter(([address, hosts]) => holders.get(address) !== hosts.join());
    const missing = [...holders].filter(([address, host]) => held.get(address)?.join() !== host);
    return { unknown: unknown.map((one) => one.join(" of ")), missing: missing.map((one) => one.join(" of ")) };
  }

  /** The addresses of the pool and their hosts, as etcd's own API has them. */
  async #held(): Promise<Map<string, string[]>> {
    const range = { key: btoa("/tsnet/lease/"), range_end: btoa("/tsnet/lease0") };
    const { kvs = [] } = (await this.#etcd.call("/v3/kv/range", range)) as { kvs?: { key: string; value: string }[] };
    return new Map(kvs.map(({ key, value }) => [atob(key).split("/").at(-1) ?? "", JSON.parse(atob(value)).hosts]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const host of this.#hosts) await host[Symbol.asyncDispose]();
  }
}

async function accepted(host: IpamHost, method: string, body: object) {
  using caller = await Caller.open(host.socket);
  const answer = await caller.call(method, body);
  if (answer["Err"] || answer["Error"]) throw new Error(`${method}: ${answer["Error"] ?? answer["Err"]}`);
  return answer;
}

async function requestPool(host: IpamHost, pool: string, options: object): Promise<string> {
  const request = { AddressSpace: "tsnet-local", Pool: pool, SubPool: "", Options: options, V6: false };
  return (await accepted(host, "IpamDriver.RequestPool", request))["PoolID"] ?? "";
}

/** Fifty addresses, one after another. */
async function allocateFrom(host: IpamHost, pool: string): Promise<LoadOutcome["local"]> {
  let longestMs = 0;
  for (let given = 0; given < 50; given++) {
    const startedAt = performance.now();
    await accepted(host, "IpamDriver.RequestAddress", { PoolID: pool, Address: "", Options: {} });
    longestMs = Math.max(longestMs, performance.now() - startedAt);
  }
  return { given: 50, longestMs };
}
