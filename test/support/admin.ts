/** The admin socket in a directory of its own, on reports that a test gives. */
import { createServer, get, type Server } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type AdminNeeds, createAdminApp } from "../../src/api/admin.ts";
import { PluginSocket } from "../../src/api/socket.ts";
import { removeDirectory } from "./scratch.ts";
import { scratchDirectory } from "./wire.ts";

export const log: AdminNeeds["log"] = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

const notAsked = (): never => {
  throw new Error("not asked");
};

/** Reports that must not be asked. */
export const nothing: Pick<AdminNeeds, "report" | "links" | "ipam" | "hosts" | "doctor" | "services"> = {
  report: { ports: notAsked, firewall: notAsked, explain: notAsked },
  links: { networks: notAsked, endpoints: notAsked, failedNetworks: notAsked },
  ipam: { pools: notAsked, leases: notAsked, check: notAsked, repair: notAsked },
  hosts: { hosts: notAsked, remove: notAsked },
  doctor: { report: notAsked },
  services: { services: notAsked },
};

/** For a `describe`: each test has a socket of its own, which it opens. */
export function useAdmin() {
  let directory = "";
  let admin: PluginSocket | undefined;
  let server: Server | undefined;
  const socket = (): string => join(directory, "tsnet", "admin.sock");

  /** @param given the reports that may be asked */
  async function open(given: Partial<typeof nothing>, ready: Promise<void> = Promise.resolve()): Promise<void> {
    admin = await PluginSocket.open(socket(), "TSNET_ADMIN_SOCKET");
    server = createServer(createAdminApp({ ...nothing, ...given, ready, log }));
    admin.serve(server);
  }

  /** @throws Error if the answer is broken off */
  const read = (path: string): Promise<{ status: number; text: string }> =>
    new Promise((resolve, reject) => {
      get({ socketPath: socket(), path, agent: false }, (response) => {
        text(response).then((body) => resolve({ status: response.statusCode ?? 0, text: body }), reject);
      }).on("error", reject);
    });
  const ask = async (path: string): Promise<{ status: number; body: unknown }> => {
    const answer = await read(path);
    return { status: answer.status, body: JSON.parse(answer.text) };
  };

  beforeEach(async () => {
    directory = await scratchDirectory();
  });
  afterEach(async () => {
    await admin?.close();
    admin = undefined;
    server = undefined;
    removeDirectory(directory);
  });

  const opened = (): Server => {
    if (server === undefined) throw new Error("the test has not opened the admin socket");
    return server;
  };
  return { open, read, ask, socket, directory: () => directory, server: opened };
}
