import { expect } from "chai";
import { planOpenPorts } from "../../../src/plan/open-ports.ts";
import { bindingOf, bridgeKey, ipv6, networkOf } from "../../support/values.ts";

describe("the open ports of a container", () => {
  const routed = { [bridgeKey("gateway_mode_ipv6")]: "routed" };
  const bindings = [
    ...[82, 80, 81, 81, 443].map((containerPort) => bindingOf(0, { containerPort })),
    ...[65535, 53].map((containerPort) => bindingOf(0, { protocol: "udp" as const, containerPort })),
  ];

  it("are its published container ports, in blocks, where one family is routed", () => {
    expect(planOpenPorts(bindings, networkOf({ ipv6, options: routed }))).to.deep.equal([
      { protocol: "tcp", port: 80, count: 3 },
      { protocol: "tcp", port: 443, count: 1 },
      { protocol: "udp", port: 53, count: 1 },
      { protocol: "udp", port: 65535, count: 1 },
    ]);
  });

  it("are the same where links are trusted", () => {
    const options = { [bridgeKey("trusted_host_interfaces")]: "eth1" };
    const [first] = planOpenPorts(bindings, networkOf({ ipv6, options }));
    expect(first).to.deep.equal({ protocol: "tcp", port: 80, count: 3 });
  });

  it("are none without published ports, on another network, and on an internal one", () => {
    expect(planOpenPorts([], networkOf({ ipv6, options: routed }))).to.deep.equal([]);
    const options = { [bridgeKey("gateway_mode_ipv4")]: "nat-unprotected" };
    expect(planOpenPorts(bindings, networkOf({ ipv6, options }))).to.deep.equal([]);
    expect(planOpenPorts(bindings, networkOf({ ipv6, options: routed, internal: true }))).to.deep.equal([]);
  });
});
