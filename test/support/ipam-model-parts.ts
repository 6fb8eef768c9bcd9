/** Pools and leases of the model of address management. */

export interface ModelOptions {
  readonly sticky: boolean;
  readonly stickyTtlMs: number;
  readonly quarantineMs: number;
}

export interface ModelLease {
  /** Which one it is: no two are the same. */
  readonly token: number;
  readonly address: number;
  role: "endpoint" | "gateway" | "auxiliary";
  readonly identity: string | null;
  /** Null while it is held. */
  restsUntil: number | null;
}

export interface ModelPool {
  readonly id: string;
  readonly space: string;
  readonly subnet: string;
  readonly subPool: string;
  readonly options: ModelOptions;
  network: string | null;
  leases: ModelLease[];
  /** The last address that was given out in order. */
  cursor: number | null;
  /** Addresses that were asked for since it was replayed; null if it was not replayed. */
  replayed: Set<number> | null;
  /** Asked for in this epoch. */
  claimed: boolean;
}

export interface ModelWish {
  readonly address: number | null;
  readonly serial: boolean;
  readonly identity: string | null;
  readonly isGateway: boolean;
}

/** Auxiliary addresses are asked for without a name, before there is a network; swarm has none. */
export function whom({ network, space }: ModelPool, { address, identity, isGateway }: ModelWish) {
  if (isGateway) return { role: "gateway", identity: null } as const;
  const isEarly = network === null && space !== "tsnet-global";
  return { role: address !== null && identity === null && isEarly ? "auxiliary" : "endpoint", identity } as const;
}

export const isSwarm = (network: string | null): boolean => network !== null && network.length !== 64;
