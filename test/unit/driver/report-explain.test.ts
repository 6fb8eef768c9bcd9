import { expect } from "chai";
import type { Explanation } from "../../../src/driver/report-answers.ts";
import { explainPort } from "../../../src/driver/report-explain.ts";
import type { ExplainFacts } from "../../../src/driver/report-origin.ts";
import { parseIp } from "../../../src/net/cidr.ts";
import type { BridgeNetwork } from "../../../src/plan/network.ts";
import { type FactValues, factsOf, forwardLines } from "../../support/report.ts";
import { endpointOf, idOf, ipv6, mappingOf, networkOf, requestedSubnet } from "../../support/values.ts";

/** "192.0.2.9 > 192.0.2.1" */
type Route = string;

function explain(route: Route, facts: ExplainFacts, port = 8080, protocol: "tcp" | "udp" = "tcp"): Explanation[] {
  const [from, to] = route.split(">").map((text) => (text.trim() === "*" ? null : parseIp(text.trim())));
  return [...explainPort({ protocol, port, from: from ?? null, to: to ?? null }, facts).answers];
}

const only = (answers: Explanation[]): Explanation => {
  expect(answers).to.have.length(1);
  return answers[0] as Explanation;
};

const web = networkOf();
const other = networkOf({
  id: idOf("b2"),
  ipv4: [requestedSubnet("172.19.0.0/16", "172.19.0.1/16")],
});
const back = networkOf({
  id: idOf("c3"),
  internal: true,
  ipv4: [requestedSubnet("172.20.0.0/16", "172.20.0.1/16")],
});
const server = endpointOf({ ports: [mappingOf()] });
const neighbor = endpointOf({ id: idOf("e2"), addresses: ["172.18.0.3/16"] });
const stranger = endpointOf({ id: idOf("e3"), network: other.id, addresses: ["172.19.0.2/16"] });
const inside = endpointOf({ id: idOf("e4"), network: back.id, addresses: ["172.20.0.2/16"] });
const all: FactValues = { networks: [web, other, back], endpoints: [server, neighbor, stranger, inside] };

const withWeb = (values: Partial<BridgeNetwork>): FactValues => ({
  ...all,
  networks: [{ ...web, ...values }, other, back],
});
const routed = (values: Partial<BridgeNetwork> = {}): FactValues => ({
  ...all,
  networks: [
    { ...web, ...values, subnets: web.subnets.map((s) => ({ ...s, gatewayMode: "routed" as const })) },
    other,
    back,
  ],
  endpoints: [{ ...server, ports: [], openPorts: [{ protocol: "tcp", port: 80, count: 2 }] }, neighbor, stranger],
});

describe("the explanation of a published port", () => {
  const table: [title: string, route: Route, facts: FactValues, verdict: string, step: string][] = [
    [
      "from outside",
      "198.51.100.7 > 192.0.2.1",
      all,
      "reaches: the container, at 172.18.0.2:80",
      "inet tsnet, map port4: tcp . 8080 : 172.18.0.2 . 80 matches: translated to 172.18.0.2:80, endpoint e10000000000 of network a10000000000",
    ],
    [
      "from anywhere",
      "* > 192.0.2.1",
      all,
      "reaches: the container, at 172.18.0.2:80",
      "iptables-nft, chain FORWARD: tsnet's rule accepts what inet tsnet has accepted and marked",
    ],
    [
      "from the host at 127.0.0.1",
      "127.0.0.1 > 127.0.0.1",
      all,
      "reaches: the container, at 172.18.0.2:80",
      "origin: from 127.0.0.1: this host itself",
    ],
    [
      "from the host's own address",
      "192.0.2.1 > 192.0.2.1",
      all,
      "reaches: the container, at 172.18.0.2:80",
      "inet tsnet, chain output: connections of the host itself are not forwarded: neither tsnet nor Docker's FORWARD filters them",
    ],
    [
      "from outside to the host's loopback",
      "198.51.100.7 > 127.0.0.1",
      all,
      "dropped: only this host itself reaches 127.0.0.1",
      "kernel: a packet to 127.0.0.1 that comes in by a link is not translated, and dropped",
    ],
    [
      "from a container to its loopback",
      "172.19.0.2 > 127.0.0.1",
      all,
      "dropped: only this host itself reaches 127.0.0.1",
      "container: 127.0.0.1 is the container's own loopback there",
    ],
    [
      "from the same network",
      "172.18.0.3 > 192.0.2.1",
      withWeb({ icc: false }),
      "reaches: the container, at 172.18.0.2:80",
      "origin: from 172.18.0.3: a container (endpoint e20000000000) of network a10000000000",
    ],
    [
      "from another network",
      "172.19.0.2 > 192.0.2.1",
      all,
      "reaches: the container, at 172.18.0.2:80",
      "inet tsnet, chain admitted: accepted and marked",
    ],
    [
      "from an internal network",
      "172.20.0.2 > 192.0.2.1",
      all,
      "dropped: by inet tsnet, chain published",
      "inet tsnet, chain published: network c30000000000, where it comes from, is internal: nothing gets out of it",
    ],
    [
      "from Docker's own bridge",
      "172.17.0.2 > 192.0.2.1",
      all,
      "may reach: the container, at 172.18.0.2:80, unless a rule above drops it",
      "origin: from 172.17.0.2: comes in by link docker0, a bridge of Docker's",
    ],
    [
      "from a source that is allowed",
      "198.51.100.7 > 192.0.2.1",
      withWeb({ publishFrom: ["198.51.100.0/24"] }),
      "reaches: the container, at 172.18.0.2:80",
      "inet tsnet, chain admitted: 198.51.100.7 is in tsnet.publish_from of network a10000000000, 198.51.100.0/24: accepted and marked",
    ],
    [
      "from a source that is not",
      "198.51.101.7 > 192.0.2.1",
      withWeb({ publishFrom: ["198.51.100.0/24"] }),
      "dropped: by inet tsnet, chain admitted",
      "inet tsnet, chain admitted: 198.51.101.7 is not in tsnet.publish_from of network a10000000000, 198.51.100.0/24",
    ],
    [
      "from anywhere, with sources",
      "* > 192.0.2.1",
      withWeb({ publishFrom: ["198.51.100.0/24"] }),
      "dropped: by inet tsnet, chain admitted",
      "inet tsnet, chain admitted: tsnet.publish_from of network a10000000000 lets in 198.51.100.0/24 alone; ask with --from",
    ],
    [
      "from the host, with sources",
      "127.0.0.1 > 127.0.0.1",
      withWeb({ publishFrom: ["198.51.100.0/24"] }),
      "reaches: the container, at 172.18.0.2:80",
      "inet tsnet, map port4: tcp . 8080 : 172.18.0.2 . 80 matches: translated to 172.18.0.2:80, endpoint e10000000000 of network a10000000000",
    ],
    [
      "with the policy host",
      "198.51.100.7 > 192.0.2.1",
      withWeb({ publishPolicy: "host" }),
      "may reach: the container, at 172.18.0.2:80, if the host's INPUT lets it in",
      "inet tsnet: no element: it is served by a socket of the plugin on 0.0.0.0:8080 (tsnet.publish_policy=host)",
    ],
    [
      "with the policy host, from the host",
      "127.0.0.1 > 127.0.0.1",
      withWeb({ publishPolicy: "host" }),
      "reaches: the container, at 172.18.0.2:80",
      "tsnet's proxy: passed on to 172.18.0.2:80, endpoint e10000000000 of network a10000000000",
    ],
    [
      "with the policy host, from an internal network",
      "172.20.0.2 > 172.20.0.1",
      withWeb({ publishPolicy: "host" }),
      "dropped: by inet tsnet, chain inside",
      "inet tsnet, chain inside: network c30000000000, where it comes from, is internal: nothing gets out of it",
    ],
    [
      "with the policy host, from a source that is not allowed",
      "198.51.101.7 > 192.0.2.1",
      withWeb({ publishPolicy: "host", publishFrom: ["198.51.100.0/24"] }),
      "dropped: the proxy ends connections from elsewhere",
      "INPUT: the host's own rules decide (iptables INPUT, ufw, firewalld), as for its own services",
    ],
  ];
  for (const [title, route, values, verdict, step] of table) {
    it(`${title}: ${verdict}`, () => {
      const answer = only(explain(route, factsOf(values)));
      expect(`${answer.verdict.result}: ${answer.verdict.why}`).to.equal(verdict);
      expect(answer.steps.map(({ at, text }) => `${at}: ${text}`)).to.include(step);
    });
  }

  it("finds the port in a block, whether its ports are shifted or not", () => {
    const ports = [
      mappingOf({ hostPort: 9000, containerPort: 9000, count: 10 }),
      mappingOf({ hostPort: 7000, containerPort: 5000, count: 10 }),
    ];
    const facts = factsOf({ ...all, endpoints: [{ ...server, ports }] });
    expect(only(explain("* > 192.0.2.1", facts, 9009)).verdict.why).to.equal("the container, at 172.18.0.2:9009");
    expect(only(explain("* > 192.0.2.1", facts, 7003)).verdict.why).to.equal("the container, at 172.18.0.2:5003");
    expect(only(explain("* > 192.0.2.1", facts, 9010)).verdict.result).to.equal("host");
    expect(only(explain("* > 192.0.2.1", facts, 8999)).verdict.result).to.equal("host");
  });

  it("says where a port is published if it is not published here, and who decides then", () => {
    const facts = factsOf({ ...all, endpoints: [{ ...server, ports: [mappingOf({ hostAddress: "127.0.0.1" })] }] });
    const { verdict, steps } = only(explain("198.51.100.7 > 192.0.2.1", facts));
    expect(verdict.result).to.equal("host");
    expect(verdict.why).to.match(/^what listens on the host gets it, .*; or Docker translates it, /);
    expect(steps.map(({ text }) => text)).to.include(
      "it is published on 127.0.0.1:8080 alone, for endpoint e10000000000 of network a10000000000",
    );
    expect(only(explain("198.51.100.7 > 192.0.2.1", factsOf(all), 8080, "udp")).verdict.result).to.equal("host");
  });

  it("asks for every address that the port is published on, if none is named, of the family of the client", () => {
    const dual = { ...web, ...networkOf({ ipv6 }) };
    const addresses = ["172.18.0.2/16", "fd00:18::2/64"];
    const ports = ["0.0.0.0", "::"].map((hostAddress) => mappingOf({ hostAddress }));
    const facts = factsOf({ networks: [dual], endpoints: [{ ...server, addresses, ports }] });
    const targets = (route: Route) => explain(route, facts).map(({ to, verdict }) => `${to} ${verdict.why}`);
    const [v4, v6] = ["192.0.2.1 the container, at 172.18.0.2:80", "2001:db8::1 the container, at [fd00:18::2]:80"];
    expect(targets("*")).to.deep.equal([v4, v6]);
    expect(targets("198.51.100.7")).to.deep.equal([v4]);
    expect(targets("2001:db8:1::7")).to.deep.equal([v6]);
    expect(targets("::1")).to.deep.equal(["::1 the container, at [fd00:18::2]:80"]);
    expect(only(explain("::1", facts)).steps[1]?.at).to.equal("inet tsnet");
    expect(explain("*", factsOf({ ...all, endpoints: [] })).map(({ to }) => to)).to.deep.equal(["192.0.2.1"]);
  });

  it("says that IPv6 for a container without goes through the proxy", () => {
    const facts = factsOf({ ...all, endpoints: [{ ...server, ports: [mappingOf({ hostAddress: "::" })] }] });
    const { verdict, steps } = only(explain("2001:db8:1::7 > 2001:db8::1", facts));
    expect(verdict).to.deep.equal({
      result: "may reach",
      why: "the container, at 172.18.0.2:80, if the host's INPUT lets it in",
    });
    expect(steps.at(-1)?.at).to.equal("tsnet's proxy");
  });

  it("sees an element that is missing in the kernel, or another one, and a table that is gone", () => {
    const seen = (change: NonNullable<FactValues["change"]>) => {
      const { verdict, steps } = only(explain("* > 192.0.2.1", factsOf({ ...all, change })));
      return `${verdict.result}: ${steps.at(-1)?.text}`;
    };
    expect(seen((elements) => ({ ...elements, port4: {} }))).to.equal(
      "dropped: tcp . 8080 : 172.18.0.2 . 80 is missing in the kernel; being repaired",
    );
    expect(seen((elements) => ({ ...elements, port4: { "tcp . 8080": "172.18.0.9 . 80" } }))).to.equal(
      "dropped: tcp . 8080 : 172.18.0.2 . 80 is wanted, 172.18.0.9 . 80 in the kernel; being repaired",
    );
    expect(seen(() => undefined)).to.equal("dropped: the table is missing in the kernel; being repaired");
    const { steps } = only(
      explain("* > 192.0.2.1", factsOf({ ...all, change: (elements) => ({ ...elements, bridges: {} }) })),
    );
    expect(steps).to.deep.include({
      at: "inet tsnet, bridges",
      text: `${web.bridge} is missing in the kernel; being repaired`,
    });
  });

  it("sees that the proxy, where there is one, takes what the kernel does not translate", () => {
    const dual = { ...web, ...networkOf({ ipv6 }) };
    const addresses = ["172.18.0.2/16", "fd00:18::2/64"];
    const endpoints = [{ ...server, addresses, ports: [mappingOf({ hostAddress: "::" })] }];
    const facts = factsOf({ networks: [dual], endpoints, change: () => undefined });
    const { verdict, steps } = only(explain("2001:db8:1::7 > 2001:db8::1", facts));
    expect(verdict.result).to.equal("may reach");
    expect(steps[1]?.text).to.equal("the table is missing in the kernel; being repaired");
    expect(steps.at(-1)?.text).to.match(/^passed on to \[fd00:18::2\]:80,/);
  });

  it("says that nobody reaches an address that the host has lost", () => {
    const ports = ["203.0.113.9", "192.0.2.1"].map((hostAddress) => mappingOf({ hostAddress }));
    const [lost, kept] = explain("*", factsOf({ ...all, endpoints: [{ ...server, ports }] }));
    expect(lost?.verdict).to.deep.equal({ result: "dropped", why: "no link of this host has 203.0.113.9" });
    expect(kept?.verdict.result).to.equal("reaches");
  });

  it("lists what comes before tsnet's rule in DOCKER-USER, and what the verdict depends on then", () => {
    const rules = ["-i eth0 -s 198.51.100.7/32 -j DROP", "-j RETURN"];
    const forward = { "iptables-nft": forwardLines(rules), "ip6tables-nft": forwardLines() };
    const { verdict, steps } = only(explain("198.51.100.7 > 192.0.2.1", factsOf({ ...all, forward })));
    expect(verdict.result).to.equal("may reach");
    expect(steps.at(-2)).to.deep.equal({
      at: "iptables-nft, chain DOCKER-USER",
      text: "these rules come first, and can still drop it:",
      rules: ["-A DOCKER-USER -i eth0 -s 198.51.100.7/32 -j DROP"],
    });
  });

  it("sees that tsnet's rule in FORWARD is missing", () => {
    const forward = { "iptables-nft": forwardLines([], false) };
    const { verdict, steps } = only(explain("* > 192.0.2.1", factsOf({ ...all, forward })));
    expect(verdict.result).to.equal("dropped");
    expect(steps.at(-1)?.text).to.contain("is missing: the policy of FORWARD is DROP; it is being put there");
  });
});

describe("the explanation of a container's own address", () => {
  const table: [title: string, route: Route, port: number, facts: FactValues, verdict: string][] = [
    ["nat, from outside", "198.51.100.7 > 172.18.0.2", 80, all, "dropped: by inet tsnet, map into"],
    ["from the host", "192.0.2.1 > 172.18.0.2", 80, all, "reaches: the container, at 172.18.0.2:80"],
    ["from the same network", "172.18.0.3 > 172.18.0.2", 80, all, "reaches: the container, at 172.18.0.2:80"],
    [
      "from the same network without icc",
      "172.18.0.3 > 172.18.0.2",
      80,
      withWeb({ icc: false }),
      "dropped: by inet tsnet, map between",
    ],
    ["from another network", "172.19.0.2 > 172.18.0.2", 80, all, "dropped: by inet tsnet, map into"],
    ["from an internal network", "172.20.0.2 > 172.18.0.2", 80, routed(), "dropped: by inet tsnet, set internal"],
    ["internal, from outside", "198.51.100.7 > 172.20.0.2", 80, all, "dropped: by inet tsnet, map into"],
    [
      "a published port, by a trusted link",
      "198.51.100.7 > 172.18.0.2",
      81,
      { ...withWeb({ trustedLinks: ["eth0"] }), endpoints: routed().endpoints },
      "reaches: the container, at 172.18.0.2:81",
    ],
    [
      "another port, by a trusted link",
      "198.51.100.7 > 172.18.0.2",
      82,
      { ...withWeb({ trustedLinks: ["eth0"] }), endpoints: routed().endpoints },
      "dropped: by inet tsnet, map into",
    ],
    [
      "nat-unprotected",
      "198.51.100.7 > 172.18.0.2",
      82,
      withWeb({ subnets: web.subnets.map((subnet) => ({ ...subnet, gatewayMode: "nat-unprotected" })) }),
      "reaches: the container, at 172.18.0.2:82",
    ],
    ["routed, an open port", "198.51.100.7 > 172.18.0.2", 81, routed(), "reaches: the container, at 172.18.0.2:81"],
    ["routed, another port", "198.51.100.7 > 172.18.0.2", 82, routed(), "dropped: by inet tsnet, chain routed"],
    [
      "routed, a source that is not allowed",
      "198.51.100.7 > 172.18.0.2",
      80,
      routed({ publishFrom: ["203.0.113.0/24"] }),
      "dropped: by inet tsnet, chain admitted",
    ],
  ];
  for (const [title, route, port, values, verdict] of table) {
    it(`${title}: ${verdict}`, () => {
      const { verdict: said } = only(
        explain(
          route,
          factsOf(values.endpoints.includes(inside) ? values : { ...values, endpoints: [...values.endpoints, inside] }),
          port,
        ),
      );
      expect(`${said.result}: ${said.why}`).to.equal(verdict);
    });
  }

  it("refuses an address that is nobody's here, and two families", () => {
    expect(() => explain("* > 203.0.113.9", factsOf(all))).to.throw(
      "to=203.0.113.9: no link of this host has this address, and no container of tsnet",
    );
    expect(() => explain("::1 > 192.0.2.1", factsOf(all))).to.throw("expected two addresses of one family");
  });
});
