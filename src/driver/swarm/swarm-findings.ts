/** What is wrong with a swarm, in words, and what to do. */
import type { DockerNode, DockerSwarm } from "../../plan/docker-swarm.ts";
import type { DoctorFinding } from "../overlay/doctor-answers.ts";

/** What a TCP port of another host says: "refused" is that nothing has it, "silent" nothing at all. */
export type PortAnswer = "open" | "refused" | "silent" | "no-route";

/** A port of another node, and whose it is: that of managers, or that of Docker's gossip. */
export interface Probed {
  readonly of: "managers" | "gossip";
  readonly address: string;
  readonly port: number;
  /** In words: "node web-2 (10.0.0.2)". */
  readonly who: string;
}

const said: Readonly<Record<Exclude<PortAnswer, "open">, string>> = {
  refused: "says that nothing has",
  silent: "does not answer within a second on",
  "no-route": "cannot be reached by",
};

const meaning: Readonly<Record<Probed["of"], string>> = {
  managers: "the managers' port: from there this node gets no tasks and no networks",
  gossip: "that of Docker's gossip: without it, the two nodes learn nothing of each other's tasks and containers",
};

/** @returns none for an open port */
export function portFinding({ of, address, port, who }: Probed, answer: PortAnswer): DoctorFinding[] {
  if (answer === "open") return [];
  const ports = of === "managers" ? `${port}/tcp` : `${port}/tcp and ${port}/udp`;
  const pass = `let ${ports} pass between ${of === "managers" ? "it and this node" : "all nodes"}`;
  const advice = answer === "refused" ? "see whether Docker runs there, and is still in the swarm" : pass;
  return [
    { kind: "swarm-port", peer: address, text: `${who} ${said[answer]} TCP port ${port}, ${meaning[of]}; ${advice}` },
  ];
}

/** @param plugin "tsnet-plugin:latest" */
export function pluginMissing({ name, address }: DockerNode, plugin: string): DoctorFinding {
  const [alias = ""] = plugin.split(":");
  const what = `node ${name}${address === "" ? "" : ` (${address})`} has no enabled plugin ${plugin}`;
  const advice = `docker plugin install --alias ${alias} … there, or docker plugin enable ${alias}`;
  const text = `${what}: the swarm places no task on it that has a network of that driver; ${advice}`;
  return { kind: "plugin-missing", peer: address === "" ? null : address, text };
}

export function notActive({ state, error }: DockerSwarm): DoctorFinding {
  const why = error === "" ? "" : `: ${error}`;
  const text = `this node of the swarm is ${state}, as Docker says${why}; tasks and networks stay as they are`;
  return { kind: "swarm", peer: null, text };
}

export function staleGossip(sinceMs: number): DoctorFinding {
  const what = `Docker has not told since ${new Date(sinceMs).toISOString()} what the swarm's nodes have of the networks here`;
  const text = `${what} (the log says why): nodes, tasks and virtual IPs stay as they were then`;
  return { kind: "gossip", peer: null, text };
}

export function unheardSwarm(error: string): DoctorFinding {
  return { kind: "docker-socket", peer: null, text: `Docker cannot be asked about the swarm: ${error}` };
}

/** Connections to virtual IPs are seen to on the network's bridge. */
export const withoutBridgeFilter: DoctorFinding = {
  kind: "br-netfilter",
  peer: null,
  text: "the kernel module br_netfilter is not loaded: virtual IPs of services do not answer here, and who tries waits in vain; modprobe br_netfilter, and have it loaded at each start: echo br_netfilter >/etc/modules-load.d/tsnet.conf",
};

/** What does not work is in docs/swarm.md, too. */
export const withoutSocket: DoctorFinding = {
  kind: "docker-socket",
  peer: null,
  text: "TSNET_DOCKER_SOCKET=none: nobody tells this node of services, so that their virtual IPs do not answer here, nor of the nodes that have a network; docker plugin set TSNET_DOCKER_SOCKET=/host/run/docker.sock",
};
