/** The plugin's socket in a directory of its own, and dockerd's way of calling it. */
import { mkdtemp } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createApp, listen, type ServerNeeds } from "../../src/api/server.ts";
import { removeDirectory } from "./scratch.ts";

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** POST of a text, as pkg/plugins/client.go of moby sends it: no Content-Type. */
export function post(socketPath: string, path: string, text: string, method = "POST"): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { "content-length": Buffer.byteLength(text), host: "plugin.moby.localhost" };
    const call = request({ socketPath, path, method, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, body: JSON.parse(Buffer.concat(chunks).toString()) });
      });
    });
    call.on("error", reject);
    call.end(text);
  });
}

/** A plugin that listens. */
export interface Plugin {
  readonly socket: string;
  /** Calls a method with a JSON body; with no body at all if it is undefined. */
  readonly call: (method: string, body?: unknown) => Promise<Answer>;
  readonly close: () => Promise<void>;
}

/** A directory for sockets. */
export const scratchDirectory = (): Promise<string> => mkdtemp(join(tmpdir(), "tsnet-wire-"));

export async function openPlugin(needs: ServerNeeds): Promise<Plugin> {
  const directory = await scratchDirectory();
  const socket = join(directory, "plugins", "tsnet.sock");
  const opened = await listen(createApp(needs), socket);
  return {
    socket,
    call: (method, body) => post(socket, `/${method}`, body === undefined ? "" : JSON.stringify(body)),
    close: async () => {
      await opened.close();
      removeDirectory(directory);
    },
  };
}
