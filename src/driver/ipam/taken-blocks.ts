/** What a slot says of its part, unless it is the number of the slot of the part's lower half; the upper half's follows it. */
const free = 0;
const taken = -1;

/**
 * Which parts of a range are taken: a binary tree that has no more nodes than it needs. A part is named by its bits: "" is all, "0"
 * the lower half, "01" the upper half of that. The nodes are numbers, and no objects that the garbage collector would go through.
 */
export class TakenBlocks {
  #slots = new Int32Array(1 << 10);
  /** The root is slot 0. */
  #count = 1;

  add(bits: string): void {
    this.#take(0, bits, 0);
  }

  /**
   * The bits of the lowest part of this size that is free; undefined if none is. Nothing smaller may have been added.
   * @param length so many bits
   */
  lowestFree(length: number): string | undefined {
    return this.#find(0, length);
  }

  #take(slot: number, bits: string, at: number): void {
    if (this.#at(slot) === taken) return;
    if (at === bits.length) {
      this.#slots[slot] = taken;
      return;
    }
    const lower = this.#at(slot) === free ? this.#split(slot) : this.#at(slot);
    this.#take(bits[at] === "0" ? lower : lower + 1, bits, at + 1);
    if (this.#at(lower) === taken && this.#at(lower + 1) === taken) this.#slots[slot] = taken;
  }

  #find(slot: number, length: number): string | undefined {
    const lower = this.#at(slot);
    if (lower === free) return "0".repeat(length);
    if (lower === taken) return undefined;
    const found = this.#find(lower, length - 1);
    if (found !== undefined) return `0${found}`;
    // one of the halves has a free part, or this one would be taken
    return `1${this.#find(lower + 1, length - 1)}`;
  }

  #split(slot: number): number {
    const lower = this.#count;
    this.#count += 2;
    if (this.#count > this.#slots.length) {
      const larger = new Int32Array(2 * this.#slots.length);
      larger.set(this.#slots);
      this.#slots = larger;
    }
    this.#slots[slot] = lower;
    return lower;
  }

  #at(slot: number): number {
    return this.#slots[slot] ?? free;
  }
}
