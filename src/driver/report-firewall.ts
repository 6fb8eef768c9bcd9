/** Whether the firewall is as it should be. */
import { chains, table } from "../plan/firewall-rules.ts";
import { dockerBridges } from "../plan/forward.ts";
import type { GatewayNetwork } from "../plan/network.ts";
import type { ObservedFirewall, ObservedForward } from "../plan/observed.ts";
import type { RepairCount } from "./repairs.ts";
import type { FirewallAnswer, HookedChain } from "./report-answers.ts";
import { dockerBackend, forwardStatus } from "./report-forward.ts";

/** What the status is made from. */
export interface FirewallFacts {
  readonly firewall: ObservedFirewall | undefined;
  readonly forward: ObservedForward;
  readonly networks: Iterable<GatewayNetwork>;
  /** By kind. */
  readonly repairs: Readonly<Record<string, RepairCount>>;
  readonly mark: number;
}

export function reportFirewall({ firewall, forward, networks, repairs, mark }: FirewallFacts): FirewallAnswer {
  const own = new Set([...networks].map(({ bridge }) => bridge));
  const known = Object.keys(firewall?.elements["docker_links"] ?? {});
  const counted = Object.entries(firewall?.elements ?? {}).map(([set, elements]) => [
    set,
    Object.keys(elements).length,
  ]);
  return {
    table: {
      name: table,
      state: firewall === undefined ? "missing" : "in place",
      chains: hookedChains(mark),
      elements: Object.fromEntries(counted),
    },
    mark: `0x${mark.toString(16).padStart(8, "0")}`,
    forward: forwardStatus(forward, mark),
    docker: {
      backend: dockerBackend(forward),
      bridges: [...new Set([...known, ...dockerBridges(forward, own)])].toSorted(),
    },
    repairs: Object.entries(repairs).map(([kind, { count, lastAt }]) => ({
      ...{ kind, count },
      last: new Date(lastAt).toISOString(),
    })),
  };
}

/** Our chains that hang on a hook, from the text that makes them. */
const hookedChains = (mark: number): HookedChain[] =>
  [...chains(mark).matchAll(/chain (\w+) \{\s*type \w+ hook (\w+) priority ([^;]+);/g)].map(
    ([, chain = "", hook = "", priority = ""]) => ({ chain, hook, priority }),
  );
