/** What is not the same on all hosts. */
import type { HostFacts } from "./host-facts.ts";

/** Another host, and what it is called; "" where it does not say. */
export interface NamedHost {
  readonly address: string;
  readonly name: string;
}

/** Hosts that have one thing alike, and this host has it otherwise. */
export interface FactDifference {
  /** "version", or the name of a setting. */
  readonly what: string;
  readonly own: string;
  readonly theirs: string;
  /** One at least. */
  readonly hosts: readonly NamedHost[];
}

/** @param others by tunnel address @returns the version first, then settings in this host's order; what one of two does not tell is no difference */
export function differencesOf(own: HostFacts, others: ReadonlyMap<string, HostFacts>): FactDifference[] {
  return [
    ...differencesIn("version", own.version, others, ({ version }) => version),
    ...Object.entries(own.settings).flatMap(([name, value]) =>
      differencesIn(name, value, others, ({ settings }) =>
        Object.hasOwn(settings, name) ? settings[name] : undefined,
      ),
    ),
  ];
}

function differencesIn(
  what: string,
  own: string,
  others: ReadonlyMap<string, HostFacts>,
  read: (facts: HostFacts) => string | undefined,
): FactDifference[] {
  const told = [...others].map(([address, facts]) => ({ address, name: facts.name, theirs: read(facts) ?? own }));
  const groups = Map.groupBy(told, ({ theirs }) => theirs);
  groups.delete(own);
  return [...groups].map(([theirs, hosts]) => ({
    ...{ what, own, theirs },
    hosts: hosts.map(({ address, name }) => ({ address, name })),
  }));
}
