import { expect } from "chai";
import type { GatewayMode } from "../../../src/plan/network.ts";
import { FirewallLab } from "../../support/firewall-lab.ts";
import { bridgeKey, endpointOf, idOf, networkOf, requestedSubnet } from "../../support/values.ts";

type Family = 4 | 6;
type Net = "nat" | "unprotected" | "routed" | "mixed" | "internal";
const numbers: Readonly<Record<Net, number>> = { nat: 1, unprotected: 2, routed: 3, mixed: 4, internal: 5 };
const prefix4 = (net: Net): string => `10.${numbers[net]}.0`;
const prefix6 = (net: Net): string => `fd00:${numbers[net]}:`;
const addressOf = (net: Net, family: Family): string => (family === 4 ? `${prefix4(net)}.2` : `${prefix6(net)}:2`);

const modes: Readonly<Record<Net, readonly [GatewayMode, GatewayMode]>> = {
  nat: ["nat", "nat"],
  unprotected: ["nat-unprotected", "nat-unprotected"],
  routed: ["routed", "routed"],
  mixed: ["routed", "nat"],
  internal: ["routed", "nat-unprotected"],
};
const openPort = 80;
const otherPort = 81;

function addNetwork(lab: FirewallLab, net: Net): void {
  const id = idOf(`b${numbers[net]}`);
  const options = {
    [bridgeKey("gateway_mode_ipv4")]: modes[net][0],
    [bridgeKey("gateway_mode_ipv6")]: modes[net][1],
  };
  const ipv4 = [requestedSubnet(`${prefix4(net)}.0/24`, `${prefix4(net)}.1/24`)];
  const ipv6 = [requestedSubnet(`${prefix6(net)}:/64`, `${prefix6(net)}:1/64`)];
  lab.addNetwork(networkOf({ id, internal: net === "internal", options, ipv4, ipv6 }));
  const addresses = [`${addressOf(net, 4)}/24`, `${addressOf(net, 6)}/64`];
  const openPorts = [{ protocol: "tcp" as const, port: openPort, count: 1 }];
  const endpoint = endpointOf({ id: idOf(`e${numbers[net]}`), network: id, addresses, openPorts });
  lab.addContainer(net, endpoint, [openPort, otherPort]);
}

/** What reaches a container's own address: the open port, another port, an echo request. */
type Seen = readonly [open: boolean, other: boolean, ping: boolean];
const all: Seen = [true, true, true];
const openOnly: Seen = [true, false, true];
const nothing: Seen = [false, false, false];
type Case = [origin: string, net: Net, family: Family, seen: Seen];

describe("a container's own address, by the gateway mode of its family", () => {
  let lab: FirewallLab;
  const looked = new Map<unknown, Promise<Seen>>();
  before(async () => {
    lab = new FirewallLab();
    lab.addNeighbor("outside", "192.0.2", "2001:db8:2", [7]);
    lab.addDocker("docker", "docker-int");
    for (const net of Object.keys(numbers) as Net[]) addNetwork(lab, net);
    await lab.start();
    // all at once: what is dropped takes a while to be seen
    for (const one of cases) looked.set(one, look(one));
  });
  after(() => lab[Symbol.asyncDispose]());

  const look = async ([origin, net, family, seen]: Case): Promise<Seen> => {
    const address = addressOf(net, family);
    const agent = lab.agent(origin);
    const [open, other, ping] = await Promise.all([
      agent.ask("tcp", address, openPort, seen[0]),
      agent.ask("tcp", address, otherPort, seen[1]),
      agent.ask("ping", address, 0, seen[2]),
    ]);
    return [open.endsWith(" 80"), other.endsWith(" 81"), ping === "pong"];
  };

  const cases: Case[] = [
    ...(["outside", "unprotected"] as const).flatMap((origin): Case[] => [
      [origin, "nat", 4, nothing],
      [origin, "nat", 6, nothing],
      [origin, "routed", 4, openOnly],
      [origin, "routed", 6, openOnly],
      [origin, "mixed", 4, openOnly],
      [origin, "mixed", 6, nothing],
      [origin, "internal", 4, nothing],
      [origin, "internal", 6, nothing],
    ]),
    ["outside", "unprotected", 4, all],
    ["outside", "unprotected", 6, all],
    ["nat", "unprotected", 4, all],
    ["nat", "unprotected", 6, all],
    ["docker", "nat", 4, nothing],
    ["docker", "unprotected", 4, all],
    ["docker", "routed", 4, openOnly],
    ["docker", "internal", 4, nothing],
    ["docker-int", "unprotected", 4, nothing],
    ["docker-int", "routed", 4, nothing],
    ["internal", "unprotected", 4, nothing],
    ["internal", "routed", 4, nothing],
    ["internal", "unprotected", 6, nothing],
    ["internal", "routed", 6, nothing],
    ["host", "nat", 4, all],
    ["host", "nat", 6, all],
    ["host", "internal", 4, all],
  ];
  for (const one of cases) {
    const [origin, net, family, seen] = one;
    it(`from ${origin}, network ${net}, IPv${family}: open port, other port, ping: ${seen.join(", ")}`, async () => {
      expect(await looked.get(one)).to.deep.equal(seen);
    });
  }

  const outgoing: [net: Net, family: Family, source: string][] = [
    ["nat", 4, "192.0.2.1"],
    ["nat", 6, "2001:db8:2::1"],
    ["unprotected", 4, "192.0.2.1"],
    ["routed", 4, addressOf("routed", 4)],
    ["routed", 6, addressOf("routed", 6)],
    ["mixed", 4, addressOf("mixed", 4)],
    ["mixed", 6, "2001:db8:2::1"],
    ["internal", 4, "silence"],
    ["internal", 6, "silence"],
  ];
  for (const [net, family, source] of outgoing) {
    it(`of network ${net}, IPv${family}, is seen outside as ${source}`, async () => {
      const address = family === 4 ? "192.0.2.2" : "2001:db8:2::2";
      const asked = (["tcp", "udp"] as const).map((how) => lab.agent(net).ask(how, address, 7, source !== "silence"));
      const answers = await Promise.all(asked);
      const seen = source === "silence" ? source : `${source} 7`;
      expect(answers).to.deep.equal([seen, seen]);
    });
  }

  it("lets no container of ours reach one of Docker's", async () => {
    const origins = ["nat", "unprotected", "routed"] as const;
    const targets = ["172.17.0.2", "172.19.0.2"];
    const asked = origins.flatMap((origin) =>
      targets.map((address) => lab.agent(origin).ask("tcp", address, 80, false)),
    );
    expect(new Set(await Promise.all(asked))).to.deep.equal(new Set(["silence"]));
    expect(await lab.agent("host").ask("tcp", "172.17.0.2", 80, true)).to.equal("172.17.0.1 80");
  });
});
