import type { ElementCounters, ObservedCounter, ObservedFirewall, ObservedForward } from "../plan/observed.ts";
import type { ObserverCalls, Part } from "./observer-calls.ts";
import { Thread } from "./thread.ts";

/** MiB. It is there for a moment only. */
const resourceLimits = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 256 };

type Sets<Value> = Record<string, Record<string, Value>>;

/** What decides about packets. */
interface ObservedRules {
  readonly firewall: ObservedFirewall | undefined;
  readonly forward: ObservedForward;
}

/**
 * Observation for reports, however much there is: in a thread that is started for it and ended after it, and handed over in
 * parts. The kernel thread, which changes things, is not kept waiting, nor is the main thread for longer than one part takes.
 */
export class Observer {
  /** One at a time: each may need as much memory as the table has elements. */
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Our nft table, undefined if it does not exist, and what else forwards: see Kernel.observeForward.
   * @throws TsnetError "kernel"
   */
  observeRules(): Promise<ObservedRules> {
    return this.#ask(async (thread) => {
      const forward = await thread.call("readForward");
      const skeleton = await thread.call("readFirewall");
      return { forward, firewall: skeleton === undefined ? undefined : { skeleton, elements: await collect(thread) } };
    });
  }

  /** The counters of the table's elements. @throws TsnetError "kernel" */
  observeCounters(): Promise<ElementCounters> {
    return this.#ask(async (thread) => {
      await thread.call("readCounters");
      return await collect<ObservedCounter>(thread);
    });
  }

  #ask<T>(work: (thread: Thread<ObserverCalls>) => Promise<T>): Promise<T> {
    const result = this.#last.then(() => withThread(work));
    this.#last = result.catch(() => {});
    return result;
  }
}

async function withThread<T>(work: (thread: Thread<ObserverCalls>) => Promise<T>): Promise<T> {
  const program = new URL("./observer-worker.ts", import.meta.url);
  // a call that is under way has the error; without one nobody misses the thread
  const thread = new Thread<ObserverCalls>({
    ...{ name: "the observer thread", program, settings: undefined, resourceLimits },
    onEnd: () => {},
  });
  try {
    return await work(thread);
  } finally {
    await thread.close();
  }
}

/** All parts of what was read. A set or a link may be called `__proto__`, hence the objects without a prototype. */
async function collect<Value>(thread: Thread<ObserverCalls>): Promise<Sets<Value>> {
  const sets: Sets<Value> = Object.create(null) as Sets<Value>;
  for (;;) {
    // the thread hands over what was asked for by the caller
    const part = (await thread.call("nextPart")) as Part<Value> | undefined;
    if (part === undefined) return sets;
    sets[part.set] ??= Object.create(null) as Record<string, Value>;
    const content = sets[part.set] as Record<string, Value>;
    for (const [key, value] of part.entries) content[key] = value;
  }
}
