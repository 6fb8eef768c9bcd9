/** Managers of a swarm that come and go. */
import type { Host } from "./host.ts";
import { until } from "./poll.ts";
import { type SwarmLab, swarmDeadlineMs } from "./swarm-lab.ts";
import type { Node } from "./swarm-lab-service.ts";

const nodesOf = ({ dockerd }: Host): Promise<Node[]> => dockerd.api("GET", "/nodes");

/** A host that is a manager and is to stay one: a moment after it is made a worker, it still answers. @throws Error if it is none */
async function staysManager(host: Host): Promise<Host> {
  const nodes = await nodesOf(host);
  const node = nodes.find(({ Description }) => Description.Hostname === `host${host.number}`);
  if (node?.Spec.Role !== "manager") throw new Error(`host ${host.number} is no manager`);
  return host;
}

/** Waits until a manager other than those leads. @returns it */
export async function leaderOtherThan(lab: SwarmLab, ...gone: readonly Host[]): Promise<Host> {
  const others = lab.hosts.filter((host) => !gone.includes(host));
  return await until("the swarm has a leader", swarmDeadlineMs, async () => {
    const nodes = await Promise.any(others.map(nodesOf));
    const leader = nodes.find(({ ManagerStatus }) => ManagerStatus?.Leader === true);
    return others.find(({ ipv4 }) => ipv4 === leader?.ManagerStatus?.Addr.split(":")[0]);
  });
}

/** Makes a host a manager, unless it is one, and waits until it answers as one, and the others can reach it. */
export async function promote(lab: SwarmLab, host: Host): Promise<void> {
  await lab.change("node", "promote", `host${host.number}`);
  await until(`host ${host.number} is a manager`, swarmDeadlineMs, async () => {
    await nodesOf(host);
    return (await lab.node(host)).ManagerStatus?.Reachability === "reachable";
  });
}

/**
 * Makes the leader a worker, and waits until it is one: before that it can be elected again. Commands are given to the next leader then.
 * @returns that
 */
export async function demote(lab: SwarmLab, leader: Host): Promise<Host> {
  lab.manager = await until("another manager answers", swarmDeadlineMs, () =>
    Promise.any(lab.hosts.filter((host) => host !== leader).map(staysManager)),
  );
  await lab.change("node", "demote", `host${leader.number}`);
  return await until(`host ${leader.number} is no manager`, swarmDeadlineMs, async () => {
    lab.manager = await leaderOtherThan(lab, leader);
    return (await lab.node(leader)).ManagerStatus === undefined && lab.manager;
  });
}

/** Makes managers of those hosts again that were it at first. Commands are given to host 1 then. */
export async function restoreManagers(lab: SwarmLab, managers: readonly Host[]): Promise<void> {
  const find = (): Promise<Host> => Promise.any(lab.hosts.map((host) => nodesOf(host).then(() => host)));
  lab.manager = await until("a manager answers", swarmDeadlineMs, find);
  for (const host of managers) await promote(lab, host);
  lab.manager = lab.host(1);
}
