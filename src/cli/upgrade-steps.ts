/** What an upgrade does, one after another, with the time that each takes. */
import { printable } from "./table.ts";

export interface Step {
  readonly step: string;
  readonly ms: number;
  /** What came of it, or what is wrong. */
  readonly text: string;
  readonly failed: boolean;
}

export class Steps {
  readonly done: Step[] = [];
  readonly #print: (text: string) => void;

  constructor(print: (text: string) => void) {
    this.#print = print;
  }

  /** @throws what `action` throws */
  async run<T>(step: string, action: () => Promise<T>, tell: (result: T) => string = () => ""): Promise<T> {
    const startedAt = performance.now();
    const end = (text: string, failed: boolean): void => {
      const ms = Math.round(performance.now() - startedAt);
      this.done.push({ step, ms, text, failed });
      const seconds = `${(ms / 1000).toFixed(1)} s`.padStart(7);
      this.#print(`${`  ${step.padEnd(8)}${seconds}   ${printable(failed ? `failed: ${text}` : text)}`.trimEnd()}\n`);
    };
    try {
      const result = await action();
      end(tell(result), false);
      return result;
    } catch (error) {
      end(error instanceof Error ? error.message : String(error), true);
      throw error;
    }
  }
}
