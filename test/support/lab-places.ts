/** Who is where in an overlay network: as Docker says it, and as each host's kernel has it. */
import type { Host } from "./host.ts";
import type { Lab } from "./lab.ts";
import { until } from "./poll.ts";

/** "10.5.0.64 is 02:42:0a:05:00:40 at 192.168.77.1", in order. */
export type Places = readonly string[];

/** Links and namespace of a network on a host. */
export interface NetworkNames {
  readonly namespace: string;
  readonly bridge: string;
  readonly vxlan: string;
}

export async function namesOf(host: Host, network: string): Promise<NetworkNames> {
  const id = (await host.docker("network", "inspect", "-f", "{{.Id}}", network)).slice(0, 11);
  return { namespace: `tsnet-${id}`, bridge: `tsb-${id}`, vxlan: `tsx-${id}` };
}

/** As the kernel of a host has it, which has containers of the network. */
export async function vniOf(host: Host, network: string): Promise<number> {
  const { namespace, vxlan } = await namesOf(host, network);
  const [link] = JSON.parse(await host.sh(`ip -j -d -n ${namespace} link show dev ${vxlan}`));
  return link.linkinfo.info_data.id;
}

/** As all hosts' Dockers say it together. */
export async function placesOfDocker(lab: Pick<Lab, "hosts">, network: string): Promise<Places> {
  const places: string[] = [];
  for (const host of lab.hosts) {
    const { Containers } = await host.dockerd.api("GET", `/networks/${network}`);
    for (const { IPv4Address, IPv6Address, MacAddress } of Object.values<Record<string, string>>(Containers)) {
      for (const address of [IPv4Address, IPv6Address]) {
        if (address) places.push(`${address.split("/")[0]} is ${MacAddress} at ${host.ipv4}`);
      }
    }
  }
  return places.sort();
}

interface ForwardingEntry {
  readonly mac: string;
  readonly ifname: string;
  readonly dst?: string;
  readonly master?: string;
  readonly state?: string;
}

interface Neighbor {
  readonly dst: string;
  readonly lladdr?: string;
  readonly state: readonly string[];
}

/** As the kernel of a host has it, which has containers of the network. Without the gateway. */
export async function placesOnHost(host: Host, network: string): Promise<Places> {
  const { namespace, bridge, vxlan } = await namesOf(host, network);
  const script = `bridge -j -n ${namespace} fdb show && echo && ip -j -n ${namespace} neigh show dev ${bridge}`;
  const [fdb = "", neighbors = ""] = (await host.sh(script)).split("\n").filter((line) => line.trim() !== "");
  const entries: ForwardingEntry[] = JSON.parse(fdb);
  const ports = new Map(entries.filter(isStatic(bridge)).map(({ mac, ifname }) => [mac, ifname]));
  const far = new Map(entries.filter(({ ifname, dst }) => ifname === vxlan && dst).map(({ mac, dst }) => [mac, dst]));
  const where = (mac: string): string => {
    const port = ports.get(mac) ?? "no port";
    if (port.startsWith("tsv-")) return host.ipv4;
    return port === vxlan ? (far.get(mac) ?? `no host behind ${vxlan}`) : port;
  };
  const known: Neighbor[] = JSON.parse(neighbors || "[]");
  return known
    .filter(({ state, lladdr }) => state.includes("PERMANENT") && lladdr !== undefined)
    .map(({ dst, lladdr = "" }) => `${dst} is ${lladdr} at ${where(lladdr)}`)
    .filter((line) => !line.includes(" at tsu-"))
    .sort();
}

const isStatic =
  (bridge: string) =>
  ({ master, state }: ForwardingEntry): boolean =>
    master === bridge && state === "static";

/**
 * Waits until the kernels of all hosts that have containers of a network have the places that the Dockers say.
 * @throws Error after the deadline, with what is too much and what is missing on each host
 */
export async function allAgree(lab: Pick<Lab, "hosts">, network: string, deadlineMs = 5_000): Promise<void> {
  const wanted = await placesOfDocker(lab, network);
  for (const host of lab.hosts.filter(({ ipv4 }) => wanted.some((line) => line.endsWith(` at ${ipv4}`)))) {
    await agrees(host, network, wanted, deadlineMs);
  }
}

/** The same for one host. */
export async function agrees(host: Host, network: string, wanted: Places, deadlineMs: number): Promise<void> {
  let found: Places = [];
  const same = until(`host ${host.number} knows who is where`, deadlineMs, async () => {
    found = await placesOnHost(host, network);
    return `${found}` === `${wanted}`;
  });
  await same.catch((cause: Error) => {
    const missing = wanted.filter((line) => !found.includes(line)).map((line) => `- ${line}`);
    const extra = found.filter((line) => !wanted.includes(line)).map((line) => `+ ${line}`);
    throw new Error(`${cause.message}:\n${[...missing, ...extra].join("\n")}`, { cause: cause.cause });
  });
}
