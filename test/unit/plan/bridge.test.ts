import { expect } from "chai";
import { planBridge, planBridgeRemoval, planForwarding, planVeth, planVethRemoval } from "../../../src/plan/bridge.ts";
import { bridgeKey, idOf, ipv6, networkOf } from "../../support/values.ts";

const bridge = "tsb-a1000000000";
const alias = `tsnet:bridge:${idOf("a1")}`;
const ipv6Sysctls = ["accept_ra", "accept_dad"].map((name) => {
  return { op: "set-sysctl", key: ["net", "ipv6", "conf", bridge, name], value: "0", optional: true };
});
const sysctls = [
  ...ipv6Sysctls,
  { op: "set-sysctl", key: ["net", "ipv4", "conf", bridge, "route_localnet"], value: "1", optional: false },
];

describe("the plan of a bridge", () => {
  it("makes the link, its sysctls, then its addresses", () => {
    expect(planBridge(networkOf({ ipv6, options: { "com.docker.network.driver.mtu": "1400" } }))).to.deep.equal([
      { op: "ensure-bridge", name: bridge, alias, mac: "02:42:ac:12:00:01", mtuBytes: 1400, nfCall: false },
      ...sysctls,
      { op: "ensure-address", link: bridge, address: "172.18.0.1/16" },
      { op: "ensure-address", link: bridge, address: "fd00:18::1/64" },
    ]);
  });

  it("passes bridged packets to the firewall without icc", () => {
    const [link] = planBridge(networkOf({ options: { [bridgeKey("enable_icc")]: "false" } }));
    expect(link).to.include({ op: "ensure-bridge", nfCall: true });
  });

  it("gives the bridge no IPv4 address if that is inhibited", () => {
    const plan = planBridge(networkOf({ options: { [bridgeKey("inhibit_ipv4")]: "true" } }));
    expect(plan.map(({ op }) => op)).to.not.contain("ensure-address");
    expect(planBridge(networkOf({})).map(({ op }) => op)).to.contain("ensure-address");
  });

  it("keeps IPv6 off a bridge of ours that is isolated from it, and leaves it to a bridge of the user's", () => {
    const options = { [bridgeKey("gateway_mode_ipv6")]: "isolated" };
    const network = networkOf({ ipv6, options, internal: true });
    expect(planBridge(network).slice(1)).to.deep.equal([
      ...ipv6Sysctls,
      { op: "set-sysctl", key: ["net", "ipv6", "conf", bridge, "disable_ipv6"], value: "1", optional: true },
      sysctls[2],
      { op: "ensure-address", link: bridge, address: "172.18.0.1/16" },
    ]);
    expect(JSON.stringify(planBridge({ ...network, adopted: true }))).to.not.contain("disable_ipv6");
  });

  it("leaves alias and MTU of a bridge of the user's alone", () => {
    const options = { [bridgeKey("name")]: "lan", "com.docker.network.driver.mtu": "1400" };
    const [link] = planBridge({ ...networkOf({ options }), adopted: true });
    expect(link).to.include({ name: "lan", alias: null, mtuBytes: null });
  });

  it("does not touch how a bridge of the user's takes router advertisements", () => {
    const plan = planBridge({ ...networkOf(), adopted: true });
    expect(JSON.stringify(plan)).to.contain("route_localnet").and.not.contain("accept_ra");
  });

  it("is taken back by removing the link, or what a bridge of the user's did not have before", () => {
    expect(planBridgeRemoval(networkOf())).to.deep.equal([{ op: "remove-links", links: [{ name: bridge, alias }] }]);
    const network = networkOf({ ipv6, options: { [bridgeKey("name")]: "lan" } });
    const adopted = { ...network, adopted: true, kept: ["172.18.0.1/16"] };
    expect(planBridgeRemoval(adopted)).to.deep.equal([
      { op: "set-sysctl", key: ["net", "ipv4", "conf", "lan", "route_localnet"], value: "0", optional: true },
      { op: "remove-address", link: "lan", address: "fd00:18::1/64" },
    ]);
  });
});

describe("the plan of an endpoint", () => {
  const id = idOf("e1");
  it("is one pair, with both ends marked", () => {
    expect(planVeth(networkOf(), { id })).to.deep.equal([
      {
        ...{ op: "ensure-veth", name: "tsv-e1000000000", peer: "tsc-e1000000000" },
        ...{ alias: `tsnet:veth:${id}`, peerAlias: `tsnet:peer:${id}` },
        ...{ master: bridge, mtuBytes: null, hairpin: true },
      },
    ]);
    expect(planVethRemoval({ id })).to.deep.equal([
      { op: "remove-links", links: [{ name: "tsv-e1000000000", alias: `tsnet:veth:${id}` }] },
    ]);
  });
});

describe("forwarding", () => {
  const keys = (...networks: Parameters<typeof planForwarding>[0]): string[] =>
    planForwarding(networks).map((op) => (op.op === "set-sysctl" ? `${op.key.join(".")}=${op.value}` : op.op));

  it("is switched on in the families that are used", () => {
    const v4 = ["net.ipv4.ip_forward=1"];
    const v6 = ["net.ipv6.conf.default.forwarding=1", "net.ipv6.conf.all.forwarding=1"];
    expect(keys(networkOf())).to.deep.equal(v4);
    expect(keys(networkOf({ ipv4: [], ipv6 }))).to.deep.equal(v6);
    expect(keys(networkOf(), networkOf({ ipv6 }))).to.deep.equal([...v4, ...v6]);
    expect(keys()).to.deep.equal([]);
  });
});
