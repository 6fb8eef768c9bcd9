/** Pools and leases for the tests of the check: in memory, and as simple as can be. */
import type { CheckedIpam } from "../../src/driver/ipam/findings.ts";
import type { Lease } from "../../src/driver/ipam/lease.ts";
import type { LeaseView, PoolView } from "../../src/driver/ipam/views.ts";
import { parseCidr } from "../../src/net/cidr.ts";

export const heldLease: Lease = {
  ...{ grant: "g", role: "endpoint", identity: null, sinceMs: 0, hosts: [], restsUntilMs: null },
};

export class FakeIpam implements CheckedIpam {
  readonly #pools = new Map<string, PoolView>();
  readonly #leases = new Map<string, Map<string, Lease>>();
  readonly stale = new Set<string>();
  /** How often the leases of a pool were gone through. */
  reads = 0;
  isComplete = true;
  /** Called before an address is given back. */
  beforeRelease: () => void = () => {};

  addPool(subnet: string, values: Partial<PoolView> = {}): string {
    const addressSpace = values.addressSpace ?? "tsnet-local";
    const id = `${addressSpace}/${subnet}`;
    const counts = { size: 256n, reserved: 2n, used: 0n, resting: 0n, free: 254n, lastRequest: 0 };
    const { family } = parseCidr(subnet);
    this.#pools.set(id, {
      id,
      addressSpace,
      family,
      subnet,
      subPool: null,
      network: null,
      hosts: [],
      ...counts,
      ...values,
    });
    this.#leases.set(id, new Map());
    return id;
  }

  hold(pool: string, address: string, values: Partial<Lease> = {}): void {
    this.#leases.get(pool)?.set(address, { ...heldLease, grant: `grant of ${address}`, ...values });
  }

  /** "172.18.0.2", and "172.18.0.0/16" for a pool. */
  held(): string[] {
    return [...this.#leases].flatMap(([id, leases]) => [this.#pools.get(id)?.subnet ?? "", ...leases.keys()]);
  }

  *pools(): Iterable<PoolView> {
    yield* this.#pools.values();
  }

  *leasesOf(pool: string): Iterable<LeaseView> {
    this.reads++;
    for (const [address, lease] of this.#leases.get(pool) ?? []) yield { ...lease, pool, address };
  }

  isUnclaimed({ address }: Pick<LeaseView, "address">): boolean {
    return this.stale.has(address);
  }

  isUnclaimedPool(id: string): boolean {
    return this.stale.has(id);
  }

  /** As if Docker asked for it. */
  ask(id: string): void {
    const pool = this.#pools.get(id);
    if (pool) this.#pools.set(id, { ...pool, lastRequest: (pool.lastRequest ?? 0) + 1 });
  }

  async releaseUnused({ id, lastRequest }: Pick<PoolView, "id" | "lastRequest">): Promise<boolean> {
    if (this.#pools.get(id)?.lastRequest !== lastRequest) return false;
    await this.releasePool(id);
    return true;
  }

  leasesAt(network: string, addresses: readonly string[]): string[] {
    const pools = [...this.#pools.values()].filter((pool) => pool.network === network);
    const texts = addresses.map((address) => address.split("/")[0] ?? "");
    return pools.flatMap(({ id }) => texts.flatMap((text) => this.#leases.get(id)?.get(text)?.grant ?? []));
  }

  async releaseGrant(pool: string, address: string, grant: string): Promise<boolean> {
    this.beforeRelease();
    if (this.#leases.get(pool)?.get(address)?.grant !== grant) return false;
    return this.#leases.get(pool)?.delete(address) ?? false;
  }

  async releasePool(id: string): Promise<void> {
    this.beforeRelease();
    this.#pools.delete(id);
    this.#leases.delete(id);
  }
}
