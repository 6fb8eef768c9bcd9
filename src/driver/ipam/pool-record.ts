/** Pools and leases as they are recorded. A pool's ID is Docker's: "tsnet-local/172.18.0.0/16/172.18.5.0/24". */
import { z } from "zod";
import { parseCidr, parseIp } from "../../net/cidr.ts";
import { parseRecord, textFor } from "../parse-record.ts";

const poolShape = z.object({
  addressSpace: z.enum(["tsnet-local", "tsnet-global"]),
  /** "172.18.0.0/16". */
  subnet: textFor(parseCidr),
  /** The range of addresses that are given out unasked, "172.18.5.0/24"; null for all. */
  subPool: textFor(parseCidr).nullable(),
  /** The last address that was given out in order; null for none. */
  lastAllocated: textFor(parseIp).nullable(),
});

const leaseShape = z.object({
  /** The pool's ID. */
  pool: z.string(),
  /** "172.18.5.2". */
  address: textFor(parseIp),
  /** Unique to each time that an address is given out, so that nobody gives back what is somebody else's by now. */
  grant: z.string().optional(),
});

export type PoolRecord = Readonly<z.infer<typeof poolShape>>;
export type LeaseRecord = Readonly<z.infer<typeof leaseShape>>;

/** @throws TsnetError "store", which names the record */
export const parsePoolRecord = (id: string, value: unknown): PoolRecord => parseRecord("pool", id, poolShape, value);

/** @throws TsnetError "store", which names the record */
export const parseLeaseRecord = (id: string, value: unknown): LeaseRecord =>
  parseRecord("lease", id, leaseShape, value);
