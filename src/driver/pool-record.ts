/** Pools and leases as they are recorded. A pool's ID is Docker's: "tsnet-local/172.18.0.0/16/172.18.5.0/24". */
import { z } from "zod";
import { TsnetError } from "../errors.ts";

const poolShape = z.object({
  addressSpace: z.enum(["tsnet-local", "tsnet-global"]),
  /** "172.18.0.0/16". */
  subnet: z.string(),
  /** The range of addresses that are given out unasked, "172.18.5.0/24"; null for all. */
  subPool: z.string().nullable(),
  /** The last address that was given out in order; null for none. */
  lastAllocated: z.string().nullable(),
});

const leaseShape = z.object({
  /** The pool's ID. */
  pool: z.string(),
  /** "172.18.5.2". */
  address: z.string(),
});

export type PoolRecord = Readonly<z.infer<typeof poolShape>>;
export type LeaseRecord = Readonly<z.infer<typeof leaseShape>>;

/** @throws TsnetError "store", which names the record */
export const parsePoolRecord = (id: string, value: unknown): PoolRecord => parseRecord(`pool ${id}`, poolShape, value);

/** @throws TsnetError "store", which names the record */
export const parseLeaseRecord = (id: string, value: unknown): LeaseRecord =>
  parseRecord(`lease ${id}`, leaseShape, value);

function parseRecord<T>(name: string, shape: z.ZodType<T>, value: unknown): T {
  const { success, data, error } = shape.safeParse(value);
  if (success) return data;
  const issues = error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; ");
  throw new TsnetError("store", `the record of ${name} cannot be understood: ${issues}`);
}
