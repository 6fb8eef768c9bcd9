/** Facts for explanations: a host at 192.0.2.1 whose kernel has what the records want. */
import type { ExplainFacts } from "../../src/driver/report-origin.ts";
import { wantedElements } from "../../src/plan/firewall.ts";
import type { BridgeNetwork, Endpoint } from "../../src/plan/network.ts";
import type { Elements, ObservedForward } from "../../src/plan/observed.ts";

const mark = 0x0100_0000;

const mac = "02:00:00:00:00:01";
const link = (index: number, name: string, kind = "") => ({
  ...{ index, name, kind, alias: "", mac, mtuBytes: 1500, up: true, master: 0, group: 0, carrier: true, lower: 0 },
});

/** FORWARD as Docker 28 sets it up, with our rule in its place, and what the user has in DOCKER-USER. */
export const forwardLines = (userRules: readonly string[] = [], ours = true): string[] => [
  "-P FORWARD DROP",
  "-A FORWARD -j DOCKER-USER",
  ...(ours ? ["-A FORWARD -m mark --mark 0x1000000/0x1000000 -m comment --comment tsnet -j ACCEPT"] : []),
  "-A FORWARD -j DOCKER-FORWARD",
  ...userRules.map((rule) => `-A DOCKER-USER ${rule}`),
];

export interface FactValues {
  readonly networks: readonly BridgeNetwork[];
  readonly endpoints: readonly Endpoint[];
  readonly forward?: ObservedForward;
  /** What the kernel has of our table, from what it should have; undefined for no table. */
  readonly change?: (elements: Record<string, Record<string, string>>) => Elements | undefined;
}

export function factsOf({ networks, endpoints, forward, change = (elements) => elements }: FactValues): ExplainFacts {
  const wanted = structuredClone(wantedElements({ networks, endpoints, dockerLinks: ["docker0"] }));
  const elements = change(wanted as Record<string, Record<string, string>>);
  const bridges = networks.map(({ bridge }, index) => link(10 + index, bridge, "bridge"));
  return {
    networks: new Map(networks.map((network) => [network.id, network])),
    endpoints: new Map(endpoints.map((endpoint) => [endpoint.id, endpoint])),
    firewall: elements && { skeleton: "", elements },
    forward: forward ?? { "iptables-nft": forwardLines(), "ip6tables-nft": forwardLines() },
    observed: {
      links: [link(1, "lo"), link(2, "eth0"), link(3, "docker0", "bridge"), ...bridges],
      addresses: [
        { link: 1, address: "127.0.0.1/8" },
        { link: 3, address: "172.17.0.1/16" },
        { link: 2, address: "192.0.2.1/24" },
        { link: 2, address: "2001:db8::1/64" },
        ...networks.flatMap(({ subnets }, index) =>
          subnets.flatMap(({ gateway }) => (gateway === null ? [] : [{ link: 10 + index, address: gateway }])),
        ),
      ],
      routes: [
        { destination: "0.0.0.0/0", link: 2, table: 254, protocol: 3, source: "" },
        { destination: "192.0.2.0/24", link: 2, table: 254, protocol: 2, source: "" },
        { destination: "172.17.0.0/16", link: 3, table: 254, protocol: 2, source: "" },
        { destination: "2001:db8::/64", link: 2, table: 254, protocol: 2, source: "" },
        ...networks.flatMap(({ subnets }, index) =>
          subnets.map(({ pool }) => ({ destination: pool, link: 10 + index, table: 254, protocol: 2, source: "" })),
        ),
      ],
      neighbors: [],
    },
    mark,
  };
}
