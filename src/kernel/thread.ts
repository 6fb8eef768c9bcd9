import { type ResourceLimits, Worker } from "node:worker_threads";
import { TsnetError } from "../errors.ts";
import { decodeError, type Message, type Request } from "./protocol.ts";

interface Pending {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: TsnetError) => void;
}

/** How a thread is started, and who is told what it says unasked. */
export interface ThreadOptions<Event> {
  /** As in "the kernel thread". */
  readonly name: string;
  readonly program: URL;
  readonly settings: unknown;
  readonly resourceLimits: ResourceLimits;
  readonly onEvent?: (event: Event) => void;
  /** Called once if the thread ends by itself. */
  readonly onEnd: (error: TsnetError) => void;
}

/** What a thread does, by name. */
type CallsOf<Calls> = { readonly [Name in keyof Calls]: (...args: never[]) => unknown };

/** A thread that does calls, as the main thread sees it: each call is one message to it, and one back (serve.ts). */
export class Thread<Calls extends CallsOf<Calls>, Event = never> {
  readonly #options: ThreadOptions<Event>;
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  readonly #ready = Promise.withResolvers<void>();
  #lastId = 0;
  /** Why no call can be made any more. */
  #end: TsnetError | undefined;
  #hasEnded = false;

  /** Calls may be made at once: they wait until the thread is up. */
  constructor(options: ThreadOptions<Event>) {
    this.#options = options;
    this.#ready.promise.catch(() => {}); // nobody has to wait for it
    this.#worker = new Worker(options.program, {
      workerData: options.settings,
      resourceLimits: options.resourceLimits,
      trackUnmanagedFds: false, // descriptors are opened and closed by the C library, of which Node knows nothing
    });
    this.#worker.on("message", (message: Message<Event>) => this.#receive(message));
    this.#worker.on("messageerror", (cause) => this.#fail(cause));
    this.#worker.on("error", (cause) => this.#fail(cause));
    this.#worker.on("exit", (code) => this.#fail(`exit code ${code}`));
  }

  /**
   * Waits until the thread is up, and ends it if it does not come up.
   * @throws AggregateError of TsnetErrors, one for each thing that the host lacks; TsnetError for what fails besides
   */
  async ready(): Promise<void> {
    try {
      await this.#ready.promise;
    } catch (error) {
      await this.#worker.terminate();
      throw error;
    }
  }

  call<Name extends keyof Calls & string>(
    call: Name,
    ...args: Parameters<Calls[Name]>
  ): Promise<Awaited<ReturnType<Calls[Name]>>> {
    return new Promise((resolve, reject) => {
      if (this.#end) return reject(this.#end);
      // the thread answers a call with the result of that call
      this.#send(call, args, { resolve: resolve as Pending["resolve"], reject });
    });
  }

  /**
   * Waits for the calls that were made before, lets the thread close what it has, and ends it. A second call does nothing.
   * @param after what to wait for besides
   */
  async close(after?: Promise<void>): Promise<void> {
    if (this.#end) return;
    this.#end = new TsnetError("kernel", `${this.#options.name} is closed`);
    await after;
    if (this.#hasEnded) return;
    await new Promise((resolve, reject) => this.#send("close", [], { resolve, reject }));
    await this.#worker.terminate();
  }

  #send(call: string, args: readonly unknown[], pending: Pending): void {
    const request: Request = { id: ++this.#lastId, call, args };
    this.#pending.set(request.id, pending);
    this.#worker.postMessage(request);
  }

  #receive(message: Message<Event>): void {
    if ("ready" in message) this.#ready.resolve();
    else if ("missing" in message) this.#ready.reject(new AggregateError(message.missing.map(decodeError)));
    else if ("failed" in message) this.#ready.reject(decodeError(message.failed));
    else if ("event" in message) {
      if (!this.#end) this.#options.onEvent?.(message.event);
    } else {
      const pending = this.#pending.get(message.id);
      this.#pending.delete(message.id);
      if ("error" in message) pending?.reject(decodeError(message.error));
      else pending?.resolve(message.result);
    }
  }

  #fail(cause: unknown): void {
    const error = new TsnetError("kernel", `${this.#options.name} has ended: restart tsnet`, { cause });
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
    this.#hasEnded = true;
    if (this.#end) return;
    this.#end = error;
    this.#ready.reject(error);
    this.#options.onEnd(error);
  }
}
