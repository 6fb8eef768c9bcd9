/** What is not the same on all hosts, in words, and what to do. */
import type { FactDifference, NamedHost } from "../../plan/fact-differences.ts";
import type { DoctorFinding } from "./doctor-answers.ts";

/** So many hosts are named in one sentence. */
const namedHosts = 5;

/** Why a setting has to be the same. */
interface Meaning {
  /** Whether it matters in a swarm alone. */
  readonly ofSwarm: boolean;
  readonly text: string;
}

const meanings: Readonly<Record<string, Meaning>> = {
  TSNET_SCOPE: {
    ofSwarm: true,
    text: "with global, networks are the swarm's, with local each node has options of its own; nodes of a swarm need the same",
  },
  TSNET_VXLAN_PORT: { ofSwarm: false, text: "containers reach hosts with the same port alone" },
  TSNET_REQUIRES_MAC_ADDRESS: {
    ofSwarm: true,
    text: "where it is true, virtual IPs lead to tasks of the same node alone, unless TSNET_ETCD_ENDPOINTS is set",
  },
  TSNET_DOCKER_SOCKET: {
    ofSwarm: true,
    text: "where it is none, nobody tells the node of services, and their virtual IPs do not answer there",
  },
  TSNET_ETCD_ENDPOINTS: {
    ofSwarm: false,
    text: "hosts with etcd and hosts without it do not tell each other where containers are",
  },
};

/** @param inSwarm whether this host has networks of a swarm @returns what is wrong: one finding for all hosts that have a setting alike */
export function settingFindings(differences: readonly FactDifference[], inSwarm: boolean): DoctorFinding[] {
  return differences.flatMap(({ what, own, theirs, hosts }) => {
    const meaning = meanings[what];
    if (meaning === undefined || (meaning.ofSwarm && !inSwarm)) return [];
    const differs = `${listed(hosts)} ${hosts.length === 1 ? "has" : "have"} ${assigned(what, theirs)}, this one ${own}`;
    const text = `${differs}: ${meaning.text}; set the same on all hosts`;
    return [{ kind: "settings", peer: onlyOf(hosts), text } as const];
  });
}

/** @returns one for all hosts of a version: while hosts are upgraded in turn, nothing is wrong about it */
export function versionNotes(differences: readonly FactDifference[]): DoctorFinding[] {
  const versions = differences.filter(({ what }) => what === "version");
  return versions.map(({ own, theirs, hosts }) => {
    const differs = `${listed(hosts)} ${hosts.length === 1 ? "runs" : "run"} tsnet ${theirs}, this one ${own}`;
    const text = `${differs}: unless an upgrade is under way, give all hosts the same (tsnet upgrade, on each)`;
    return { kind: "version", peer: onlyOf(hosts), text };
  });
}

/** "TSNET_SCOPE=local", "TSNET_ETCD_ENDPOINTS not set". */
const assigned = (name: string, value: string): string =>
  /^(not )?set$/.test(value) ? `${name} ${value}` : `${name}=${value}`;

/** "host web-2 (10.0.0.2)", "hosts web-2 (10.0.0.2), 10.0.0.3 and 7 more". */
function listed(hosts: readonly NamedHost[]): string {
  const names = hosts.slice(0, namedHosts).map(({ address, name }) => (name === "" ? address : `${name} (${address})`));
  const rest = hosts.length - names.length;
  const last = rest > 0 ? `${rest} more` : names.pop();
  return hosts.length === 1 ? `host ${last}` : `hosts ${names.join(", ")} and ${last}`;
}

const onlyOf = (hosts: readonly NamedHost[]): string | null =>
  hosts.length === 1 ? (hosts[0]?.address ?? null) : null;
