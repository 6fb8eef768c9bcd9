import { Worker } from "node:worker_threads";
import { TsnetError } from "../errors.ts";
import type { Reply, Request } from "./sqlite-worker.ts";

/** MiB. What the thread holds at once is bounded: a page of rows, or a transaction. */
const resourceLimits = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 64, stackSizeMb: 1 };

/** The thread that works on a database file: one request at a time. */
export class SqliteThread {
  readonly path: string;
  readonly #worker: Worker;
  readonly #ended: Promise<unknown>;
  #waiting: { resolve: (done: readonly (string | null)[]) => void; reject: (error: TsnetError) => void } | undefined;
  #failure: TsnetError | undefined;

  constructor(path: string, program: URL = new URL("./sqlite-worker.ts", import.meta.url)) {
    this.path = path;
    this.#worker = new Worker(program, { resourceLimits });
    this.#worker.on("message", (reply: Reply) => this.#settle(reply));
    this.#worker.on("messageerror", (error) => this.#fail(error));
    this.#worker.on("error", (error) => this.#fail(error));
    this.#ended = new Promise((resolve) => this.#worker.once("exit", resolve));
    this.#worker.once("exit", (code) => this.#fail(`exit code ${code}`));
  }

  /** @throws TsnetError "store": what the thread answered, or that it has ended */
  ask(request: Request): Promise<readonly (string | null)[]> {
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      this.#waiting = { resolve, reject };
      this.#worker.postMessage(request);
    });
  }

  /** Ends the thread. A transaction that it was in is undone when the file is opened again. */
  async end(): Promise<void> {
    await this.#worker.terminate();
    await this.#ended;
  }

  #settle(reply: Reply): void {
    if ("error" in reply) this.#waiting?.reject(new TsnetError("store", reply.error));
    else this.#waiting?.resolve(reply.done);
    this.#waiting = undefined;
  }

  /** What was being written may or may not be on the disk: only a restart, which reads it, can tell. */
  #fail(cause: unknown): void {
    this.#failure ??= new TsnetError("store", `the thread that writes ${this.path} has ended: restart tsnet`, {
      cause,
    });
    this.#waiting?.reject(this.#failure);
    this.#waiting = undefined;
  }
}
