/** Hosts for a test, whose control planes share a store and are closed after it. */
import { MemoryStore } from "../../src/store/memory-store.ts";
import { PlaneHost, type PlaneHostOptions } from "./plane-host.ts";
import { until } from "./poll.ts";
import { Wire } from "./shared-host.ts";

/** Longer than anything takes here; a test that waits so long has failed. */
export const soonMs = 3_000;

/** To be called in a `describe`. */
export function usePlaneHosts() {
  let store = new MemoryStore();
  let hosts: PlaneHost<Wire>[] = [];
  beforeEach(() => {
    store = new MemoryStore(128);
    hosts = [];
  });
  afterEach(() => Promise.all(hosts.map(({ plane }) => plane.close())));

  /** A host whose process has heard of all there is. */
  async function open(id: string, options: PlaneHostOptions = {}): Promise<PlaneHost<Wire>> {
    const host = new PlaneHost(id, new Wire(store), options);
    hosts.push(host);
    host.start();
    await until(`${id} knows`, soonMs, () => host.plane.isComplete());
    return host;
  }

  /** Records of a kind, by ID. */
  const records = async (kind: "overlay" | "place" | "vtep"): Promise<Record<string, unknown>> =>
    Object.fromEntries(await store.list(kind));

  /** Nobody reaches it; then it has nothing any more, or what it had. @param back who reaches it then */
  async function loseAll(keep: (kind: string, id: string) => boolean = () => false, back = hosts): Promise<void> {
    for (const { records: wire } of hosts) wire.away = "etcd is away";
    for (const kind of ["overlay", "place", "vtep", "space"] as const) {
      for (const id of (await store.list(kind)).keys()) if (!keep(kind, id)) await store.commit([{ remove: kind, id }]);
    }
    await Promise.all(back.map(({ records: wire }) => wire.comeBack(true)));
  }

  return { open, records, loseAll, store: () => store };
}

/** Waits until something is as it should be. */
export const soon = (what: string, check: () => boolean | Promise<boolean>): Promise<true> =>
  until(what, soonMs, check);
