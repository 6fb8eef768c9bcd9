import { setImmediate } from "node:timers/promises";
import { TsnetError } from "../../src/errors.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import type { Change } from "../../src/store/store.ts";

/** Commits take turns of the event loop, and some fail. */
export class UnreliableStore extends MemoryStore {
  isFailing = false;

  override async commit(changes: readonly Change[]): Promise<void> {
    const done = this.isFailing ? undefined : super.commit(changes);
    await setImmediate();
    if (done === undefined) throw new TsnetError("store", "the disk is full");
    await done;
  }
}
