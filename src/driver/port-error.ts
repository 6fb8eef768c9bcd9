/** Why a port of the host cannot be had, in Docker's own words. */
import { TsnetError } from "../errors.ts";
import type { PortMapping } from "../plan/network.ts";

/** What of several blocks stands in the way: the answer of Kernel.reservePorts. */
export interface PortConflict {
  readonly index: number;
  /** The port, if the block has several. */
  readonly port: number | undefined;
  readonly errno: string;
}

/** @returns undefined for an error that names none of the blocks */
export function portConflict(error: unknown): PortConflict | undefined {
  if (!(error instanceof TsnetError) || error.code !== "conflict" || error.errno === undefined) return undefined;
  const [, index, port] = /^(\d+)(?: (\d+))?$/.exec(error.message) ?? [];
  if (index === undefined) return undefined;
  return { index: Number(index), port: port === undefined ? undefined : Number(port), errno: error.errno };
}

/** Whether a port in the way has another owner; if so, another port may do. */
export const isTaken = ({ errno }: PortConflict): boolean => errno === "EADDRINUSE" || errno === "EALREADY";

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: "address already in use",
  EADDRNOTAVAIL: "cannot assign requested address: no link of this host has it",
  EACCES: "permission denied",
};

/**
 * @param mappings what was to be held
 * @param cause the kernel's error
 */
export function portError(mappings: readonly PortMapping[], cause: unknown): TsnetError {
  const conflict = portConflict(cause);
  const mapping = mappings[conflict?.index ?? 0];
  if (mapping === undefined) return new TsnetError("kernel", "reserve ports of the host", { cause });
  return blockError({ ...mapping, hostPort: conflict?.port ?? mapping.hostPort }, conflict, cause);
}

/** As `portError`, for the first port of one block. @param conflict undefined if the kernel's error names no port */
export function blockError(
  { protocol, hostAddress, hostPort }: PortMapping,
  conflict: PortConflict | undefined,
  cause: unknown,
): TsnetError {
  const where = `${hostAddress.includes(":") ? `[${hostAddress}]` : hostAddress}:${hostPort}`;
  const bind = `failed to bind host port ${where}/${protocol}`;
  if (conflict === undefined) return new TsnetError("kernel", bind, { cause });
  const { errno } = conflict;
  if (errno === "EALREADY") {
    return new TsnetError("conflict", `Bind for ${where} failed: port is already allocated`, { errno });
  }
  return new TsnetError("conflict", `${bind}: ${reasons[errno] ?? errno}`, { errno });
}
