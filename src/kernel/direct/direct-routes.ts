import { explain, hasErrno, TsnetError } from "../../errors.ts";
import type { DirectRoute, KeepDirectRoutes, PutDirectRoutes, RemoveDirectRoutes } from "../../plan/op-overlay.ts";
import { inetPton } from "../libc.ts";
import type { Rtnetlink } from "../netlink/rtnetlink.ts";
import { existing, ignoring } from "../own-links.ts";
import { isWithin } from "./followed-paths.ts";
import { type Family, PolicyRouting, type TableRule } from "./policy-routing.ts";
import { familyOf, host, rulesOf, type WantedRoute, WantedRoutes } from "./wanted-routes.ts";

const families: readonly Family[] = [4, 6];

/** Of so many routes that cannot be put, it is said why. */
const saidAtOnce = 5;

/** A kernel without the family, or without rules, has none. */
const noFamily = ["EAFNOSUPPORT", "EOPNOTSUPP"];

interface Refused {
  readonly route: DirectRoute;
  readonly error: unknown;
}

/**
 * The routing table of plan/direct.ts, in the host's namespace. What is asked for is kept here, so that ten thousand routes are compared
 * with the kernel's without a copy for another thread. Routes and rules of others are not touched.
 */
export class DirectRoutes {
  readonly #routing = new PolicyRouting();
  readonly #rtnetlink: Rtnetlink;
  readonly #wanted = new WantedRoutes();

  /** @param rtnetlink of the host's namespace */
  constructor(rtnetlink: Rtnetlink) {
    this.#rtnetlink = rtnetlink;
  }

  /** Of the socket by which routes and rules are changed. */
  get portId(): number {
    return this.#routing.portId;
  }

  /**
   * Each by itself: one that cannot be put keeps no other from it, and is not there afterwards, nor what was to its destination before.
   * @throws TsnetError that names those which could not be put, with the errno of the first: EACCES where IPv6 is off on the link
   */
  put({ from, routes }: PutDirectRoutes): void {
    const index = this.#indexes();
    const ruled = new Set<Family>();
    const refused: Refused[] = [];
    for (const route of routes) {
      try {
        this.#putOne({ ...route, from }, index, ruled);
      } catch (error) {
        refused.push({ route, error });
      }
    }
    if (refused.length === 0) return;
    this.remove({ op: "remove-direct-routes", destinations: refused.map(({ route }) => route.destination) });
    throw refusal(refused, routes.length);
  }

  remove({ destinations }: RemoveDirectRoutes): void {
    const unused: TableRule[] = [];
    for (const destination of destinations) {
      unused.push(...this.#wanted.delete(destination));
      ignoring(["ESRCH", ...noFamily], () => this.#routing.deleteRoute(destination));
    }
    for (const one of unused) this.#deleteRule(one);
  }

  /** A rule that leads nowhere goes with the last route of its family. */
  keep({ links, subnets }: KeepDirectRoutes): void {
    const kept = subnets.map(parseSubnet);
    for (const family of families) {
      const found = this.#list(() => this.#routing.listRoutes(family)).map(({ destination }) => destination);
      const gone = found.filter((destination) => !isIn(kept, destination));
      this.remove({ op: "remove-direct-routes", destinations: gone });
      const asked = new Set(this.#wanted.rules(family).map(({ from }) => from));
      const leading = gone.length < found.length ? new Set([host, ...links]) : new Set();
      for (const one of this.#list(() => this.#routing.listRules(family))) {
        if (!leading.has(one.from) && !asked.has(one.from)) this.#deleteRule(one);
      }
    }
  }

  /**
   * Compares rules and routes with what was asked for, and mends them.
   * @param isComplete whether all was asked for that there is to be: then the rest goes
   * @returns what was wrong, in words
   */
  repair(isComplete: boolean): string[] {
    return families.flatMap((family) => [
      ...this.#repairRules(family, isComplete),
      ...this.#repairRoutes(family, isComplete),
    ]);
  }

  close(): void {
    this.#routing.close();
  }

  #repairRules(family: Family, isComplete: boolean): string[] {
    const wanted = this.#wanted.rules(family);
    const found = this.#list(() => this.#routing.listRules(family));
    const has = (all: readonly TableRule[], { from }: TableRule): boolean => all.some((one) => one.from === from);
    const missing = wanted.filter((one) => !has(found, one));
    const leftover = isComplete ? found.filter((one) => !has(wanted, one)) : [];
    for (const one of missing) this.#addRule(one);
    for (const one of leftover) this.#deleteRule(one);
    return [
      ...missing.map((one) => `${describeRule(one)} is gone`),
      ...leftover.map((one) => `${describeRule(one)} is nobody's`),
    ];
  }

  /** A route whose next hop cannot be reached now is put when the paths are looked at again. */
  #repairRoutes(family: Family, isComplete: boolean): string[] {
    const index = this.#indexes();
    const found = new Map(this.#list(() => this.#routing.listRoutes(family)).map((one) => [one.destination, one]));
    const reasons: string[] = [];
    for (const route of this.#wanted.routes(family)) {
      const there = found.get(route.destination);
      found.delete(route.destination);
      const link = ifThere(() => index(route.link));
      if (link === undefined || (there?.via === route.via && there.link === link)) continue;
      const isPut = ifThere(() => {
        this.#routing.putRoute({ ...route, link });
        return true;
      });
      if (isPut) reasons.push(`route to ${route.destination} ${there === undefined ? "is gone" : "leads elsewhere"}`);
    }
    if (!isComplete) return reasons;
    for (const destination of found.keys()) {
      ignoring(["ESRCH"], () => this.#routing.deleteRoute(destination));
      reasons.push(`route to ${destination} is nobody's`);
    }
    return reasons;
  }

  /** @param ruled the families whose rules are there */
  #putOne(route: WantedRoute, index: (name: string) => number, ruled: Set<Family>): void {
    for (const one of this.#wanted.put(route)) this.#deleteRule(one);
    if (!ruled.has(familyOf(route))) for (const one of rulesOf(route)) this.#addRule(one);
    ruled.add(familyOf(route));
    this.#routing.putRoute({ ...route, link: index(route.link) });
  }

  #addRule(one: TableRule): void {
    ignoring(["EEXIST"], () => this.#routing.addRule(one));
  }

  #deleteRule(one: TableRule): void {
    ignoring(["ENOENT", ...noFamily], () => this.#routing.deleteRule(one));
  }

  #list<T>(list: () => T[]): T[] {
    let found: T[] = [];
    ignoring(noFamily, () => {
      found = list();
    });
    return found;
  }

  /** The index of a link, by name. @throws TsnetError "kernel" with errno ENODEV */
  #indexes(): (name: string) => number {
    const known = new Map<string, number>();
    return (name) => {
      const index = known.get(name) ?? existing(name, this.#rtnetlink.getLink({ name })).index;
      known.set(name, index);
      return index;
    };
  }
}

interface Subnet {
  readonly address: Uint8Array;
  readonly prefix: number;
}

function parseSubnet(text: string): Subnet {
  const [address = "", prefix] = text.split("/");
  return { address: inetPton(address), prefix: Number(prefix) };
}

function isIn(subnets: readonly Subnet[], destination: string): boolean {
  const bytes = inetPton(destination);
  return subnets.some(({ address, prefix }) => address.length === bytes.length && isWithin(bytes, address, prefix));
}

function refusal(refused: readonly Refused[], all: number): TsnetError {
  const said = refused.slice(0, saidAtOnce).map(({ route, error }) => `${describeRoute(route)}: ${explain(error)}`);
  const more = refused.length > said.length ? [`and ${refused.length - said.length} more`] : [];
  const message = `${refused.length} of ${all} routes could not be put: ${[...said, ...more].join("; ")}`;
  const { errno } = refused.map(({ error }) => error).find((error) => error instanceof TsnetError) ?? {};
  return new TsnetError("kernel", message, errno === undefined ? {} : { errno });
}

const describeRoute = ({ destination, via, link }: DirectRoute): string => `${destination} via ${via} dev ${link}`;

const describeRule = ({ family, from }: TableRule): string => `rule of IPv${family} for what comes by ${from}`;

/** Where the link is gone or down or has no IPv6, or its neighbor is no neighbor any more. */
const unreachable = ["ENODEV", "ENETDOWN", "ENETUNREACH", "EHOSTUNREACH", "EINVAL", "EACCES", ...noFamily];

function ifThere<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (unreachable.some((errno) => hasErrno(error, errno))) return undefined;
    throw error;
  }
}
