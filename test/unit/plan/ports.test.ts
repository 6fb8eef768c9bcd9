import { expect } from "chai";
import fc from "fast-check";
import type { BridgeNetwork, GatewayMode } from "../../../src/plan/network.ts";
import {
  type PortBinding,
  type PortOwner,
  planPorts,
  publishedAt,
  satisfies,
  serving,
} from "../../../src/plan/ports.ts";
import { bindingOf, endpointOf, ipv6, mappingOf, networkOf } from "../../support/values.ts";

const v4 = "172.18.0.2/16";
const v6 = "fd00:18::2/64";
const addressesOf = { 4: [v4], 6: [v6], 46: [v4, v6], 64: [v6, v4] };
type Has = keyof typeof addressesOf;

const network = (
  values: Partial<BridgeNetwork> = {},
  modes: readonly GatewayMode[] = ["nat", "nat"],
): BridgeNetwork => {
  const made = networkOf({ ipv6 });
  const subnets = made.subnets.map((subnet, index) => ({ ...subnet, gatewayMode: modes[index] ?? "nat" }));
  return { ...made, subnets, ...values };
};

describe("a published port is served", () => {
  type Case = [
    hostAddress: string,
    has: Has,
    policy: BridgeNetwork["publishPolicy"],
    element: boolean,
    target: string | null,
  ];
  const cases: Case[] = [
    ["0.0.0.0", 4, "docker", true, null],
    ["0.0.0.0", 46, "docker", true, null],
    ["0.0.0.0", 6, "docker", false, null],
    ["10.0.0.5", 64, "docker", true, null],
    ["127.0.0.1", 4, "docker", true, null],
    ["0.0.0.0", 46, "host", false, "172.18.0.2"],
    ["10.0.0.5", 4, "host", false, "172.18.0.2"],
    ["0.0.0.0", 6, "host", false, null],
    ["::1", 46, "docker", false, "fd00:18::2"],
    ["::1", 6, "host", false, "fd00:18::2"],
    ["::1", 4, "docker", false, "172.18.0.2"],
    ["::", 46, "docker", true, "fd00:18::2"],
    ["::", 64, "docker", true, "fd00:18::2"],
    ["::", 6, "docker", true, "fd00:18::2"],
    ["::", 4, "docker", false, "172.18.0.2"],
    ["::", 46, "host", false, "fd00:18::2"],
    ["::", 4, "host", false, "172.18.0.2"],
    ["2001:db8::5", 46, "docker", true, null],
    ["2001:db8::5", 6, "host", false, "fd00:18::2"],
    ["2001:db8::5", 4, "docker", false, "172.18.0.2"],
    ["2001:db8::5", 4, "host", false, "172.18.0.2"],
  ];
  for (const [hostAddress, has, publishPolicy, element, address] of cases) {
    const by = [...(element ? ["the kernel"] : []), ...(address === null ? [] : [`a socket to ${address}`])].join(
      " and ",
    );
    it(`on ${hostAddress} for IPv${[...`${has}`].join(" and ")}, policy ${publishPolicy}, by ${by || "nobody"}`, () => {
      const target = address === null ? null : { address, port: 81 };
      const mapping = mappingOf({ hostAddress, containerPort: 81 });
      const endpoint = { addresses: addressesOf[has] };
      expect(serving(mapping, endpoint, { publishPolicy })).to.deep.equal({ element, target });
      expect(serving({ ...mapping, protocol: "udp" }, endpoint, { publishPolicy })).to.deep.equal({ element, target });
      const sctp = serving({ ...mapping, protocol: "sctp" }, endpoint, { publishPolicy });
      expect(sctp).to.deep.equal({ element, target: null });
    });
  }
});

describe("a binding is published", () => {
  const at = (binding: Partial<PortBinding>, has: Has, owner: Partial<PortOwner> = {}): string[] | string => {
    const defaults = {
      endpoint: { addresses: addressesOf[has] },
      network: network(),
      noProxy6To4: false,
      hasIpv6: true,
    };
    try {
      return publishedAt(bindingOf(8080, binding), { ...defaults, ...owner });
    } catch (error) {
      return (error as Error).message;
    }
  };
  const cases: [what: string, hostAddress: string, has: Has, owner: Partial<PortOwner>, expected: string[]][] = [
    ["in both families, for both", "", 46, {}, ["0.0.0.0", "::"]],
    ["in both families, for IPv4 alone", "", 4, {}, ["0.0.0.0", "::"]],
    ["on IPv6, for IPv6 alone", "", 6, {}, ["::"]],
    ["on IPv4, where another endpoint has IPv6", "", 4, { noProxy6To4: true }, ["0.0.0.0"]],
    ["on IPv4, where the host has no IPv6", "", 4, { hasIpv6: false }, ["0.0.0.0"]],
    ["on IPv6, although another endpoint has it too", "", 6, { noProxy6To4: true }, ["::"]],
    ["at the network's address", "", 46, { network: network({ hostBinding: "127.0.0.1" }) }, ["127.0.0.1"]],
    [
      "nowhere, for IPv6 at the network's address of IPv4",
      "",
      6,
      { network: network({ hostBinding: "127.0.0.1" }) },
      [],
    ],
    [
      "at its address, whatever the network's",
      "10.0.0.5",
      4,
      { network: network({ hostBinding: "::" }) },
      ["10.0.0.5"],
    ],
    ["on ::1, for IPv4", "::1", 4, {}, ["::1"]],
    ["on ::1, for IPv4, whether or not the host has IPv6: who asks is told", "::1", 4, { hasIpv6: false }, ["::1"]],
    ["not on ::1, for IPv4, where another endpoint has IPv6", "::1", 4, { noProxy6To4: true }, []],
    ["not on 127.0.0.1, for IPv6", "127.0.0.1", 6, {}, []],
    ["in the family that is not routed", "", 46, { network: network({}, ["routed", "nat"]) }, ["::"]],
    ["in the family that is translated", "", 46, { network: network({}, ["nat-unprotected", "routed"]) }, ["0.0.0.0"]],
    ["nowhere, where IPv4 is routed and all there is", "", 4, { network: network({}, ["routed", "nat"]) }, []],
    ["nowhere at its address in a routed family", "10.0.0.5", 46, { network: network({}, ["routed", "nat"]) }, []],
    ["nowhere, on an internal network", "", 46, { network: network({ internal: true }) }, []],
    ["nowhere, where Docker publishes", "10.0.0.5", 46, { network: network({ publish: "engine" }) }, []],
  ];
  for (const [what, hostAddress, has, owner, expected] of cases) {
    it(what, () => expect(at({ hostAddress }, has, owner)).to.deep.equal(expected));
  }

  it("where it can be, for SCTP, which no socket passes on; where it cannot be at all, that is an error", () => {
    expect(at({ protocol: "sctp" }, 4)).to.deep.equal(["0.0.0.0"]);
    expect(at({ protocol: "sctp" }, 46)).to.deep.equal(["0.0.0.0", "::"]);
    expect(at({ protocol: "sctp", hostAddress: "::1" }, 46)).to.equal(
      "cannot publish container port 80/sctp on ::1: the kernel cannot translate it, and sctp is not proxied",
    );
    expect(at({ protocol: "sctp" }, 46, { network: network({ publishPolicy: "host" }) })).to.equal(
      "cannot publish container port 80/sctp on 0.0.0.0, ::: the kernel cannot translate it, and sctp is not proxied",
    );
  });
});

describe("what is held for bindings", () => {
  const owner = (hostBinding = "0.0.0.0"): PortOwner => ({
    endpoint: endpointOf({ addresses: [v4] }),
    network: network({ hostBinding }),
    noProxy6To4: true,
    hasIpv6: true,
  });
  const plan = (...bindings: PortBinding[]) => planPorts(bindings, owner());
  const pair = (hostPort: number, containerPort: number, values: Partial<PortBinding> = {}): PortBinding =>
    bindingOf(hostPort, { containerPort, ...values });

  it("are blocks of ports that go in step, in whatever order they come", () => {
    const bindings = [pair(8002, 8002), pair(8000, 8000), pair(8001, 8001), pair(9001, 81), pair(9000, 80), pair(7, 7)];
    expect(plan(...bindings).fixed).to.deep.equal([
      mappingOf({ hostPort: 7, containerPort: 7 }),
      mappingOf({ hostPort: 8000, containerPort: 8000, count: 3 }),
      mappingOf({ hostPort: 9000, containerPort: 80, count: 2 }),
    ]);
  });

  it("are blocks of one protocol and address", () => {
    const bindings = [pair(80, 80), pair(81, 81, { protocol: "udp" }), pair(82, 82, { hostAddress: "10.0.0.5" })];
    expect(plan(...bindings).fixed.map(({ count }) => count)).to.deep.equal([1, 1, 1]);
  });

  it("is one block for the same binding twice, and two for a host port with two container ports", () => {
    expect(plan(pair(80, 80), pair(80, 80)).fixed).to.deep.equal([mappingOf({ hostPort: 80 })]);
    expect(plan(pair(80, 80), pair(80, 81)).fixed).to.have.length(2);
  });

  it("is one search for a container port at several addresses, so that all have the same host port", () => {
    const at = (hostAddress: string): PortBinding => bindingOf(0, { hostAddress });
    const udp = [bindingOf(0, { protocol: "udp" }), bindingOf(0, { protocol: "udp", hostAddress: "127.0.0.1" })];
    expect(plan(at("127.0.0.2"), at("127.0.0.1"), ...udp).searches).to.deep.equal([
      { protocol: "tcp", containerPort: 80, addresses: ["127.0.0.1", "127.0.0.2"], first: 0, last: 0 },
      { protocol: "udp", containerPort: 80, addresses: ["0.0.0.0"], first: 0, last: 0 },
    ]);
  });

  it("are searches in ranges before those in the ephemeral range", () => {
    const bindings = [bindingOf(0), pair(8000, 81, { hostPortEnd: 8010 })];
    expect(plan(...bindings).searches.map(({ first, last }) => [first, last])).to.deep.equal([
      [8000, 8010],
      [0, 0],
    ]);
  });

  it("is nothing for bindings that are not served, which are named", () => {
    const binding = pair(80, 80, { hostAddress: "::1" });
    expect(plan(binding)).to.deep.equal({ fixed: [], searches: [], unserved: [binding] });
  });

  const anyBinding = fc
    .record({
      protocol: fc.constantFrom("tcp" as const, "udp" as const),
      hostAddress: fc.constantFrom("", "127.0.0.1", "::"),
      hostPort: fc.integer({ min: 1, max: 12 }),
      containerPort: fc.integer({ min: 1, max: 12 }),
    })
    .map((binding): PortBinding => ({ ...binding, hostPortEnd: binding.hostPort }));
  const both = { ...owner(), endpoint: { addresses: [v4, v6] }, noProxy6To4: false };

  it("are exactly the ports that are asked for, whatever the bindings", () => {
    fc.assert(
      fc.property(fc.array(anyBinding, { maxLength: 40 }), (bindings) => {
        const { fixed } = planPorts(bindings, both);
        const wanted = bindings.flatMap((binding) =>
          publishedAt(binding, both).map(
            (at) => `${binding.protocol} ${at} ${binding.hostPort} ${binding.containerPort}`,
          ),
        );
        const held = fixed.flatMap(({ protocol, hostAddress, hostPort, containerPort, count }) =>
          Array.from({ length: count }, (_, n) => `${protocol} ${hostAddress} ${hostPort + n} ${containerPort + n}`),
        );
        expect(held.toSorted()).to.deep.equal([...new Set(wanted)].toSorted());
      }),
    );
  });

  it("are the same for the same bindings in another order, and satisfied by themselves alone", () => {
    fc.assert(
      fc.property(fc.array(anyBinding, { minLength: 1, maxLength: 20 }), fc.nat(), (bindings, seed) => {
        const wanted = planPorts(bindings, both);
        const shuffled = bindings.map((binding, n) => [(seed * (n + 7919)) % 1009, binding] as const);
        const others = shuffled.sort(([a], [b]) => a - b).map(([, binding]) => binding);
        expect(planPorts(others, both)).to.deep.equal(wanted);
        expect(satisfies(wanted.fixed, wanted)).to.equal(true);
        expect(satisfies(wanted.fixed.slice(1), wanted)).to.equal(false);
        expect(satisfies([...wanted.fixed, mappingOf({ hostPort: 99 })], wanted)).to.equal(false);
      }),
    );
  });

  it("takes no time that grows with the square of the ports", () => {
    const bindings = Array.from({ length: 60_000 }, (_, n) => pair(1 + n, 1 + ((n * 7) % 60_000)));
    const startedAt = performance.now();
    const wanted = plan(...bindings);
    expect(satisfies(wanted.fixed, wanted)).to.equal(true);
    expect(performance.now() - startedAt).to.be.lessThan(3000);
  });
});

describe("ports that an endpoint has", () => {
  const owner: PortOwner = { endpoint: { addresses: [v4] }, network: network(), noProxy6To4: true, hasIpv6: true };
  const has = (values: Parameters<typeof mappingOf>[0], ...bindings: PortBinding[]): boolean =>
    satisfies([mappingOf(values)], planPorts(bindings, owner));

  it("satisfy what is asked for: the port, any of a range, any at all", () => {
    const range = bindingOf(8000, { hostPortEnd: 8100 });
    expect([has({}, bindingOf(8080)), has({}, range), has({}, bindingOf(0))]).to.deep.equal([true, true, true]);
  });

  it("do not satisfy another port, range, address, protocol, container port or number of ports", () => {
    const others = [
      bindingOf(8081),
      bindingOf(8081, { hostPortEnd: 8090 }),
      bindingOf(8080, { hostAddress: "127.0.0.1" }),
      bindingOf(8080, { protocol: "udp" }),
      bindingOf(8080, { containerPort: 81 }),
      bindingOf(0, { containerPort: 81 }),
    ];
    expect(others.filter((binding) => has({}, binding))).to.deep.equal([]);
    expect(has({})).to.equal(false);
    expect(has({}, bindingOf(8080), bindingOf(0))).to.equal(false);
    expect(satisfies([], planPorts([bindingOf(8080)], owner))).to.equal(false);
    expect(has({ count: 2 }, bindingOf(8080))).to.equal(false);
  });

  it("do not satisfy a search at two addresses with two different ports", () => {
    const wanted = planPorts([bindingOf(0)], { ...owner, noProxy6To4: false });
    const ports = [mappingOf({ hostPort: 32768 }), mappingOf({ hostAddress: "::", hostPort: 32769 })];
    expect(satisfies(ports, wanted)).to.equal(false);
    expect(
      satisfies([mappingOf({ hostPort: 32769 }), mappingOf({ hostAddress: "::", hostPort: 32769 })], wanted),
    ).to.equal(true);
  });

  it("are the whole of it", () => {
    expect(satisfies([], planPorts([], owner))).to.equal(true);
  });
});
