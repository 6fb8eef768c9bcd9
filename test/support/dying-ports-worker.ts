/** A ports thread that dies at the second call, without an answer. */
import { parentPort } from "node:worker_threads";

let calls = 0;
parentPort?.on("message", ({ id }: { id: number }) => {
  if (++calls > 1) throw new Error("out of luck");
  parentPort?.postMessage({ id, result: undefined });
});
parentPort?.postMessage({ ready: true });
