/** A kernel thread that dies at the first call, without an answer. */
import { parentPort } from "node:worker_threads";

parentPort?.on("message", () => {
  throw new Error("out of luck");
});
parentPort?.postMessage({ ready: true });
