import { expect } from "chai";
import { bySet, diffElements, type Element } from "../../../src/plan/elements.ts";
import {
  multihomedElements,
  networkElements,
  openElements,
  portElements,
  wantedElements,
} from "../../../src/plan/firewall.ts";
import type { PortMapping } from "../../../src/plan/network.ts";
import { bridgeKey, endpointOf, idOf, ipv6, mappingOf, networkOf, requestedSubnet } from "../../support/values.ts";

const trustedKey = bridgeKey("trusted_host_interfaces");
const bridge = "tsb-a1000000000";
const plain = (elements: readonly Element[]): object => JSON.parse(JSON.stringify(bySet(elements)));

describe("the firewall's elements of a network", () => {
  const base = {
    bridges: { [bridge]: "" },
    into: { [`ipv4 . ${bridge}`]: "drop", [`ipv6 . ${bridge}`]: "drop" },
    between: { [`${bridge} . ${bridge}`]: "goto pass" },
    own4: { [`${bridge} . 172.18.0.0/16`]: "" },
  };
  const own6 = { own6: { [`${bridge} . fd00:18::/64`]: "" } };
  const masq = { masq4: { "172.18.0.0/16": "" }, masq6: { "fd00:18::/64": "" } };
  const elementsOf = (options: Record<string, string>, more = {}): object =>
    plain(networkElements(networkOf({ options, ipv6, ...more })));

  it("let it out, masqueraded, its containers talk to each other, and nobody in", () => {
    expect(plain(networkElements(networkOf()))).to.deep.equal({ ...base, masq4: masq.masq4 });
  });

  it("are of both families where it has both", () => {
    expect(elementsOf({})).to.deep.equal({ ...base, ...own6, ...masq });
  });

  it("drop between its containers without icc", () => {
    const between = { [`${bridge} . ${bridge}`]: "drop" };
    expect(elementsOf({ [bridgeKey("enable_icc")]: "false" })).to.deep.equal({ ...base, ...own6, ...masq, between });
  });

  it("name the source address of what leaves", () => {
    const options = { "com.docker.network.host_ipv4": "192.0.2.1", "com.docker.network.host_ipv6": "2001:db8::1" };
    const snat4 = { "172.18.0.0/16": "192.0.2.1" };
    const snat6 = { "fd00:18::/64": "2001:db8::1" };
    expect(elementsOf(options)).to.deep.equal({ ...base, ...own6, ...masq, snat4, snat6 });
  });

  it("name each of several subnets, and the bridge once", () => {
    const ipv4 = [requestedSubnet("172.18.0.0/16", "172.18.0.1/16"), requestedSubnet("10.0.0.0/24", "10.0.0.1/24")];
    const options = {
      "com.docker.network.host_ipv4": "192.0.2.1",
      [bridgeKey("gateway_mode_ipv4")]: "nat-unprotected",
    };
    expect(plain(networkElements(networkOf({ ipv4, options })))).to.deep.equal({
      ...base,
      into: { ...base.into, [`ipv4 . ${bridge}`]: "goto unprotected" },
      own4: { ...base.own4, [`${bridge} . 10.0.0.0/24`]: "" },
      masq4: { "172.18.0.0/16": "", "10.0.0.0/24": "" },
      snat4: { "172.18.0.0/16": "192.0.2.1", "10.0.0.0/24": "192.0.2.1" },
    });
  });

  it("leave addresses alone where masquerading is off", () => {
    const options = { [bridgeKey("enable_ip_masquerade")]: "false", "com.docker.network.host_ipv4": "192.0.2.1" };
    expect(elementsOf(options)).to.deep.equal({ ...base, ...own6 });
  });

  const modes: [mode4: string, mode6: string, into4: string, into6: string, masqueraded: object][] = [
    ["nat", "nat", "drop", "drop", masq],
    ["nat-unprotected", "nat", "goto unprotected", "drop", masq],
    ["nat", "nat-unprotected", "drop", "goto unprotected", masq],
    ["routed", "nat", "goto routed", "drop", { masq6: masq.masq6 }],
    ["nat-unprotected", "routed", "goto unprotected", "goto routed", { masq4: masq.masq4 }],
    ["routed", "routed", "goto routed", "goto routed", {}],
  ];
  for (const [mode4, mode6, into4, into6, masqueraded] of modes) {
    it(`follow the gateway mode of each family: ${mode4} and ${mode6}`, () => {
      const options = { [bridgeKey("gateway_mode_ipv4")]: mode4, [bridgeKey("gateway_mode_ipv6")]: mode6 };
      const into = { [`ipv4 . ${bridge}`]: into4, [`ipv6 . ${bridge}`]: into6 };
      expect(elementsOf(options)).to.deep.equal({ ...base, ...own6, ...masqueraded, into });
    });
  }

  for (const mode of ["nat", "nat-unprotected", "routed", "isolated"]) {
    it(`keep an internal network in, whatever its gateway mode, and translate nothing: ${mode}`, () => {
      const options = {
        [bridgeKey("gateway_mode_ipv4")]: mode,
        [bridgeKey("gateway_mode_ipv6")]: mode,
        "com.docker.network.host_ipv4": "192.0.2.1",
      };
      const internal = { [bridge]: "" };
      expect(elementsOf(options, { internal: true })).to.deep.equal({ ...base, ...own6, internal });
    });
  }

  it("name the links that are trusted", () => {
    const { trusted } = bySet(networkElements(networkOf({ options: { [trustedKey]: "eth1:wg0" } })));
    expect({ ...trusted }).to.deep.equal({ [`eth1 . ${bridge}`]: "", [`wg0 . ${bridge}`]: "" });
  });

  it("name the only sources of published ports, single addresses as nft lists them", () => {
    const options = { "tsnet.publish_from": "10.0.0.0/8,192.0.2.1,fd00::/8,2001:db8::1" };
    expect(plain(networkElements(networkOf({ options })))).to.deep.equal({
      ...{ ...base, masq4: masq.masq4, restricted: { [bridge]: "" } },
      sources4: { [`${bridge} . 10.0.0.0/8`]: "", [`${bridge} . 192.0.2.1`]: "" },
      sources6: { [`${bridge} . fd00::/8`]: "", [`${bridge} . 2001:db8::1`]: "" },
    });
  });
});

describe("the firewall's elements of a published port", () => {
  const addresses = ["172.18.0.2/16", "fd00:18::2/64"];
  const network = networkOf({ ipv6 });
  const hostPolicy = networkOf({ ipv6, options: { "tsnet.publish_policy": "host" } });
  const ofPorts = (...ports: PortMapping[]): object => plain(portElements({ addresses, ports }, network));
  const ofPort = (hostAddress: string, values: Partial<PortMapping> = {}): object =>
    ofPorts(mappingOf({ hostAddress, ...values }));
  const traffic4 = { "172.18.0.2 . tcp . 80": "" };
  const traffic6 = { "fd00:18::2 . tcp . 80": "" };

  it("are of the family of the host address", () => {
    expect(ofPort("0.0.0.0")).to.deep.equal({ port4: { "tcp . 8080": "172.18.0.2 . 80" }, traffic4 });
    const proxied = { "ipv6 . tcp . 8080": "" };
    expect(ofPort("::")).to.deep.equal({ port6: { "tcp . 8080": "fd00:18::2 . 80" }, traffic6, proxied });
  });

  it("name the one address of the host", () => {
    const bound4 = { "192.0.2.1 . tcp . 8080": "172.18.0.2 . 80" };
    const bound6 = { "2001:db8::1 . tcp . 8080": "fd00:18::2 . 80" };
    expect(ofPort("192.0.2.1")).to.deep.equal({ bound4, traffic4 });
    expect(ofPort("2001:db8::1")).to.deep.equal({ bound6, traffic6 });
  });

  it("tell protocols apart", () => {
    const ports = (["tcp", "udp", "sctp"] as const).map((protocol) => mappingOf({ protocol }));
    const { port4 } = bySet(portElements({ addresses, ports }, network));
    expect(Object.keys(port4 ?? {})).to.deep.equal(["tcp . 8080", "udp . 8080", "sctp . 8080"]);
  });

  it("are one interval for a block that keeps its numbers, but for the traffic", () => {
    const block = { hostPort: 8000, containerPort: 8000, count: 3 };
    const counted = (address: string): object =>
      Object.fromEntries([8000, 8001, 8002].map((port) => [`${address} . tcp . ${port}`, ""]));
    expect(ofPort("0.0.0.0", block)).to.deep.equal({
      range4: { "tcp . 8000-8002": "172.18.0.2" },
      traffic4: counted("172.18.0.2"),
    });
    expect(ofPort("2001:db8::1", block)).to.deep.equal({
      boundrange6: { "2001:db8::1 . tcp . 8000-8002": "fd00:18::2" },
      traffic6: counted("fd00:18::2"),
    });
  });

  it("are one a port for a block that does not", () => {
    expect(ofPort("0.0.0.0", { hostPort: 8000, containerPort: 80, count: 2 })).to.deep.equal({
      port4: { "tcp . 8000": "172.18.0.2 . 80", "tcp . 8001": "172.18.0.2 . 81" },
      traffic4: { ...traffic4, "172.18.0.2 . tcp . 81": "" },
    });
  });

  it("name what is published on the host's loopback, however it is served", () => {
    const loopback4 = { "127.0.0.1 . tcp . 8080": "" };
    const bound4 = { "127.0.0.1 . tcp . 8080": "172.18.0.2 . 80" };
    expect(ofPort("127.0.0.1")).to.deep.equal({ loopback4, bound4, traffic4 });
    const ports = [mappingOf({ hostAddress: "127.0.0.2", count: 5 })];
    const { loopback4: proxied } = bySet(portElements({ addresses, ports }, hostPolicy));
    expect({ ...proxied }).to.deep.equal({ "127.0.0.2 . tcp . 8080-8084": "" });
  });

  it("name what a socket passes on, port by port, instead of translating it", () => {
    const only4 = { addresses: ["172.18.0.2/16"], ports: [mappingOf({ hostAddress: "::", count: 2 })] };
    const proxied = { "ipv6 . tcp . 8080": "", "ipv6 . tcp . 8081": "" };
    expect(plain(portElements(only4, network))).to.deep.equal({ proxied });
    const ports = ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1"].map((hostAddress) =>
      mappingOf({ hostAddress, protocol: "udp" }),
    );
    expect(plain(portElements({ addresses, ports }, hostPolicy))).to.deep.equal({
      proxied: { "ipv4 . udp . 8080": "", "ipv6 . udp . 8080": "" },
      proxied4: { "192.0.2.1 . udp . 8080": "" },
      proxied6: { "2001:db8::1 . udp . 8080": "" },
    });
  });

  it("are none for what nobody serves", () => {
    expect(ofPorts(mappingOf({ hostAddress: "::1", protocol: "sctp" }))).to.deep.equal({});
    const only6 = { addresses: ["fd00:18::2/64"], ports: [mappingOf({ hostAddress: "192.0.2.1" })] };
    expect(portElements(only6, network)).to.deep.equal([]);
  });

  it("that two ports share stay when one of them goes", () => {
    const [one, two] = [mappingOf(), mappingOf({ hostPort: 8081 })];
    const of = (...ports: PortMapping[]) => bySet(portElements({ addresses, ports }, network));
    expect(diffElements(of(two), of(one, two))).to.deep.equal({
      add: [],
      remove: [["port4", "tcp . 8080", "172.18.0.2 . 80"]],
    });
    expect(diffElements(of(), of(two)).remove.map(([set]) => set)).to.deep.equal(["port4", "traffic4"]);
  });
});

describe("the firewall's elements of open ports", () => {
  const endpoint = endpointOf({
    addresses: ["172.18.0.2/16", "fd00:18::2/64"],
    openPorts: [
      { protocol: "tcp", port: 80, count: 1 },
      { protocol: "udp", port: 5000, count: 10 },
    ],
  });
  const of = (mode4: string, mode6: string, internal = false): object => {
    const options = { [bridgeKey("gateway_mode_ipv4")]: mode4, [bridgeKey("gateway_mode_ipv6")]: mode6 };
    return plain(openElements(endpoint, networkOf({ ipv6, options, internal })));
  };
  const open4 = { "172.18.0.2 . tcp . 80": "", "172.18.0.2 . udp . 5000-5009": "" };
  const open6 = { "fd00:18::2 . tcp . 80": "", "fd00:18::2 . udp . 5000-5009": "" };

  it("are those of the routed families", () => {
    expect(of("routed", "routed")).to.deep.equal({ open4, open6 });
    expect(of("nat", "routed")).to.deep.equal({ open6 });
    expect(of("routed", "nat-unprotected")).to.deep.equal({ open4 });
    expect(of("nat", "nat")).to.deep.equal({});
    expect(of("routed", "routed", true)).to.deep.equal({});
  });
});

describe("containers on several networks", () => {
  const first = endpointOf({ sandbox: "/run/x" });
  const second = endpointOf({
    id: idOf("e2"),
    network: idOf("b2"),
    addresses: ["10.0.0.2/8", "fd00:b2::2/64"],
    sandbox: "/run/x",
  });

  it("are listed with all their addresses, those on one network and those without a sandbox are not", () => {
    const alone = endpointOf({ id: idOf("e3"), sandbox: "/run/y" });
    const apart = [endpointOf({ id: idOf("e4") }), endpointOf({ id: idOf("e5") })];
    expect(plain(multihomedElements([first, second, alone, ...apart]))).to.deep.equal({
      multihomed4: { "172.18.0.2": "", "10.0.0.2": "" },
      multihomed6: { "fd00:b2::2": "" },
    });
  });

  it("are part of everything that is wanted, next to networks, ports and Docker's bridges", () => {
    const wanted = wantedElements({
      networks: [networkOf()],
      endpoints: [{ ...first, ports: [mappingOf()] }, second],
      dockerLinks: ["docker0"],
    });
    const sets = [
      "between",
      "bridges",
      "docker_links",
      "into",
      "masq4",
      "multihomed4",
      "multihomed6",
      "own4",
      "port4",
      "traffic4",
    ];
    expect(Object.keys(wanted).toSorted()).to.deep.equal(sets);
  });

  it("have no ports while their network is being removed", () => {
    const endpoints = [{ ...first, ports: [mappingOf()] }];
    expect(wantedElements({ networks: [], endpoints, dockerLinks: [] })).to.deep.equal({});
  });
});
