/** Callers of a host who take addresses of a pool and give them back, all at once, until there was enough of it. */
import { type Answer, Caller } from "./caller.ts";
import type { IpamHost } from "./ipam-host.ts";
import type { IpamLedger } from "./ipam-ledger.ts";

/** Each caller has so many addresses at most. */
const most = 12;

export interface CallersOptions {
  readonly host: IpamHost;
  readonly pool: string;
  readonly ledger: IpamLedger;
  readonly isOver: () => boolean;
}

/** Resolves when it is over and each has its last answer; what they hold, they keep. */
export async function callAtOnce(count: number, options: CallersOptions): Promise<void> {
  await Promise.all(Array.from({ length: count }, () => new IpamCaller(options).run()));
}

class IpamCaller {
  readonly #options: CallersOptions;
  readonly #held: string[] = [];
  /** Rises and falls, so that there is a bit of everything. */
  #isFilling = true;

  constructor(options: CallersOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { host, isOver } = this.#options;
    while (!isOver()) {
      await host.running;
      using caller = await Caller.open(host.socket).catch(() => undefined);
      if (caller) await this.#work(caller);
    }
  }

  /** Until it is over, or the host is gone. */
  async #work(caller: Caller): Promise<void> {
    while (!this.#options.isOver()) {
      if (this.#held.length === 0) this.#isFilling = true;
      if (this.#held.length === most) this.#isFilling = false;
      const isHeard = this.#isFilling ? await this.#request(caller) : await this.#release(caller);
      if (!isHeard) return;
    }
  }

  async #request(caller: Caller): Promise<boolean> {
    const { host, pool, ledger } = this.#options;
    const answer = await this.#call(caller, "RequestAddress", { PoolID: pool, Address: "", Options: {} });
    if (answer === undefined) ledger.unheard.requests++;
    const [address] = answer?.["Address"]?.split("/") ?? [];
    if (address === undefined) return answer !== undefined;
    ledger.given(address, host.name);
    this.#held.push(address);
    return true;
  }

  async #release(caller: Caller): Promise<boolean> {
    const { pool, ledger } = this.#options;
    const address = this.#held.shift() ?? "";
    ledger.givenBack(address);
    const answer = await this.#call(caller, "ReleaseAddress", { PoolID: pool, Address: address });
    if (answer === undefined) ledger.unheard.releases++;
    else if (!refusalOf(answer)) ledger.done++;
    return answer !== undefined;
  }

  /** @returns undefined if the host was gone before the answer */
  async #call(caller: Caller, method: string, body: object): Promise<Answer | undefined> {
    const startedAt = performance.now();
    const answer = await caller.call(`IpamDriver.${method}`, body).catch(() => undefined);
    const text = answer && refusalOf(answer);
    if (text) this.#options.ledger.refusals.push({ text, ms: performance.now() - startedAt });
    return answer;
  }
}

/** The words of a refusal; "" if it is none. */
const refusalOf = (answer: Answer): string => answer["Error"] || answer["Err"] || "";
