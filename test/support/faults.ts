/** Where a test lets the world fail: each operation of the kernel and each commit of the store is one step. */
import { TsnetError } from "../../src/errors.ts";

/** Steps that are all or nothing by their contract: what fails has no effect. */
const isAtomic = (step: string): boolean => step === "reserve-ports" || step === "run-nft";

/**
 * "before", "after": the step fails, without or with its effect, and all later ones succeed. "from": it and all later ones fail.
 * "crash-before", "crash-after": the process dies at this step, without or with its effect: nothing is answered any more.
 */
export type FaultKind = "before" | "after" | "from" | "crash-before" | "crash-after";

export interface Fault {
  readonly kind: FaultKind;
  /** From 1, counted from the arming on. */
  readonly at: number;
  readonly errno: string;
}

/** Counts the steps of one process, and makes one of them fail. */
export class Faults {
  /** The steps since the last arming. */
  readonly steps: string[] = [];
  #fault: Fault | undefined;
  #crashed: () => void = () => {};
  #isDead = false;
  readonly #held = new Map<string, Promise<void>>();
  readonly #heldAll = new Map<string, Promise<void>>();

  /** The next step of this name does not begin before the promise is resolved. */
  hold(name: string): PromiseWithResolvers<void> {
    const held = Promise.withResolvers<void>();
    this.#held.set(name, held.promise);
    return held;
  }

  /** No step of this name begins before the promise is resolved. */
  holdAll(name: string): PromiseWithResolvers<void> {
    const held = Promise.withResolvers<void>();
    this.#heldAll.set(name, held.promise);
    return held;
  }

  /** Counts from here on. Resolves when the process crashes. */
  arm(fault: Fault): Promise<void> {
    this.steps.length = 0;
    this.#fault = fault;
    return new Promise((resolve) => {
      this.#crashed = resolve;
    });
  }

  disarm(): void {
    this.#fault = undefined;
  }

  /** Whether the armed step was reached. */
  get hit(): boolean {
    return this.#fault !== undefined && this.steps.length >= this.#fault.at;
  }

  /** Ends the process: whatever it is at never comes to an end. */
  kill(): void {
    this.#isDead = true;
  }

  /** One step: `effect`, or the fault. It takes a turn of the event loop, as a call to another thread does. */
  async run<T>(name: string, effect: () => T | Promise<T>): Promise<T> {
    await new Promise(setImmediate);
    const held = this.#held.get(name);
    this.#held.delete(name);
    await held;
    await this.#heldAll.get(name);
    if (this.#isDead) return never();
    this.steps.push(name);
    const kind = this.#dueNow();
    if (kind === "before" || kind === "from" || (kind === "after" && isAtomic(name))) throw this.#error(name);
    if (kind === "crash-before") return this.#crash();
    const result = await effect();
    if (kind === "after") throw this.#error(name);
    if (kind === "crash-after") return this.#crash();
    return result;
  }

  #dueNow(): FaultKind | undefined {
    if (this.#fault === undefined) return undefined;
    const { kind, at } = this.#fault;
    return this.steps.length === at || (kind === "from" && this.steps.length > at) ? kind : undefined;
  }

  #error(name: string): TsnetError {
    const errno = this.#fault?.errno ?? "EIO";
    return new TsnetError(name.startsWith("commit") ? "store" : "kernel", `${name}: ${errno}`, { errno });
  }

  #crash(): Promise<never> {
    this.#isDead = true;
    this.#crashed();
    return never();
  }
}

const never = (): Promise<never> => new Promise(() => {});
