/** Starts the plugin so that it needs little memory: hands over to a Node with other flags, which finds its modules compiled. */
import { setPriority } from "node:os";
import { fileURLToPath } from "node:url";
import { compile, haveTypes, isFilled, nodeEnvironment, nodeFlags } from "./compile-cache.ts";

/**
 * Docker waits for the plugin with each container, and when many come and go at once it is what takes the processor: 50 removals
 * at once held the event loop up for 50 ms on two processors, and for 12 ms with this.
 */
function comeFirst(): void {
  try {
    setPriority(-10);
  } catch {
    // without CAP_SYS_NICE it runs like any other program
  }
}

comeFirst();
const isCompiled = isFilled();
// main.ts compiles the rest when it listens: dockerd does not wait long for that
if (!isCompiled && haveTypes) await compile(["src/main.ts"]);
if (process.execve === undefined) throw new Error(`Node ${process.version} is too old for tsnet: use "npm start"`);
const words = [...nodeFlags, fileURLToPath(import.meta.resolve("./main.ts")), ...(isCompiled ? [] : ["--compile"])];
process.execve(process.execPath, [process.execPath, ...words], { ...process.env, ...nodeEnvironment });
