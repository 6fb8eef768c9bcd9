import { expect } from "chai";
import { Report, type ReportNeeds } from "../../../src/driver/report.ts";
import type { PublishedPort } from "../../../src/driver/report-answers.ts";
import type { Endpoint } from "../../../src/plan/network.ts";
import type { ObservedCounters } from "../../../src/plan/observed.ts";
import { factsOf, forwardLines } from "../../support/report.ts";
import { endpointOf, idOf, ipv6, mappingOf, networkOf } from "../../support/values.ts";

const web = networkOf({ ipv6 });
const noCounters: ObservedCounters = { elements: {}, proxied: [] };

interface Values {
  readonly endpoints: readonly Endpoint[];
  readonly counters?: ObservedCounters;
  readonly forward?: readonly string[];
}

function reportOf({ endpoints, counters = noCounters, forward = forwardLines() }: Values): Report {
  const facts = factsOf({ networks: [web], endpoints, forward: { "iptables-nft": forward } });
  const { networks, observed, firewall, mark } = facts;
  const state: ReportNeeds["state"] = {
    endpoints: () => endpoints,
    network: (id) => networks.get(id),
    networks: () => networks.values(),
  };
  const kernel: ReportNeeds["kernel"] = {
    observe: async () => observed,
    observeCounters: async () => counters,
  };
  const repairs = () => ({ firewall: { count: 3, lastAt: Date.UTC(2026, 0, 2, 3, 4, 5) } });
  return new Report({ state, kernel, mark, repairs, observeRules: async () => ({ firewall, forward: facts.forward }) });
}

async function portsOf(values: Values): Promise<PublishedPort[]> {
  const ports: PublishedPort[] = [];
  for await (const part of reportOf(values).ports()) ports.push(...part);
  return ports;
}

const server = (ports: Endpoint["ports"], addresses = ["172.18.0.2/16"]): Endpoint => endpointOf({ ports, addresses });

describe("the report of published ports", () => {
  it("adds the connections of a mapping and the packets and bytes of its container port", async () => {
    const counters = {
      elements: {
        port4: { "tcp . 8080": { packets: 3, bytes: 180 }, "tcp . 8081": { packets: 9, bytes: 9 } },
        traffic4: { "172.18.0.2 . tcp . 80": { packets: 40, bytes: 4000 } },
      },
      proxied: [],
    };
    expect(await portsOf({ endpoints: [server([mappingOf()])], counters })).to.deep.equal([
      {
        ...{ protocol: "tcp", hostAddress: "0.0.0.0", hostPort: 8080, count: 1, containerPort: 80 },
        ...{ containerAddress: "172.18.0.2", network: web.id, endpoint: idOf("e1"), servedBy: "kernel" },
        ...{ connections: 3, packets: 40, bytes: 4000 },
      },
    ]);
  });

  it("adds up the ports of a block, of one element or of many", async () => {
    const counters = {
      elements: {
        range4: { "tcp . 9000-9001": { packets: 5, bytes: 0 } },
        port4: { "udp . 7000": { packets: 1, bytes: 0 }, "udp . 7001": { packets: 2, bytes: 0 } },
        traffic4: {
          "172.18.0.2 . tcp . 9000": { packets: 10, bytes: 100 },
          "172.18.0.2 . tcp . 9001": { packets: 20, bytes: 200 },
          "172.18.0.2 . udp . 5001": { packets: 7, bytes: 70 },
        },
      },
      proxied: [],
    };
    const ports = [
      mappingOf({ hostPort: 9000, containerPort: 9000, count: 2 }),
      mappingOf({ protocol: "udp", hostPort: 7000, containerPort: 5000, count: 2 }),
    ];
    const found = await portsOf({ endpoints: [server(ports)], counters });
    expect(found.map(({ connections, packets, bytes }) => [connections, packets, bytes])).to.deep.equal([
      [5, 30, 300],
      [3, 7, 70],
    ]);
  });

  it("says who serves a port, and counts what the proxy has passed on", async () => {
    const proxied = [
      { protocol: "tcp" as const, address: "::", port: 8080, connections: 2, bytes: 50 },
      { protocol: "tcp" as const, address: "::1", port: 8081, connections: 4, bytes: 60 },
    ];
    const elements = {
      port6: { "tcp . 8080": { packets: 1, bytes: 0 } },
      traffic6: { "fd00:18::2 . tcp . 80": { packets: 6, bytes: 600 } },
    };
    const ports = [
      mappingOf({ hostAddress: "::" }),
      mappingOf({ hostAddress: "::1", hostPort: 8081 }),
      mappingOf({ protocol: "sctp", hostAddress: "::1" }),
    ];
    const endpoints = [server(ports, ["172.18.0.2/16", "fd00:18::2/64"]), server(ports.slice(0, 1))];
    const found = await portsOf({ endpoints, counters: { elements, proxied } });
    expect(
      found.map((port) => [port.servedBy, port.containerAddress, port.connections, port.packets, port.bytes]),
    ).to.deep.equal([
      ["both", "fd00:18::2", 3, 6, 650],
      ["proxy", "fd00:18::2", 4, 0, 60],
      ["nobody", "fd00:18::2", 0, 0, 0],
      ["proxy", "172.18.0.2", 2, 0, 50],
    ]);
  });

  it("of 20,000 ports lets others run every few milliseconds", async () => {
    const endpoints = Array.from({ length: 20_000 }, (_, index) =>
      endpointOf({ id: idOf(`e${index}`), ports: [mappingOf({ hostPort: 1 + index })] }),
    );
    let turns = 0;
    const count = (): void => {
      turns++;
      timer = setImmediate(count);
    };
    let timer = setImmediate(count);
    const found = await portsOf({ endpoints });
    clearImmediate(timer);
    expect(found).to.have.length(20_000);
    expect(turns).to.be.greaterThan(5);
  });
});

describe("the report of the firewall", () => {
  it("says what is in place, where, and what was repaired", async () => {
    const answer = await reportOf({ endpoints: [server([mappingOf()])] }).firewall();
    expect(answer.table).to.deep.include({ name: "inet tsnet", state: "in place" });
    expect(answer.table.elements).to.deep.include({ port4: 1, traffic4: 1, bridges: 1 });
    expect(answer.table.chains).to.deep.include({ chain: "forward", hook: "forward", priority: "filter - 5" });
    expect(answer.table.chains.map(({ chain }) => chain)).to.deep.equal([
      "raw",
      "prerouting",
      "output",
      "input",
      "forward",
      "postrouting",
      "unmark",
    ]);
    expect(answer.mark).to.equal("0x01000000");
    expect(answer.repairs).to.deep.equal([{ kind: "firewall", count: 3, last: "2026-01-02T03:04:05.000Z" }]);
    expect(answer.docker).to.deep.equal({ backend: "iptables-nft (chain DOCKER-FORWARD)", bridges: ["docker0"] });
  });

  const rows: [title: string, forward: readonly string[], rule: string, why: string][] = [
    ["in place", forwardLines(), "in place", "the policy of FORWARD is DROP"],
    ["missing", forwardLines([], false), "missing", "the policy of FORWARD is DROP; it is being put there"],
    [
      "behind a drop",
      ["-P FORWARD ACCEPT", "-A FORWARD -j DROP", ...forwardLines().slice(2, 3)],
      "missing",
      "the policy of FORWARD is ACCEPT; it is being put there",
    ],
    [
      "not needed",
      ["-P FORWARD ACCEPT"],
      "not needed",
      "the policy of FORWARD is ACCEPT, and no rule there drops everything",
    ],
  ];
  for (const [title, forward, rule, why] of rows) {
    it(`says of the rule in FORWARD: ${title}`, async () => {
      const answer = await reportOf({ endpoints: [], forward }).firewall();
      expect(answer.forward).to.deep.equal([{ program: "iptables-nft", rule, why }]);
    });
  }
});
