import { Worker } from "node:worker_threads";
import { TsnetError } from "../errors.ts";
import type { Observed, ObservedFirewall, ObservedForward, ObservedLink } from "../plan/observed.ts";
import type { Op } from "../plan/op.ts";
import type { KernelCalls, KernelSettings } from "./calls.ts";
import type { KernelChange } from "./change.ts";
import type { HostPort } from "./host-port.ts";
import { type CallName, decodeError, type Message, type Request } from "./protocol.ts";

/** MiB. A small young generation keeps resident memory low; what a call makes is short-lived. */
const resourceLimits = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 64 };

interface Pending {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: TsnetError) => void;
}

/** The kernel, as the main thread sees it: each call is one message to the thread that does it, and one back. */
export class KernelClient {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  readonly #ready = Promise.withResolvers<void>();
  #lastId = 0;
  /** Why no call can be made any more. */
  #end: TsnetError | undefined;
  #onChange: (change: KernelChange) => void = () => {};
  #onExit: (error: TsnetError) => void = () => {};

  private constructor(settings: KernelSettings, program: URL) {
    this.#worker = new Worker(program, { workerData: settings, resourceLimits });
    this.#worker.on("message", (message: Message) => this.#receive(message));
    this.#worker.on("messageerror", (cause) => this.#fail(cause));
    this.#worker.on("error", (cause) => this.#fail(cause));
    this.#worker.on("exit", (code) => this.#fail(`exit code ${code}`));
  }

  /**
   * Starts the thread and waits until all its sockets are open.
   * @param program the thread's; only tests give another
   * @throws AggregateError of TsnetErrors, one for each thing that the host lacks; TsnetError for what fails besides
   */
  static async open(
    settings: KernelSettings,
    program: URL = new URL("./worker.ts", import.meta.url),
  ): Promise<KernelClient> {
    const client = new KernelClient(settings, program);
    try {
      await client.#ready.promise;
      return client;
    } catch (error) {
      await client.#worker.terminate();
      throw error;
    }
  }

  apply(ops: readonly Op[]): Promise<void> {
    return this.#call("apply", ops);
  }

  observe(): Promise<Observed> {
    return this.#call("observe");
  }

  observeLink(name: string): Promise<ObservedLink | undefined> {
    return this.#call("observeLink", name);
  }

  observeFirewall(): Promise<ObservedFirewall | undefined> {
    return this.#call("observeFirewall");
  }

  observeForward(): Promise<ObservedForward> {
    return this.#call("observeForward");
  }

  observeEphemeralPorts(): Promise<{ readonly first: number; readonly last: number }> {
    return this.#call("observeEphemeralPorts");
  }

  observeSandboxes(paths: readonly string[]): Promise<readonly string[]> {
    return this.#call("observeSandboxes", paths);
  }

  reservePorts(ports: readonly HostPort[]): Promise<void> {
    return this.#call("reservePorts", ports);
  }

  releasePorts(ports: readonly HostPort[]): Promise<void> {
    return this.#call("releasePorts", ports);
  }

  flushRemovedLinks(): Promise<void> {
    return this.#call("flushRemovedLinks");
  }

  /** Calls back for each change that was not ours, until the client is closed. The last callback given counts. */
  watch(onChange: (change: KernelChange) => void): void {
    this.#onChange = onChange;
  }

  /** Calls back once if the thread ends by itself: nothing can be done any more but to start anew. */
  onExit(onExit: (error: TsnetError) => void): void {
    this.#onExit = onExit;
  }

  /** Waits for the calls that were made before, then closes the thread's sockets and ends it. A second call does nothing. */
  async close(): Promise<void> {
    if (this.#end) return;
    this.#onExit = () => {};
    this.#onChange = () => {};
    const closed = this.#call("close");
    this.#end = new TsnetError("kernel", "the kernel client is closed");
    await closed;
    await this.#worker.terminate();
  }

  #call<Name extends CallName>(
    call: Name,
    ...args: Parameters<KernelCalls[Name]>
  ): Promise<Awaited<ReturnType<KernelCalls[Name]>>> {
    return new Promise((resolve, reject) => {
      if (this.#end) return reject(this.#end);
      const id = ++this.#lastId;
      // the thread answers a call with the result of that call
      this.#pending.set(id, { resolve: resolve as Pending["resolve"], reject });
      const request: Request = { id, call, args };
      this.#worker.postMessage(request);
    });
  }

  #receive(message: Message): void {
    if ("ready" in message) this.#ready.resolve();
    else if ("missing" in message) this.#ready.reject(new AggregateError(message.missing.map(decodeError)));
    else if ("failed" in message) this.#ready.reject(decodeError(message.failed));
    else if ("changes" in message) for (const change of message.changes) this.#onChange(change);
    else {
      const pending = this.#pending.get(message.id);
      this.#pending.delete(message.id);
      if ("error" in message) pending?.reject(decodeError(message.error));
      else pending?.resolve(message.result);
    }
  }

  #fail(cause: unknown): void {
    const error = new TsnetError("kernel", "the kernel thread has ended: restart tsnet", { cause });
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
    if (this.#end) return;
    this.#end = error;
    this.#ready.reject(error);
    this.#onExit(error);
  }
}
