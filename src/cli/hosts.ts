/** `tsnet hosts`: asks the plugin, and prints. */
import type { HostAnswer, HostRemoval, HostsAnswer } from "../driver/overlay/host-answers.ts";
import type { HostsCommand } from "./arguments.ts";
import { askAdmin } from "./client.ts";
import { compare, formatTable, formatTime, printable, toJson } from "./table.ts";

/** @returns what to print. @throws Error with what to do */
export async function hostsText(command: HostsCommand): Promise<string> {
  const { socket, json } = command;
  if (command.name === "hosts remove") {
    const query = new URLSearchParams({ host: command.host, ...(command.force ? { force: "true" } : {}) });
    const removal = await askAdmin<HostRemoval>(socket, `/v1/hosts/remove?${query}`, "POST");
    return json ? toJson(removal) : formatRemoval(removal);
  }
  const answer = await askAdmin<HostsAnswer>(socket, "/v1/hosts");
  const hosts = answer.hosts.toSorted((a, b) => compare(a.name ?? a.id, b.name ?? b.id) || compare(a.id, b.id));
  return json ? toJson({ hosts }) : formatHosts(hosts);
}

export const formatHosts = (hosts: readonly HostAnswer[]): string =>
  formatTable(
    ["NAME", "ID", "TUNNEL ADDRESS", "LAST SEEN", "NETWORKS", "ENDPOINTS", "ADDRESSES"],
    hosts.map(({ id, name, address, lastSeen, networks, endpoints, addresses, isThis }) => [
      `${name ?? "-"}${isThis ? " (this host)" : ""}`,
      id,
      address ?? "-",
      lastSeen === null ? "-" : formatTime(lastSeen),
      `${networks}`,
      `${endpoints}`,
      `${addresses}`,
    ]),
  );

export function formatRemoval({ id, name, endpoints, addresses }: HostRemoval): string {
  const called = name === null || name === id ? id : `${name} (${id})`;
  const had = `${endpoints} endpoint${endpoints === 1 ? "" : "s"} and ${addresses} address${addresses === 1 ? "" : "es"}`;
  return `removed host ${printable(called)} with ${had} of shared pools\n`;
}
