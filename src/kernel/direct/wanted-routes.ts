import type { DirectRoute } from "../../plan/op-overlay.ts";
import type { Family, TableRule } from "./policy-routing.ts";

/** A route, and the link that has the gateways of its network. */
export interface WantedRoute extends DirectRoute {
  readonly from: string;
}

/** What this host sends itself, and the question where a packet that arrives would go back to. */
export const host = "lo";

/** The routes that were asked for, with the rules that they need. There are ten thousand of them: each rule knows how many need it. */
export class WantedRoutes {
  /** By destination. */
  readonly #routes = new Map<string, WantedRoute>();
  readonly #rules = new Map<string, { readonly rule: TableRule; users: number }>();

  /** Replaces one to the same destination. @returns the rules that nobody needs any more */
  put(route: WantedRoute): readonly TableRule[] {
    const before = this.#routes.get(route.destination);
    this.#routes.set(route.destination, route);
    for (const rule of rulesOf(route)) {
      const known = this.#rules.get(keyOf(rule));
      if (known !== undefined) known.users += 1;
      else this.#rules.set(keyOf(rule), { rule, users: 1 });
    }
    return before === undefined ? [] : this.#release(before);
  }

  /** @returns the rules that nobody needs any more */
  delete(destination: string): readonly TableRule[] {
    const route = this.#routes.get(destination);
    if (route === undefined) return [];
    this.#routes.delete(destination);
    return this.#release(route);
  }

  routes(family: Family): WantedRoute[] {
    return [...this.#routes.values()].filter((route) => familyOf(route) === family);
  }

  rules(family: Family): TableRule[] {
    return [...this.#rules.values()].flatMap(({ rule }) => (rule.family === family ? [rule] : []));
  }

  #release(route: WantedRoute): TableRule[] {
    return rulesOf(route).filter((rule) => {
      const known = this.#rules.get(keyOf(rule));
      if (known === undefined || --known.users > 0) return false;
      return this.#rules.delete(keyOf(rule));
    });
  }
}

export const familyOf = ({ destination }: Pick<DirectRoute, "destination">): Family =>
  destination.includes(":") ? 6 : 4;

/** The rules that a route needs. */
export const rulesOf = (route: WantedRoute): TableRule[] =>
  [host, route.from].map((from) => ({ family: familyOf(route), from }));

const keyOf = ({ family, from }: TableRule): string => `${family} ${from}`;
