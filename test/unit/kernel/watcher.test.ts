import type { KernelChange } from "../../../src/kernel/change.ts";
import { close, eventfd, read, write } from "../../../src/kernel/libc.ts";
import { type Sources, Watcher } from "../../../src/kernel/watcher.ts";
import { until } from "../../support/poll.ts";

const soonMs = 2_000;

/** A source that is readable after `tell`, and whose next read returns, or throws, what was told. */
class Source {
  /** EFD_CLOEXEC | EFD_NONBLOCK */
  readonly fd = eventfd(0x80800);
  #told: unknown;

  tell(told: unknown): void {
    this.#told = told;
    write(this.fd, new Uint8Array(BigUint64Array.of(1n).buffer));
  }

  read(): unknown {
    read(this.fd, new Uint8Array(8));
    if (this.#told instanceof Error) throw this.#told;
    return this.#told;
  }

  close(): void {
    close(this.fd);
  }
}

describe("Watcher", () => {
  let sources: Record<"links" | "namespaces" | "nft", Source>;
  let legacy: { changed(): boolean; close(): void };
  let changes: KernelChange[];
  let watcher: Watcher;
  beforeEach(() => {
    sources = { links: new Source(), namespaces: new Source(), nft: new Source() };
    legacy = { changed: () => false, close: () => {} };
    changes = [];
    watcher = new Watcher({ ...sources, legacy } as unknown as Sources, (some) => changes.push(...some));
  });
  afterEach(() => watcher.close());
  const told = (wanted: KernelChange): Promise<boolean> =>
    until(JSON.stringify(wanted), soonMs, () => changes.some((one) => JSON.stringify(one) === JSON.stringify(wanted)));

  const namespace: KernelChange = { what: "namespace", name: "tsnet-1" };
  const nothing = { everything: false, firewall: false, forward: false };

  for (const name of ["links", "namespaces", "nft"] as const) {
    it(`goes on when ${name} cannot be read, and says that anything may have changed`, async () => {
      sources[name].tell(new Error("EIO: i/o error, statfs"));
      if (name !== "namespaces") sources.namespaces.tell([namespace]);
      await told({ what: "everything", error: "EIO: i/o error, statfs" });
      if (name !== "namespaces") await told(namespace);
      changes = [];
      sources[name].tell(name === "nft" ? { ...nothing, firewall: true } : [namespace]);
      await told(name === "nft" ? { what: "firewall" } : namespace);
    });
  }

  it("goes on when iptables-legacy cannot be looked at", async () => {
    legacy.changed = () => {
      throw new Error("EMFILE");
    };
    await told({ what: "everything", error: "EMFILE" });
    legacy.changed = () => false;
    sources.links.tell([namespace]);
    await told(namespace);
  });
});
