/** New connections a second, from the client outside to a published port. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { exitOf, run } from "../support/commands.ts";
import { Container } from "../support/container.ts";
import type { Host } from "../support/host.ts";
import { until } from "../support/poll.ts";

const program = fileURLToPath(new URL("connect-loop.mjs", import.meta.url));
const seconds = 2;

/** Starts a server on port 80 of a container that takes connections as fast as the kernel gives them. */
export async function serveIn(host: Host, id: string): Promise<AsyncDisposable> {
  const container = new Container(host, id);
  const [file = "", ...args] = await container.enter([process.execPath, program, "serve", "80"]);
  const server = spawn(file, args, { stdio: ["ignore", "ignore", "inherit"] });
  await until("the server of the benchmark listens", 5000, async () => {
    const { stdout } = await container.exec("ss -Hltn 'sport = :80'");
    return stdout.trim() !== "";
  });
  return {
    [Symbol.asyncDispose]: async () => {
      const ended = exitOf(server);
      server.kill("SIGKILL");
      await ended;
    },
  };
}

/** Connections a second, as the client counts them. */
export async function connectionsPerSecond(host: Host, port: number): Promise<number> {
  const command = [process.execPath, program, host.ipv4, `${port}`, `${seconds}`];
  return Number(await run(host.outside.client.enter(command), { env: process.env }));
}
