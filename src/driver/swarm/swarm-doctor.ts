import { explain } from "../../errors.ts";
import type { DockerNode, DockerSwarm } from "../../plan/docker-swarm.ts";
import type { DoctorAnswer, DoctorFinding, SwarmAnswer } from "../overlay/doctor-answers.ts";
import {
  notActive,
  type PortAnswer,
  type Probed,
  pluginMissing,
  portFinding,
  staleGossip,
  unheardSwarm,
  withoutBridgeFilter,
  withoutSocket,
} from "./swarm-findings.ts";

/** Docker's gossip: without it no node learns what others have. moby, daemon/cluster: defaultGossipPort. */
const gossipPort = 7946;

/** Who does not answer within this time is found to be silent. */
export const probeMs = 1000;

/** So many at a time: each takes a file of this process. */
const probesAtOnce = 200;

export interface SwarmDoctorNeeds {
  /** What Docker says of the swarm; null if this host is a node of none. @throws Error if Docker cannot be asked */
  readonly ask: () => Promise<DockerSwarm | null>;
  /** The full name of this plugin, "tsnet-plugin:latest"; null if it is none that a swarm can have. */
  readonly pluginName: () => Promise<string | null>;
  /** Whether Docker may be asked at all: TSNET_DOCKER_SOCKET. */
  readonly hasSocket: boolean;
  /** Whether this node has networks of a swarm, as far as it knows without Docker. */
  readonly hasNetworks: () => boolean;
  /** Whether a service has a virtual IP in a network of this node's. */
  readonly hasVirtualIps: () => boolean;
  /** Whether the kernel module br_netfilter is loaded, without which they do not work. */
  readonly hasBridgeFilter: () => boolean;
  /** Since when what Docker has told of the networks here is old, in ms since 1970; null while it is not. */
  readonly staleSinceMs: () => number | null;
  /** The addresses of nodes that have networks of this one. */
  readonly peers: () => readonly string[];
  readonly probe: (address: string, port: number, waitMs: number) => Promise<PortAnswer>;
}

/** What a report on the ways to other hosts says besides, in a swarm. */
export interface SwarmReport {
  readonly swarm: SwarmAnswer | null;
  readonly findings: readonly DoctorFinding[];
}

/** Looks at what tsnet needs of a swarm, when it is asked: nothing is said that was not just found. */
export class SwarmDoctor {
  readonly #needs: SwarmDoctorNeeds;

  constructor(needs: SwarmDoctorNeeds) {
    this.#needs = needs;
  }

  async report(): Promise<SwarmReport> {
    const { ask, hasSocket, hasNetworks } = this.#needs;
    if (!hasSocket) return { swarm: null, findings: hasNetworks() ? [withoutSocket] : [] };
    try {
      const swarm = await ask();
      const here = this.#examineSelf();
      if (swarm === null) return { swarm: null, findings: here };
      const own = swarm.state === "active" ? [] : [notActive(swarm)];
      const found = await Promise.all([this.#examinePorts(swarm), this.#examinePlugins(swarm)]);
      return { swarm: answerOf(swarm), findings: [...own, ...here, ...found.flat()] };
    } catch (error) {
      const here = this.#examineSelf();
      const findings = hasNetworks() || here.length > 0 ? [unheardSwarm(explain(error)), ...here] : [];
      return { swarm: null, findings };
    }
  }

  /** After Docker was asked, which may take some time: what it has not told meanwhile is old. */
  #examineSelf(): DoctorFinding[] {
    const { hasVirtualIps, hasBridgeFilter, staleSinceMs } = this.#needs;
    const sinceMs = staleSinceMs();
    const stale = sinceMs === null ? [] : [staleGossip(sinceMs)];
    return hasVirtualIps() && !hasBridgeFilter() ? [...stale, withoutBridgeFilter] : stale;
  }

  async #examinePorts(swarm: DockerSwarm): Promise<DoctorFinding[]> {
    const targets = targetsOf(swarm, this.#needs.peers());
    const findings: DoctorFinding[] = [];
    for (let at = 0; at < targets.length; at += probesAtOnce) {
      const some = targets.slice(at, at + probesAtOnce);
      const answers = await Promise.all(some.map(({ address, port }) => this.#needs.probe(address, port, probeMs)));
      for (const [n, target] of some.entries()) findings.push(...portFinding(target, answers[n] ?? "silent"));
    }
    return findings;
  }

  /** Only a manager is told which plugins other nodes have. */
  async #examinePlugins({ nodes, nodeId }: DockerSwarm): Promise<DoctorFinding[]> {
    const name = nodes === null ? null : await this.#needs.pluginName();
    if (nodes === null || name === null) return [];
    const others = nodes.filter(({ id, isReady }) => id !== nodeId && isReady);
    return others
      .filter(({ networkPlugins }) => !networkPlugins.includes(name))
      .map((node) => pluginMissing(node, name));
  }
}

const answerOf = ({ address, isManager, managers, nodes }: DockerSwarm): SwarmAnswer => ({
  ...{ address, role: isManager ? "manager" : "worker" },
  ...{ managers: managers.length, nodes: nodes?.length ?? null },
});

/** The managers' own port, and the gossip's of each node; those that the managers do not hear of are known to be away. */
function targetsOf(swarm: DockerSwarm, peers: readonly string[]): Probed[] {
  const { nodeId, address: own, managers, nodes } = swarm;
  const away = new Set((nodes ?? []).flatMap((node) => (node.isReady ? [] : [node.address])));
  const names = new Map((nodes ?? []).map((node: DockerNode) => [node.address, node.name]));
  const others = managers.filter((manager) => manager.nodeId !== nodeId && manager.address !== own);
  const addresses = new Set([
    ...(nodes ?? []).flatMap(({ address }) => address || []),
    ...others.map(({ address }) => address),
    ...peers,
  ]);
  const who = (what: string, address: string): string => {
    const name = names.get(address);
    return name === undefined ? `${what} ${address}` : `${what} ${name} (${address})`;
  };
  const gossip = [...addresses].filter((address) => address !== own && !away.has(address));
  return [
    ...others.map(({ address, port }) => ({ of: "managers", address, port, who: who("manager", address) }) as const),
    ...gossip.map((address) => ({ of: "gossip", address, port: gossipPort, who: who("node", address) }) as const),
  ];
}

/** A report on the ways to other hosts, and on the swarm. */
export function withSwarm(
  ways: { report(): Promise<DoctorAnswer> },
  swarm: Pick<SwarmDoctor, "report">,
): { report(): Promise<DoctorAnswer> } {
  return {
    report: async () => {
      const [answer, found] = await Promise.all([ways.report(), swarm.report()]);
      return { ...answer, swarm: found.swarm, findings: [...answer.findings, ...found.findings] };
    },
  };
}
