import { parentPort } from "node:worker_threads";
import { encodeError, type Message, type Request } from "./protocol.ts";

/** What a thread does for the main thread; `close` is called last. */
interface Calls {
  /** Called before `close`: ends calls that would wait for long. */
  stop?(): void;
  close(): Promise<void> | void;
}

/** Sends a message to the main thread. */
export const post = <Event>(message: Message<Event>): void => parentPort?.postMessage(message);

/**
 * Answers the main thread's calls, and says that it is ready to. `close` waits for those that run. Does nothing where the module
 * of a thread is loaded by something else, such as src/start.ts, which compiles it.
 * @param open gives undefined when it has told why there is nothing to serve
 */
export function serve(open: () => Calls | undefined): void {
  const calls = parentPort === null ? undefined : open();
  if (calls === undefined) return;
  const running = new Set<Promise<void>>();
  parentPort?.on("message", (request: Request) => {
    if (request.call === "close") calls.stop?.();
    const before = request.call === "close" ? Promise.all(running) : undefined;
    const answered = answer(calls, request, before);
    running.add(answered);
    void answered.finally(() => running.delete(answered));
  });
  post({ ready: true });
}

async function answer(calls: Calls, { id, call, args }: Request, before?: Promise<unknown>): Promise<void> {
  if (before !== undefined) await before;
  try {
    // names and arguments are those of the calls: Thread, the only caller, is typed by them
    const methods = calls as unknown as Readonly<Record<string, (...args: readonly unknown[]) => unknown>>;
    post({ id, result: await methods[call]?.(...args) });
  } catch (error) {
    post({ id, error: encodeError(error) });
  }
}
