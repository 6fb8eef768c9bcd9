/** The services of a network as this host serves them: who takes connections, and who not. */
import type { GossipNetwork } from "../../plan/gossip.ts";
import type { Endpoint, OverlayNetwork } from "../../plan/network.ts";
import { assignSlots, type VirtualIp } from "../../plan/vip-table.ts";
import { ipv4Of, whyNoVip } from "../../plan/vips.ts";

/** A task of a service. */
export interface ServiceTask {
  /** "web.1.k3v…" */
  readonly name: string;
  /** "10.5.0.9" */
  readonly ip: string;
  /** Whether it runs on this host. */
  readonly isHere: boolean;
  /**
   * "active": it takes connections. "draining": it keeps those that it has, and gets no new ones, since Docker names it no more. "unknown":
   * this host does not know how to reach it, or not yet.
   */
  readonly state: "active" | "draining" | "unknown";
}

/** A service on a network. */
export interface NetworkService {
  readonly service: string;
  /** Its virtual IP, if this host serves it; null where it has none. */
  readonly vip: string | null;
  readonly tasks: readonly ServiceTask[];
}

/** A virtual IP that is not served. */
export interface RefusedVip {
  readonly service: string;
  readonly vip: string;
  /** In words. */
  readonly reason: string;
}

export interface ServiceFacts {
  readonly network: Pick<OverlayNetwork, "id" | "subnets">;
  /** Those of this host. */
  readonly endpoints: readonly Endpoint[];
  /** Addresses of endpoints of other hosts of which this one knows how to reach them. */
  readonly remotes: ReadonlySet<string>;
  readonly gossip: GossipNetwork;
  readonly isDraining: (service: string, ip: string) => boolean;
}

/** A network's services. */
export interface ReadServices {
  /** All, plain containers aside. */
  readonly services: readonly NetworkService[];
  readonly refused: readonly RefusedVip[];
  /** Whether an address may be a service's that is none of them: it is no gateway's, and nobody has it. */
  readonly isSpare: (vip: string) => boolean;
}

export function readServices(facts: ServiceFacts): ReadServices {
  const { network, remotes, gossip } = facts;
  const here = new Set(facts.endpoints.flatMap(ipv4Of));
  const tasks = new Set(gossip.services.flatMap((one) => one.tasks.map(({ ip }) => ip)));
  const isTaken = (ip: string): boolean => here.has(ip) || remotes.has(ip) || tasks.has(ip);
  const taken = new Map<string, string>();
  const refused: RefusedVip[] = [];
  const services = gossip.services
    .filter(({ name }) => name !== "")
    .map(({ name, vip, tasks }): NetworkService => {
      const reason = vip === null ? "" : whyNoVip(network, vip, isTaken) || otherWith(vip, taken);
      if (vip !== null && reason !== "") refused.push({ service: name, vip, reason });
      else if (vip !== null) taken.set(vip, name);
      const stateOf = (ip: string): ServiceTask["state"] => {
        if (!here.has(ip) && !remotes.has(ip)) return "unknown";
        return facts.isDraining(name, ip) ? "draining" : "active";
      };
      return {
        ...{ service: name, vip: reason === "" ? vip : null },
        tasks: tasks.map((task) => ({
          ...{ name: task.name, ip: task.ip, isHere: here.has(task.ip), state: stateOf(task.ip) },
        })),
      };
    });
  const isSpare = (vip: string): boolean => !taken.has(vip) && whyNoVip(network, vip, isTaken) === "";
  return { services, refused, isSpare };
}

function otherWith(vip: string, taken: ReadonlyMap<string, string>): string {
  const other = taken.get(vip);
  return other === undefined ? "" : `the service ${other} has it`;
}

/** @param before who had which slot */
export function virtualIps(services: readonly NetworkService[], before: readonly VirtualIp[]): VirtualIp[] {
  const slots = new Map(before.map((one) => [one.vip, one.slots]));
  return services.flatMap(({ vip, tasks }) => {
    if (vip === null) return [];
    const ipsOf = (wanted: ServiceTask["state"]) => tasks.flatMap(({ ip, state }) => (state === wanted ? [ip] : []));
    // one that is about to stop is better than none
    const serving = ipsOf("active").length > 0 ? ipsOf("active") : ipsOf("draining");
    return [{ vip, slots: assignSlots(slots.get(vip) ?? [], [...new Set(serving)]) }];
  });
}

/** Those endpoints that are tasks of a service with a virtual IP. */
export function tasksAmong(endpoints: readonly Endpoint[], services: readonly NetworkService[]): Endpoint[] {
  const tasks = services.flatMap((service) => (service.vip === null ? [] : service.tasks)).map(({ ip }) => ip);
  const known = new Set(tasks);
  return endpoints.filter((endpoint) => ipv4Of(endpoint).some((ip) => known.has(ip)));
}
