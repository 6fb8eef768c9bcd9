import { explain } from "../errors.ts";
import { concerns, mergeForgetFlows, planForgetFlows } from "../plan/flows.ts";
import type { Endpoint, PortMapping } from "../plan/network.ts";
import type { ForgetFlows } from "../plan/op.ts";
import type { Kernel } from "./kernel.ts";
import type { Log } from "./log.ts";

/**
 * UDP flows under way when a port is published or taken back: they are made to follow the new rules. Otherwise a client that sends
 * all the time would go on reaching what was behind the port when it began: nobody, or a container that is gone. Nobody waits
 * for it, since the kernel walks through all its flows, but who gets a port or an address of which flows are to be forgotten.
 */
export class Flows {
  readonly #kernel: Kernel;
  readonly #log: Log;
  readonly #waiting: ForgetFlows[] = [];
  /** What is neither done nor given up, with its end. */
  readonly #pending = new Map<ForgetFlows, Promise<void>>();
  /** Does all that waits. */
  #next: Promise<void> | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(kernel: Kernel, log: Log) {
    this.#kernel = kernel;
    this.#log = log;
  }

  /**
   * An endpoint's ports have changed, and the firewall with them. Does nothing if no UDP port was among them. What cannot be
   * forgotten is told in the log.
   * @param after undefined for an endpoint that is gone
   */
  follow(before: Endpoint, after: Endpoint | undefined): void {
    const op = planForgetFlows(before, after);
    if (op === undefined) return;
    const done = this.#gather(op).then(() => void this.#pending.delete(op));
    this.#pending.set(op, done);
  }

  /** Waits until no flow is left that was to be forgotten, of those to one of these addresses or ports. */
  async settled(of: Pick<Endpoint, "addresses"> & { readonly ports: readonly PortMapping[] }): Promise<void> {
    await Promise.all([...this.#pending].flatMap(([op, done]) => (concerns(op, of) ? [done] : [])));
  }

  /** Waits until nothing is left that was to be forgotten. */
  async idle(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending.values());
  }

  /** What comes while one is under way is done together: the kernel walks through all its flows for each. */
  #gather(op: ForgetFlows): Promise<void> {
    this.#waiting.push(op);
    if (this.#next !== undefined) return this.#next;
    this.#next = this.#running.then(() => {
      this.#next = undefined;
      return this.#forget(mergeForgetFlows(this.#waiting.splice(0)));
    });
    this.#running = this.#next;
    return this.#next;
  }

  async #forget(op: ForgetFlows): Promise<void> {
    try {
      await this.#kernel.apply([op]);
    } catch (error) {
      const { hostPorts } = op;
      const what = "UDP clients of these ports that send all the time may not reach the container; conntrack -D helps";
      this.#log.error({ hostPorts, error: explain(error) }, what);
    }
  }
}
