import type { Services } from "../swarm/services.ts";
import type { Direct } from "./direct.ts";

/** What Overlays tells of its networks. */
export type Beside = Pick<Direct, "schedule" | "renew" | "forget" | "repair" | "stop">;

/** The short way, and the services, both told of the same. */
export function besides(direct: Beside, services: Pick<Services, keyof Beside> | undefined): Beside {
  if (services === undefined) return direct;
  return {
    schedule: (id, macs) => {
      direct.schedule(id, macs);
      services.schedule(id);
    },
    renew: (id) => {
      direct.renew(id);
      services.renew(id);
    },
    forget: async (id) => {
      services.forget(id);
      await direct.forget(id);
    },
    repair: async (namespaces) => [...(await direct.repair(namespaces)), ...(await services.repair(namespaces))],
    stop: async () => {
      await services.stop();
      await direct.stop();
    },
  };
}
