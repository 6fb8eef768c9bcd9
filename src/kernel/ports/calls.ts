import type { ProxiedPort } from "../../plan/observed.ts";
import type { HostPort } from "../host-port.ts";
import { HeldPorts, type PortLimits } from "./held-ports.ts";
import { openFilesLimit } from "./open-files.ts";

/** Docker's own proxy forgets a UDP client after this time. */
const idleMs = 90_000;

const connectTimeoutMs = 10_000;

/** What the ports thread does for the main thread: see driver/kernel.ts, which says it in full. */
export class PortCalls {
  readonly #ports: HeldPorts;

  /** @param settings.mark the mark bit, as in 0x01000000 */
  constructor({ mark }: { readonly mark: number }) {
    this.#ports = new HeldPorts(mark, limitsFor(openFilesLimit()));
  }

  reserve(ports: readonly HostPort[]): void {
    this.#ports.reserve(ports);
  }

  release(ports: readonly HostPort[]): void {
    this.#ports.release(ports);
  }

  observeProxied(): ProxiedPort[] {
    return this.#ports.observe();
  }

  /** Lets go of all ports. */
  close(): Promise<void> {
    return this.#ports.close();
  }
}

/** Who comes from outside must not use up the descriptors that the plugin needs: half of them are for what is passed on. */
function limitsFor(openFiles: number): PortLimits {
  const maxConnections = Math.min(Math.floor(openFiles / 5), 16_384);
  const maxClients = Math.min(Math.floor(openFiles / 10), 16_384);
  return { connectTimeoutMs, idleMs, maxConnections, maxClients, maxClientsPerPort: Math.ceil(maxClients / 4) };
}
