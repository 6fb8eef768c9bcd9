/** What Docker says of those who have what a check has found to be nobody's. */
import type { DockerNetwork } from "../../plan/docker-network.ts";
import type { SwarmRole } from "../../plan/docker-swarm.ts";
import type { FindingKind, Remedy } from "./findings.ts";
import type { Finding } from "./report.ts";

/** What Docker tells; tsnet does without where it cannot be asked. */
export interface Docker {
  /** The networks there are now; null if Docker cannot be asked. */
  refresh(): Promise<readonly DockerNetwork[] | null>;
  /** The addresses of a network, "172.18.0.2", and the containers that have them, by name; null if Docker cannot be asked. */
  containersIn(networkId: string): Promise<ReadonlyMap<string, string> | null>;
  /** What this host is in a swarm; null if that is not known for sure. */
  swarmRole(): Promise<SwarmRole | null>;
  /** The addresses that its swarm has given out, "10.5.0.2"; null if Docker cannot be asked, or does not know. */
  swarmAddresses(): Promise<ReadonlySet<string> | null>;
}

/** Something that did not agree at a check. */
export interface CheckFinding extends Finding {
  readonly kind: FindingKind;
  readonly remedy: Remedy;
  /** By what the address is held; null where it is not about a lease. */
  readonly grant: string | null;
  /** ID of the network that the address is held for, where that is known. */
  readonly network: string | null;
  /** @see Suspicion */
  readonly lastRequest: number | null;
}

/** What a container or a task has is given back by nobody: an endpoint's record may have been lost. */
export async function withUsers(findings: readonly CheckFinding[], docker: Docker): Promise<CheckFinding[]> {
  return await withTasks(await withContainers(findings, docker), docker);
}

async function withContainers(findings: readonly CheckFinding[], docker: Docker): Promise<CheckFinding[]> {
  const due = findings.flatMap(({ kind, network, repairable }) =>
    repairable && kind === "orphan-lease" && network !== null ? [network] : [],
  );
  const containers = new Map<string, ReadonlyMap<string, string> | null>();
  for (const network of new Set(due)) containers.set(network, await docker.containersIn(network));
  return findings.map((finding) => {
    const name = containers.get(finding.network ?? "")?.get(finding.address ?? "");
    return name === undefined ? finding : kept(finding, `Docker says that container ${name} has it`);
  });
}

/**
 * A new leader does not ask for all that the swarm has given out: not for the tasks of a service that was removed and that are yet to end,
 * nor for those of one that waits for something (swarmkit, manager/allocator/network.go: allocateTask).
 */
async function withTasks(findings: readonly CheckFinding[], docker: Docker): Promise<CheckFinding[]> {
  const isDue = ({ kind, repairable }: CheckFinding): boolean => kind === "stale-lease" && repairable;
  if (!findings.some(isDue)) return [...findings];
  const given = await docker.swarmAddresses();
  return findings.map((finding) => {
    if (!isDue(finding)) return finding;
    if (given === null) return kept(finding, "Docker cannot be asked whether a task has it");
    return given.has(finding.address ?? "") ? kept(finding, "Docker says that a task or a service has it") : finding;
  });
}

const kept = (finding: CheckFinding, why: string): CheckFinding => ({
  ...finding,
  text: `${finding.text}; ${why}`,
  repairable: false,
});
