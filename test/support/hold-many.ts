/** Holds more ports than it may have files, and says what comes of it. */
import { explain, TsnetError } from "../../src/errors.ts";
import { HeldPorts } from "../../src/kernel/ports/held-ports.ts";

const limits = { connectTimeoutMs: 0, idleMs: 0, maxConnections: 0, maxClients: 0, maxClientsPerPort: 0 };
const holder = new HeldPorts(0x01000000, limits);
const block = { protocol: "tcp", address: "0.0.0.0", port: 9000, target: null, sources: [] } as const;
try {
  holder.reserve([{ ...block, count: 200 }]);
} catch (error) {
  process.stdout.write(`${error instanceof TsnetError ? error.errno : ""} ${explain(error)}\n`);
}
holder.reserve([{ ...block, count: 20 }]);
process.stdout.write("free");
await holder.close();
