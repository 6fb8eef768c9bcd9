/** What somebody, or something, can do to the tables of an overlay network on a host. */
import type { Container } from "./container.ts";
import type { Host } from "./host.ts";
import { namesOf } from "./lab-places.ts";

export interface Damage {
  readonly what: string;
  /** A shell script on the host. */
  readonly script: string;
}

export interface DamageTargets {
  readonly host: Host;
  readonly network: string;
  /** On the host: one that talks, and one that must get nothing of it. */
  readonly local: Container;
  readonly other: Container;
  /** On another host: whom `local` talks to. */
  readonly remote: Container;
  /** A third one, with the network. */
  readonly wrongHost: Host;
}

/** Each is complete in itself, and is wrong until somebody repairs it. */
export async function damages({ host, network, local, other, remote, wrongHost }: DamageTargets): Promise<Damage[]> {
  const { namespace, bridge, vxlan } = await namesOf(host, network);
  const [fdb, ip] = [`bridge -n ${namespace} fdb`, `ip -n ${namespace}`];
  const [here, beside, there] = await Promise.all([local, other, remote].map((one) => one.endpoint(network)));
  const [herePort, otherPort] = [portOf(here.EndpointID), portOf(beside.EndpointID)];
  const { MacAddress: mac, IPAddress: ipv4, GlobalIPv6Address: ipv6 } = there;
  return [
    { what: "the tunnel's entry is removed", script: `${fdb} del ${mac} dev ${vxlan} self` },
    { what: "the bridge's entry is removed", script: `${fdb} del ${mac} dev ${vxlan} master` },
    { what: "the neighbor is removed", script: `${ip} neigh del ${ipv4} dev ${bridge}` },
    {
      what: "the tunnel's entry leads to another host",
      script: `${fdb} replace ${mac} dev ${vxlan} dst ${wrongHost.ipv4} self permanent`,
    },
    {
      what: "the bridge's entry leads to another container",
      script: `${fdb} replace ${mac} dev ${otherPort} master static sticky`,
    },
    {
      what: "the neighbor has another container's MAC address",
      script: `${ip} neigh replace ${ipv4} lladdr ${beside.MacAddress} dev ${bridge} nud permanent`,
    },
    {
      what: "the neighbor has a MAC address that nobody has, by IPv6",
      script: `${ip} neigh replace ${ipv6} lladdr 02:00:00:00:00:99 dev ${bridge} nud permanent`,
    },
    {
      what: "a container's own entry leads to the tunnel",
      script: `${fdb} replace ${here.MacAddress} dev ${vxlan} master static sticky`,
    },
    { what: "a container's own entry is removed", script: `${fdb} del ${here.MacAddress} dev ${herePort} master` },
    { what: "the VXLAN link is deleted", script: `${ip} link del ${vxlan}` },
  ];
}

const portOf = (endpointId: string): string => `tsv-${endpointId.slice(0, 11)}`;
