import { TsnetError } from "../../src/errors.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import type { Change } from "../../src/store/store.ts";

/** A store whose commits can be made to fail, or to wait. */
export class SlowStore extends MemoryStore {
  isFull = false;
  readonly held: (() => void)[] = [];
  isHolding = false;

  override async commit(changes: readonly Change[]): Promise<void> {
    const { isFull } = this;
    if (this.isHolding) await new Promise<void>((resolve) => this.held.push(resolve));
    if (isFull) throw new TsnetError("store", "the disk is full");
    await super.commit(changes);
  }
}
