/** Pools that hosts share, as they are recorded in etcd. Their leases are recorded like those of other pools: pool-record.ts. */
import { z } from "zod";
import { TsnetError } from "../../errors.ts";
import { parseCidr } from "../../net/cidr.ts";
import { parseRecord, textFor } from "../parse-record.ts";
import { defaultPoolOptions } from "./pool-options.ts";

const duration = z.number().nonnegative();

/** By which request it was asked for, and when: milliseconds since 1970. */
const claim = { grant: z.string(), sinceMs: z.number() };

const shape = z.object({
  addressSpace: z.enum(["tsnet-global", "tsnet-shared"]),
  /** "10.5.0.0/16" */
  subnet: textFor(parseCidr),
  /** The range of addresses that are given out unasked, "10.5.1.0/24"; null for all. */
  subPool: textFor(parseCidr).nullable(),
  options: z
    .object({ sticky: z.boolean(), stickyTtlMs: duration, quarantineMs: duration, shared: z.boolean() })
    .default(defaultPoolOptions),
  /** Counts the pools of the address space: what is full goes on in the network's next one. */
  sequence: z.number().default(0),
  ...claim,
  /**
   * The hosts that have asked for it, by ID, and the ID of the network that each has it for; null while there is none. Empty in the
   * global address space, whose pools are nobody's in particular.
   */
  hosts: z.record(z.string(), z.object({ network: z.string().nullable(), ...claim })).default({}),
});

export type SharedPoolRecord = Readonly<z.infer<typeof shape>>;

/** Where pools are that Docker asks for in its local address space, and that hosts share. */
export const sharedSpace = "tsnet-shared";
export type EtcdSpace = SharedPoolRecord["addressSpace"];

/** @throws TsnetError "store", which names the record */
export const parseSharedPool = (id: string, value: unknown): SharedPoolRecord => parseRecord("pool", id, shape, value);

/**
 * As parseSharedPool, for what is decided by the record alone: to read it again is of no use.
 * @throws TsnetError "conflict", which names the record
 */
export function parseKnownPool(id: string, value: unknown): SharedPoolRecord {
  try {
    return parseSharedPool(id, value);
  } catch (cause) {
    throw new TsnetError("conflict", "the pools in etcd are not known", { cause });
  }
}
