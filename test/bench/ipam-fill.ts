/** A /16 from empty to full in memory. */
import { newGrant } from "../../src/driver/ipam/grants.ts";
import { Pool } from "../../src/driver/ipam/pool.ts";
import { SharedSubnet } from "../../src/driver/ipam/shared-subnet.ts";
import { parseCidr } from "../../src/net/cidr.ts";

/** Less network and broadcast address. */
const size = 2 ** 16 - 2;
const hundredth = Math.floor(size / 100);

export interface FillTimes {
  readonly perSecond: number;
  /** For the first and the last hundredth, milliseconds. */
  readonly firstMs: number;
  readonly lastMs: number;
}

export function fillTimes(): FillTimes {
  const pool = new Pool(new SharedSubnet("tsnet-local", parseCidr("10.0.0.0/16")), null);
  const marks: number[] = [];
  for (let count = 0; count <= size; count++) {
    if ([0, hundredth, size - hundredth, size].includes(count)) marks.push(performance.now());
    if (count < size) allocate(pool, `name:container-${count}`);
  }
  const [begin = 0, first = 0, last = 0, end = 0] = marks;
  return { perSecond: (size / (end - begin)) * 1000, firstMs: first - begin, lastMs: end - last };
}

function allocate(pool: Pool, identity: string): void {
  const nowMs = Date.now();
  const offset = pool.pick({ ip: undefined, serial: false, identity, nowMs });
  const lease = {
    grant: newGrant(),
    role: "endpoint",
    identity,
    sinceMs: nowMs,
    hosts: [],
    restsUntilMs: null,
  } as const;
  pool.set(offset, lease);
}
