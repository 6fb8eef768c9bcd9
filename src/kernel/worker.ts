/** The thread that talks to the kernel, so that no call of the kernel's ever stalls the main loop. */
import { parentPort, workerData } from "node:worker_threads";
import { KernelCalls, type KernelSettings } from "./calls.ts";
import { missingPrerequisites } from "./preflight.ts";
import { encodeError, type Message, type Request } from "./protocol.ts";

const post = (message: Message): void => parentPort?.postMessage(message);

function open(): KernelCalls | undefined {
  try {
    const missing = missingPrerequisites();
    if (missing.length > 0) {
      post({ missing: missing.map(encodeError) });
      return undefined;
    }
    return new KernelCalls(workerData as KernelSettings, (changes) => post({ changes }));
  } catch (error) {
    post({ failed: encodeError(error) });
    return undefined;
  }
}

async function answer(calls: KernelCalls, { id, call, args }: Request): Promise<void> {
  if (call === "close") await Promise.all(running);
  try {
    // the arguments are those of the call: the main thread's only caller is typed by it
    const result = await (calls[call] as (...args: readonly unknown[]) => unknown).apply(calls, [...args]);
    post({ id, result });
  } catch (error) {
    post({ id, error: encodeError(error) });
  }
}

/** Calls that have no answer yet. */
const running = new Set<Promise<void>>();

const calls = parentPort === null ? undefined : open();
if (calls) {
  parentPort?.on("message", (request: Request) => {
    const answered = answer(calls, request);
    running.add(answered);
    void answered.finally(() => running.delete(answered));
  });
  post({ ready: true });
}
