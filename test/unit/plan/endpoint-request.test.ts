import { expect } from "chai";
import { type EndpointRequest, planEndpoint } from "../../../src/plan/endpoint-request.ts";
import type { Endpoint, Network } from "../../../src/plan/network.ts";
import { idOf, ipv6, ipvlanOf, macvlanOf, networkOf, overlayOf, requestedSubnet } from "../../support/values.ts";

const plan = (network: Network, addresses: string[], values: Partial<EndpointRequest> = {}): Endpoint =>
  planEndpoint({ network: network.id, id: idOf("e1"), addresses, mac: null, ...values }, network);

const address = "192.168.1.9/24";
const mac = "02:00:00:00:00:09";
const passthru = macvlanOf({ macvlan_mode: "passthru" });
const withHost = { "tsnet.host_access": "true", "tsnet.host_address": "192.168.1.250" };

describe("the endpoint that a request asks for", () => {
  const macs: [what: string, network: Network, asked: string | null, mac: string | null][] = [
    [
      "a bridge network",
      networkOf({ ipv4: [requestedSubnet("192.168.1.0/24", "192.168.1.1/24")] }),
      null,
      "02:42:c0:a8:01:09",
    ],
    ["a macvlan network", macvlanOf(), null, "02:42:c0:a8:01:09"],
    ["a macvlan network, and one is asked for", macvlanOf(), mac, mac],
    ["a macvlan network in mode passthru", passthru, null, null],
    ["a macvlan network in mode passthru, and one is asked for", passthru, mac, mac],
    ["an ipvlan network", ipvlanOf(), null, null],
  ];
  for (const [what, network, asked, expected] of macs) {
    it(`has the MAC address ${expected} on ${what}`, () => {
      expect(plan(network, [address], { mac: asked })).to.deep.equal({
        id: idOf("e1"),
        network: idOf("a1"),
        addresses: [address],
        leases: [],
        mac: expected,
        sandbox: null,
        ports: [],
        openPorts: [],
      });
    });
  }

  it("has a MAC address made of its IPv6 address where it has no other", () => {
    expect(plan(macvlanOf({}, { ipv6 }), ["fd00:18::9/64"]).mac).to.match(/^02:42(:[0-9a-f]{2}){4}$/);
  });

  it("has none of its own on an ipvlan network, and is told why Docker may have chosen one", () => {
    const words = "ipvlan interfaces do not support custom mac address assignment";
    expect(() => plan(ipvlanOf(), [address], { mac }))
      .to.throw()
      .that.includes({
        code: "invalid",
        message: `--mac-address=${mac}: ${words}; leave it out; without --mac-address Docker chooses one because of TSNET_REQUIRES_MAC_ADDRESS=true: set it to false`,
      });
  });

  it("has no address of the host's own", () => {
    const text = `address 192.168.1.250 is the host's own on network ${idOf("a1")} (tsnet.host_address): give another --ip, or keep it from containers with --aux-address`;
    for (const network of [macvlanOf(withHost), ipvlanOf(withHost)]) {
      expect(() => plan(network, ["192.168.1.250/24"]))
        .to.throw()
        .that.includes({ code: "conflict", message: text });
      expect(plan(network, [address]).addresses).to.deep.equal([address]);
    }
  });

  it("has no gateway's address where hosts share the network: on another host it may be asked for", () => {
    const network = overlayOf({}, { ipv6 });
    const text = `is the gateway of network ${idOf("a1")}: give another --ip`;
    for (const [gateway, message] of [
      ["10.5.0.1/24", `address 10.5.0.1 ${text}`],
      ["fd00:18::1/64", `address fd00:18::1 ${text}6`],
    ] as const) {
      expect(() => plan(network, [gateway]))
        .to.throw()
        .that.includes({ code: "conflict", message });
    }
    expect(plan(network, ["10.5.0.9/24", "fd00:18::9/64"]).addresses).to.have.length(2);
    for (const closed of [overlayOf({}, { internal: true }), overlayOf({ "tsnet.egress": "engine" })]) {
      expect(plan(closed, ["10.5.0.1/24"]).addresses).to.deep.equal(["10.5.0.1/24"]);
    }
  });

  it("has an address, which lies in the network", () => {
    const none = `endpoint ${idOf("e1")} has no address; mode ipvlan needs an IPAM driver that gives one`;
    expect(() => plan(ipvlanOf(), [])).to.throw(none);
    const outside = `address 192.168.2.9/24 is not in a subnet of network ${idOf("a1")}: 192.168.1.0/24`;
    expect(() => plan(macvlanOf(), ["192.168.2.9/24"])).to.throw(outside);
    expect(() => plan(macvlanOf(), [address, "192.168.1.10/24"])).to.throw("has two addresses of one family");
  });
});
