/** What people call the hosts that share pools. */
import { explain, TsnetError } from "../../errors.ts";
import type { Log } from "../log.ts";
import type { SharedRecords } from "../records.ts";

export interface SharedHostsNeeds {
  readonly records: SharedRecords;
  readonly hostId: string;
  readonly hostName: string;
  readonly log: Log;
}

export class SharedHosts {
  readonly #needs: SharedHostsNeeds;
  readonly #names = new Map<string, string>();
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
      reset: (values) => {
        this.#names.clear();
        for (const [id, value] of values) put(id, value);
      },
      change: put,
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
    records.commit([{ put: "host", id: hostId, value: { name: hostName } }]).catch((error: unknown) => {
      log.warn({ error: explain(error) }, "this host could not be named in etcd");
    });
  }

  /** "web-1 (4f2a90c1d2e3)"; the ID alone where there is no other name. */
  call(id: string): string {
    const name = this.#names.get(id);
    return name === undefined || name === id ? id : `${name} (${id})`;
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
