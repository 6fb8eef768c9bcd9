import { explain } from "../errors.ts";
import type { EtcdSettings, EtcdStore } from "./etcd-store.ts";

/** Where it is said that etcd can be followed, or not. */
type OpeningLog = Readonly<Record<"info" | "warn" | "error", (fields: object, message: string) => void>>;

/** Etcd is not asked yet: it may be away, and nothing here waits for it. Without it, its modules (TLS) take no memory. */
export async function openEtcd(settings: EtcdSettings | null, log: OpeningLog): Promise<EtcdStore | undefined> {
  if (settings === null) return undefined;
  const fields = { endpoints: settings.endpoints };
  const { EtcdStore } = await import("./etcd-store.ts");
  return EtcdStore.open(settings, {
    skip: (error) => log.error({ ...fields, error: explain(error) }, "a record in etcd is left out"),
    report: (trouble, hasLost = false) => {
      if (trouble === null) log.info(fields, "etcd can be reached again");
      else if (hasLost) log.error({ ...fields, error: explain(trouble) }, "etcd is not what it was");
      else log.warn({ ...fields, error: explain(trouble) }, "etcd cannot be followed; pools of this host alone go on");
    },
  });
}
