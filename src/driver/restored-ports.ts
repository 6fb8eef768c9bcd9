import type { TsnetError } from "../errors.ts";
import type { PortMapping } from "../plan/network.ts";
import type { HostPort, Kernel } from "./kernel.ts";
import { blockError, type PortConflict, portConflict } from "./port-error.ts";

/** So many blocks are held by one call; if one of them cannot be had, so many are tried anew. */
const blocksAtOnce = 500;

/** A block as it is recorded, and what of it is to be held. */
export interface Piece {
  readonly whole: PortMapping;
  readonly port: HostPort;
}

/** A port that could not be held, and why, in Docker's words. */
interface Lost extends Piece {
  readonly error: TsnetError;
}

/** Recorded ports that are held again after a restart; somebody else may have taken some of them meanwhile. */
export class RestoredPorts {
  readonly #kernel: Pick<Kernel, "reservePorts" | "releasePorts">;
  /** What is held of blocks that could not be held whole. */
  readonly #parts = new Map<string, HostPort[]>();
  /** Some of them may have been taken since. */
  #lost: readonly Piece[] = [];

  constructor(kernel: Pick<Kernel, "reservePorts" | "releasePorts">) {
    this.#kernel = kernel;
  }

  /**
   * Holds all that it can, in few calls.
   * @returns why it could not have some ports
   */
  async hold(pieces: Iterable<Piece>): Promise<TsnetError[]> {
    const errors: TsnetError[] = [];
    let some: Piece[] = [];
    for (const piece of pieces) {
      if (some.push(piece) < blocksAtOnce) continue;
      errors.push(...(await this.#holdSome(some)));
      some = [];
    }
    return [...errors, ...(await this.#holdSome(some))];
  }

  async #holdSome(pieces: readonly Piece[]): Promise<TsnetError[]> {
    const held: Piece[] = [];
    const lost = await this.#holdAll(pieces, held);
    for (const { whole } of lost) this.#parts.set(keyOf(whole), []);
    if (lost.length > 0) for (const { whole, port } of held) this.#parts.get(keyOf(whole))?.push(port);
    this.#lost = [...this.#lost, ...lost];
    return lost.map(({ error }) => error);
  }

  /**
   * Tries what could not be held once more.
   * @returns whether some of it is held now
   */
  async retry(): Promise<boolean> {
    const isWanted = ({ whole }: Piece): boolean => this.#parts.has(keyOf(whole));
    const pieces = this.#lost.filter(isWanted);
    const held: Piece[] = [];
    const lost: Piece[] = [];
    for (let n = 0; n < pieces.length; n += blocksAtOnce) {
      lost.push(...(await this.#holdAll(pieces.slice(n, n + blocksAtOnce), held)));
    }
    this.#lost = lost;
    // blocks may have been taken meanwhile
    for (const { whole, port } of held) this.#parts.get(keyOf(whole))?.push(port);
    const unwanted = held.filter((piece) => !isWanted(piece));
    if (unwanted.length > 0) await this.#kernel.releasePorts(unwanted.map(({ port }) => port));
    return held.length > unwanted.length;
  }

  /** Forgets a block. @returns what of it is held, if that is not the block as it is recorded */
  take(whole: PortMapping): readonly HostPort[] | undefined {
    if (this.#parts.size === 0) return undefined;
    const key = keyOf(whole);
    const parts = this.#parts.get(key);
    if (parts === undefined) return undefined;
    this.#parts.delete(key);
    return parts;
  }

  async #holdAll(pieces: readonly Piece[], held: Piece[]): Promise<Lost[]> {
    const lost: Lost[] = [];
    for (let rest = pieces; rest.length > 0; ) {
      const refusal = await this.#refusalOf(rest);
      if (refusal === undefined) {
        held.push(...rest);
        break;
      }
      const { before, failed, after } = splitAt(rest, refusal.error);
      lost.push(...(await this.#holdAll(before, held)), ...failed);
      rest = after;
    }
    return lost;
  }

  async #refusalOf(pieces: readonly Piece[]): Promise<{ readonly error: unknown } | undefined> {
    try {
      await this.#kernel.reservePorts(pieces.map(({ port }) => port));
      return undefined;
    } catch (error) {
      return { error };
    }
  }
}

const keyOf = ({ protocol, hostAddress, hostPort }: PortMapping): string => `${protocol} ${hostAddress} ${hostPort}`;

/** What to try before and after the port in the way; halves, if the error names none. */
function splitAt(
  pieces: readonly Piece[],
  error: unknown,
): { readonly before: readonly Piece[]; readonly failed: readonly Lost[]; readonly after: readonly Piece[] } {
  const conflict = portConflict(error);
  const hit = conflict && pieces[conflict.index];
  if (conflict === undefined || hit === undefined) {
    const half = pieces.length >> 1;
    const failed = half === 0 ? pieces.map((piece) => lose(piece, undefined, error)) : [];
    return { before: pieces.slice(0, half), failed, after: half === 0 ? [] : pieces.slice(half) };
  }
  const { port, count } = hit.port;
  const index = (conflict.port ?? port) - port;
  const rest = [partOf(hit, 0, index), partOf(hit, index + 1, count)].filter((part) => part.port.count > 0);
  return {
    before: pieces.slice(0, conflict.index),
    failed: [lose(partOf(hit, index, index + 1), conflict, error)],
    after: [...rest, ...pieces.slice(conflict.index + 1)],
  };
}

function lose(piece: Piece, conflict: PortConflict | undefined, cause: unknown): Lost {
  return { ...piece, error: blockError({ ...piece.whole, hostPort: piece.port.port }, conflict, cause) };
}

/** The ports of a piece from one index up to another. */
function partOf({ whole, port: { port, target, ...others } }: Piece, from: number, to: number): Piece {
  const moved = target === null ? null : { ...target, port: target.port + from };
  return { whole, port: { ...others, port: port + from, count: to - from, target: moved } };
}
