import { expect } from "chai";
import {
  bySet,
  type Element,
  multihomedElements,
  networkElements,
  portElements,
  wantedElements,
} from "../../../src/plan/firewall.ts";
import { bridgeKey, endpointOf, idOf, ipv6, mappingOf, networkOf } from "../../support/values.ts";

const bridge = "tsb-a1000000000";
const plain = (elements: readonly Element[]): object => JSON.parse(JSON.stringify(bySet(elements)));

describe("the firewall's elements of a network", () => {
  const base = { bridges: { [bridge]: "" }, into: { [bridge]: "drop" }, out: { [bridge]: "goto leave" } };
  const open = { between: { [`${bridge} . ${bridge}`]: "goto pass" } };
  const own4 = { own4: { [`${bridge} . 172.18.0.0/16`]: "" } };
  const own6 = { own6: { [`${bridge} . fd00:18::/64`]: "" } };

  it("let it out, masqueraded, and its containers talk to each other", () => {
    expect(plain(networkElements(networkOf()))).to.deep.equal({
      ...base,
      ...open,
      ...own4,
      masq4: { "172.18.0.0/16": "" },
    });
  });

  it("are of both families where it has both", () => {
    expect(plain(networkElements(networkOf({ ipv6 })))).to.deep.equal({
      ...{ ...base, ...open, ...own4, ...own6 },
      ...{ masq4: { "172.18.0.0/16": "" }, masq6: { "fd00:18::/64": "" } },
    });
  });

  it("drop between its containers without icc", () => {
    const { between } = bySet(networkElements(networkOf({ options: { [bridgeKey("enable_icc")]: "false" } })));
    expect({ ...between }).to.deep.equal({ [`${bridge} . ${bridge}`]: "drop" });
  });

  it("keep an internal network in, without translation even if a source address is named", () => {
    const options = { "com.docker.network.host_ipv4": "192.0.2.1" };
    const expected = { ...base, ...open, ...own4, internal: { [bridge]: "" }, out: { [bridge]: "drop" } };
    expect(plain(networkElements(networkOf({ internal: true, options })))).to.deep.equal(expected);
  });

  it("name the source address of what leaves", () => {
    const options = { "com.docker.network.host_ipv4": "192.0.2.1", "com.docker.network.host_ipv6": "2001:db8::1" };
    const elements = bySet(networkElements(networkOf({ options, ipv6 })));
    expect({ ...elements["snat4"] }).to.deep.equal({ "172.18.0.0/16": "192.0.2.1" });
    expect({ ...elements["snat6"] }).to.deep.equal({ "fd00:18::/64": "2001:db8::1" });
  });

  it("leave addresses alone where masquerading is off", () => {
    const options = { [bridgeKey("enable_ip_masquerade")]: "false", "com.docker.network.host_ipv4": "192.0.2.1" };
    expect(plain(networkElements(networkOf({ options })))).to.deep.equal({ ...base, ...open, ...own4 });
  });
});

describe("the firewall's elements of a published port", () => {
  const addresses = ["172.18.0.2/16", "fd00:18::2/64"];
  const ofPort = (hostAddress: string): object =>
    plain(portElements({ addresses, ports: [mappingOf({ hostAddress })] }));

  it("are of the family of the host address", () => {
    expect(ofPort("0.0.0.0")).to.deep.equal({ port4: { "tcp . 8080": "172.18.0.2 . 80" } });
    expect(ofPort("::")).to.deep.equal({ port6: { "tcp . 8080": "fd00:18::2 . 80" } });
  });

  it("name the one address of the host", () => {
    expect(ofPort("192.0.2.1")).to.deep.equal({ bound4: { "192.0.2.1 . tcp . 8080": "172.18.0.2 . 80" } });
    expect(ofPort("2001:db8::1")).to.deep.equal({ bound6: { "2001:db8::1 . tcp . 8080": "fd00:18::2 . 80" } });
  });

  it("are none for a family that the container has not", () => {
    expect(portElements({ addresses: ["172.18.0.2/16"], ports: [mappingOf({ hostAddress: "::1" })] })).to.deep.equal(
      [],
    );
  });

  it("tell protocols apart", () => {
    const ports = (["tcp", "udp", "sctp"] as const).map((protocol) => mappingOf({ protocol }));
    const { port4 } = bySet(portElements({ addresses, ports }));
    expect(Object.keys(port4 ?? {})).to.deep.equal(["tcp . 8080", "udp . 8080", "sctp . 8080"]);
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
      "out",
      "own4",
      "port4",
    ];
    expect(Object.keys(wanted).toSorted()).to.deep.equal(sets);
  });
});
