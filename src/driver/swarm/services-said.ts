import { manySlots } from "../../plan/vip-table.ts";
import type { Log } from "../log.ts";
import type { NetworkService, RefusedVip } from "./service-tasks.ts";

/** Says what of a network's services is not served, once for each. */
export class ServicesSaid {
  readonly #network: string;
  readonly #log: Log;
  #said: ReadonlySet<string> = new Set();

  /** @param network its ID */
  constructor(network: string, log: Log) {
    this.#network = network;
    this.#log = log;
  }

  say(services: readonly NetworkService[], refused: readonly RefusedVip[]): void {
    const said = new Set<string>();
    const sayOnce = (key: string, fields: object, what: string): void => {
      if (!this.#said.has(key)) this.#log.warn({ network: this.#network, ...fields }, what);
      said.add(key);
    };
    for (const { service, vip, reason } of refused) {
      const what = `the virtual IP of a service is not served, since ${reason}`;
      sayOnce(`${service} ${vip} ${reason}`, { service, vip }, what);
    }
    for (const { service, vip, tasks } of services) {
      if (vip === null || tasks.length <= manySlots) continue;
      const what = `of a service's tasks, only the first ${manySlots} get connections by its virtual IP`;
      sayOnce(service, { service, vip, tasks: tasks.length }, what);
    }
    this.#said = said;
  }
}
