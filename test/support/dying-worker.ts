/** A thread of the store that dies as soon as something is to be written. */
import { parentPort } from "node:worker_threads";
import type { Reply, Request } from "../../src/store/sqlite-worker.ts";

parentPort?.on("message", (request: Request) => {
  if (request.do === "write") throw new Error("out of luck");
  const reply: Reply = { done: [] };
  parentPort?.postMessage(reply);
});
