import type {
  ElementCounters,
  ObservedCounter,
  ObservedFirewall,
  ObservedForward,
  ObservedLink,
} from "../plan/observed.ts";
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

/** The links of this host and of its containers. */
interface ObservedLinks {
  /** Those of the host's namespace, by name. */
  readonly links: ReadonlyMap<string, ObservedLink>;
  /** Those that are ours, by path of their network namespace. */
  readonly sandboxes: ReadonlyMap<string, readonly ObservedLink[]>;
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

  /**
   * All links of the host's namespace, and those that are ours in these network namespaces; a path that is none is left out.
   * @throws TsnetError "kernel"
   */
  observeLinks(paths: readonly string[]): Promise<ObservedLinks> {
    return this.#ask(async (thread) => {
      await thread.call("readLinks");
      const links = await collectMap<ObservedLink>(thread);
      await thread.call("readSandboxes", paths);
      return { links, sandboxes: await collectMap<readonly ObservedLink[]>(thread) };
    });
  }

  /**
   * How many open flows of IPv4 were translated, by path of these network namespaces, and by "FROM TO": a service's
   * virtual IP, and a task's address. A path that is none is left out.
   * @throws TsnetError "kernel"
   */
  observeTranslated(paths: readonly string[]): Promise<Sets<number>> {
    return this.#ask(async (thread) => {
      await thread.call("readTranslated", paths);
      return await collect<number>(thread);
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
  for await (const { set, entries } of partsFrom<Value>(thread)) {
    sets[set] ??= Object.create(null) as Record<string, Value>;
    const content = sets[set] as Record<string, Value>;
    for (const [key, value] of entries) content[key] = value;
  }
  return sets;
}

/** All parts of what was read of one kind. */
async function collectMap<Value>(thread: Thread<ObserverCalls>): Promise<Map<string, Value>> {
  const found = new Map<string, Value>();
  for await (const { entries } of partsFrom<Value>(thread)) for (const [key, value] of entries) found.set(key, value);
  return found;
}

async function* partsFrom<Value>(thread: Thread<ObserverCalls>): AsyncGenerator<Part<Value>> {
  for (;;) {
    // the thread hands over what was asked for by the caller
    const part = (await thread.call("nextPart")) as Part<Value> | undefined;
    if (part === undefined) return;
    yield part;
  }
}
