/** Who the hosts are that share pools: what people call them, and that no two have the same ID. */
import { explain, TsnetError } from "../../errors.ts";
import type { Log } from "../log.ts";
import type { SharedRecords } from "../records.ts";
import { newGrant } from "./grants.ts";

export interface SharedHostsNeeds {
  readonly records: SharedRecords;
  readonly hostId: string;
  readonly hostName: string;
  readonly log: Log;
}

export class SharedHosts {
  readonly #needs: SharedHostsNeeds;
  readonly #names = new Map<string, string>();
  /** Tells this process from another one that says it is the same host. */
  readonly #process = newGrant();
  /** Whether the record of this host is known to be this process's. */
  #isOurs = false;
  #hasTwin = false;
  #end: () => Promise<void> = async () => {};

  constructor(needs: SharedHostsNeeds) {
    this.#needs = needs;
  }

  /** Begins to follow what the others are called. */
  start(): void {
    const put = (id: string, value: unknown): void => {
      const name = (value as { readonly name?: unknown } | null)?.name;
      if (typeof name === "string") this.#names.set(id, name);
      else this.#names.delete(id);
    };
    const { ready, end } = this.#needs.records.follow("host", {
      reset: (values, hasLost = false) => {
        this.#names.clear();
        for (const [id, value] of values) put(id, value);
        const value = values.get(this.#needs.hostId);
        if (this.#isOurs && value === undefined && !hasLost) this.#onRemoved();
        this.#isOurs = processOf(value) === this.#process;
      },
      change: (id, value) => {
        put(id, value);
        if (id === this.#needs.hostId) this.#look(value);
      },
    });
    ready.catch(() => {}); // without names there are IDs
    this.#end = end;
  }

  close(): Promise<void> {
    return this.#end();
  }

  /** Tells the others what this host is called. */
  introduce(): void {
    const { records, hostId, hostName, log } = this.#needs;
    records
      .commit([{ put: "host", id: hostId, value: { name: hostName, process: this.#process } }])
      .catch((error: unknown) => {
        log.warn({ error: explain(error) }, "this host could not be named in etcd");
      });
  }

  /** @param value of this host's own record; null if it is gone */
  #look(value: unknown): void {
    const process = processOf(value);
    const wasOurs = this.#isOurs;
    this.#isOurs = process === this.#process;
    if (!wasOurs || this.#isOurs) return;
    if (value === null) this.#onRemoved();
    else if (process !== undefined) this.#onTwin(value);
  }

  #onRemoved(): void {
    const what = "this host was removed by `tsnet hosts remove` on another one, and is there";
    const then = "others can have the addresses that it held in pools that hosts share";
    const todo = "`tsnet ipam check` names those that containers here still have";
    this.#needs.log.error({ hostId: this.#needs.hostId }, `${what}: ${then}; ${todo}`);
    this.introduce();
  }

  /** An earlier process of this host is silent once this one has named itself: whoever does it then is another host. */
  #onTwin(value: unknown): void {
    const { hostId, log } = this.#needs;
    const why = "each gives back and takes over what the other one holds";
    const todo = "set TSNET_HOST_ID to another name on one of them (a cloned machine has the same /etc/machine-id)";
    const fields = { hostId, name: (value as { readonly name?: unknown }).name };
    log.error(fields, `another host shares pools by the same host ID: ${why}; ${todo}`);
    // Once, so that it hears of this one too.
    if (!this.#hasTwin) this.introduce();
    this.#hasTwin = true;
  }

  /** Tells the others that there is no such host any more. */
  async forget(id: string): Promise<void> {
    await this.#needs.records.commit([{ remove: "host", id }]);
  }

  /** Whether another process has said, since this one was started, that it is this host. */
  get hasTwin(): boolean {
    return this.#hasTwin;
  }

  /** "web-1 (4f2a90c1d2e3)"; the ID alone where there is no other name. */
  call(id: string): string {
    const name = this.nameOf(id);
    return name === null || name === id ? id : `${name} (${id})`;
  }

  /** null if etcd has lost it */
  nameOf(id: string): string | null {
    return this.#names.get(id) ?? null;
  }

  /** An error that tells hosts by their IDs, "host 4f2a90c1d2e3, 5e8f631a2b3c", with their names. */
  named(error: unknown): unknown {
    if (!(error instanceof TsnetError)) return error;
    const message = error.message.replace(
      /\bhost ([\w.-]+(?:, [\w.-]+)*)/g,
      (_, ids: string) =>
        `host ${ids
          .split(", ")
          .map((id) => this.call(id))
          .join(", ")}`,
    );
    return message === error.message ? error : new TsnetError(error.code, message, { cause: error.cause });
  }
}

const processOf = (value: unknown): string | undefined => {
  const process = (value as { readonly process?: unknown } | null | undefined)?.process;
  return typeof process === "string" ? process : undefined;
};
