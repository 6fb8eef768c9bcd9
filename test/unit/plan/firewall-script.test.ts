import { expect } from "chai";
import fc from "fast-check";
import { cidrOf, formatIp, ipOf } from "../../../src/net/cidr.ts";
import { bySet, diffElements, type Element } from "../../../src/plan/elements.ts";
import { networkElements, wantedElements } from "../../../src/plan/firewall.ts";
import { changeScript, planFirewall, removeTableScript, tableScript } from "../../../src/plan/firewall-script.ts";
import { planBridgeNetwork } from "../../../src/plan/network-request.ts";
import {
  bridgeKey,
  endpointOf,
  ipv6,
  mappingOf,
  networkOf,
  networkRequest,
  requestedSubnet,
} from "../../support/values.ts";
import { WorldNft } from "../../support/world-nft.ts";

const mark = 0x0100_0000;
const bridge = "tsb-a1000000000";

import { errnoOf } from "../../support/errno.ts";

describe("the firewall's scripts", () => {
  const wanted = wantedElements({
    networks: [networkOf({ ipv6 })],
    endpoints: [endpointOf({ ports: [mappingOf(), mappingOf({ hostAddress: "127.0.0.1", hostPort: 81 })] })],
    dockerLinks: ["docker0", "br-0123456789ab"],
  });
  const installed = (elements = wanted): WorldNft => {
    const nft = new WorldNft();
    nft.run(tableScript(elements, mark));
    return nft;
  };

  it("put the whole table in place, whatever was there", () => {
    const nft = installed(bySet([["bridges", "old", ""]]));
    nft.run(tableScript(wanted, mark));
    expect(nft.observe()?.elements).to.deep.equal(wanted);
    expect(nft.observe()?.skeleton).to.contain("meta mark set meta mark | 0x01000000").and.contain("& 0xfeffffff");
  });

  it("are exact: a change, in nft's own language", () => {
    const remove: Element[] = [["port4", "tcp . 80", "172.18.0.2 . 80"]];
    const add: Element[] = [
      ["own4", "tsb-x . 10.0.0.0/8", ""],
      ["between", "tsb-x . tsb-x", "goto pass"],
      ["into", "ipv6 . tsb-x", "goto routed"],
      ["trusted", "eth1 . tsb-x", ""],
      ["restricted", "tsb-x", ""],
      ["sources6", "tsb-x . fd00::/8", ""],
      ["range4", "tcp . 8000-8010", "172.18.0.3"],
      ["port4", "tcp . 81", "172.18.0.3 . 80"],
      ["port4", "udp . 81", "172.18.0.3 . 80"],
    ];
    expect(changeScript({ add, remove })).to.equal(
      [
        "add element inet tsnet port4 { tcp . 80 : 172.18.0.2 . 80 }",
        "delete element inet tsnet port4 { tcp . 80 }",
        'add element inet tsnet own4 { "tsb-x" . 10.0.0.0/8 }',
        'add element inet tsnet between { "tsb-x" . "tsb-x" : goto pass }',
        'add element inet tsnet into { ipv6 . "tsb-x" : goto routed }',
        'add element inet tsnet trusted { "eth1" . "tsb-x" }',
        'add element inet tsnet restricted { "tsb-x" }',
        'add element inet tsnet sources6 { "tsb-x" . fd00::/8 }',
        "add element inet tsnet range4 { tcp . 8000-8010 : 172.18.0.3 }",
        "add element inet tsnet port4 { tcp . 81 : 172.18.0.3 . 80, udp . 81 : 172.18.0.3 . 80 }",
        "",
      ].join("\n"),
    );
  });

  it("remove what is there, and what is not, with the same effect", () => {
    const nft = installed();
    const remove = networkElements(networkOf({ ipv6 }));
    nft.run(changeScript({ remove }));
    const left = nft.observe()?.elements;
    const others = ["bound4", "docker_links", "loopback4", "port4", "traffic4"];
    expect(Object.keys(left ?? {}).toSorted()).to.deep.equal(others);
    nft.run(changeScript({ remove }));
    expect(nft.observe()?.elements).to.deep.equal(left);
  });

  it("add what is there without an effect, and refuse other data for a key", () => {
    const nft = installed();
    nft.run(changeScript({ add: [["port4", "tcp . 8080", "172.18.0.2 . 80"]] }));
    expect(nft.observe()?.elements).to.deep.equal(wanted);
    expect(errnoOf(() => nft.run(changeScript({ add: [["port4", "tcp . 8080", "172.18.0.9 . 80"]] })))).to.equal(
      "EEXIST",
    );
    expect(nft.observe()?.elements).to.deep.equal(wanted);
  });

  it("fail as a whole where there is no table", () => {
    expect(errnoOf(() => new WorldNft().run(changeScript({ add: [["bridges", "x", ""]] })))).to.equal("ENOENT");
  });

  it("remove the table, whether it is there or not", () => {
    const nft = installed();
    nft.run(removeTableScript);
    expect(nft.observe()).to.equal(undefined);
    nft.run(removeTableScript);
  });

  it("are none if nothing differs", () => {
    const nft = installed();
    const skeleton = nft.observe()?.skeleton ?? "";
    expect(planFirewall(wanted, nft.observe(), { skeleton, mark })).to.equal(undefined);
  });

  it("repair elements one by one: missing, too many, with other data", () => {
    const nft = installed();
    const skeleton = nft.observe()?.skeleton ?? "";
    nft.run(
      changeScript({
        remove: [
          ["bridges", bridge, ""],
          ["port4", "tcp . 8080", "172.18.0.2 . 80"],
        ],
        add: [
          ["bridges", "stranger", ""],
          ["port4", "tcp . 8080", "6.6.6.6 . 80"],
        ],
      }),
    );
    const script = planFirewall(wanted, nft.observe(), { skeleton, mark });
    expect(script).to.not.contain("table inet tsnet {");
    nft.run(script ?? "");
    expect(nft.observe()?.elements).to.deep.equal(wanted);
  });

  it("put the whole table back if its rules were changed, or it is gone", () => {
    const whole = tableScript(wanted, mark);
    expect(planFirewall(wanted, undefined, { skeleton: "s", mark })).to.equal(whole);
    expect(planFirewall(wanted, { skeleton: "other", elements: wanted }, { skeleton: "s", mark })).to.equal(whole);
  });

  it("need no change between equal elements, and differ both ways for other data", () => {
    const [a, b]: Element[] = [
      ["into", "ipv4 . x", "drop"],
      ["into", "ipv4 . x", "accept"],
    ];
    expect(diffElements(bySet([a as Element]), bySet([a as Element]))).to.deep.equal({ add: [], remove: [] });
    expect(diffElements(bySet([a as Element]), bySet([b as Element]))).to.deep.equal({ add: [a], remove: [b] });
  });
});

describe("text from a request", () => {
  const nasty = fc.constantFrom(
    '"',
    "'",
    "}",
    "{",
    ";",
    ",",
    " ",
    "\n",
    "\\",
    "*",
    "$",
    "#",
    "/",
    ":",
    "@",
    "a",
    "-",
    ".",
    "é",
    "\0",
  );
  const names = fc.oneof(
    fc.string({ minLength: 1, maxLength: 15 }),
    fc.array(nasty, { minLength: 1, maxLength: 15 }).map((letters) => letters.join("")),
    fc.stringMatching(/^[A-Za-z0-9_.@-]{1,15}$/),
    fc.constantFrom(
      "drop",
      "accept",
      "tcp",
      "ip",
      "1",
      "set",
      "map",
      "element",
      "__proto__",
      "constructor",
      "-",
      "@x",
      "0x1",
    ),
  );
  const subnets = fc.tuple(fc.bigInt({ min: 1n << 24n, max: (223n << 24n) - 1n }), fc.integer({ min: 1, max: 32 }));
  const hosts = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.string(),
    fc.array(nasty).map((letters) => letters.join("")),
  );

  const takesName = [bridgeKey("name"), bridgeKey("trusted_host_interfaces")];

  it("that passes validation is read by nft as the names and addresses that it is, and nothing else", () => {
    let accepted = 0;
    const property = fc.property(names, subnets, hosts, (name, [base, prefix], host) => {
      const pool = cidrOf(4, base, prefix);
      const options = {
        [bridgeKey("name")]: name,
        "com.docker.network.host_ipv4": host,
        [bridgeKey("host_binding_ipv4")]: host,
        [bridgeKey("trusted_host_interfaces")]: name,
        "tsnet.publish_from": host,
      };
      const request = networkRequest({
        options,
        ipv4: [requestedSubnet(pool.text, `${formatIp(4, pool.base)}/${prefix}`)],
      });
      for (const key of Object.keys(options)) {
        const rest = takesName.includes(key) ? options : { ...options, [key]: "192.0.2.1" };
        const network = planOrRefuse({ ...request, options: rest });
        if (network === undefined) continue;
        accepted++;
        const endpoint = endpointOf({
          addresses: [`${ipOf(4, pool.base).text}/${prefix}`],
          ports: [mappingOf({ hostAddress: network.hostBinding })],
        });
        const wanted = wantedElements({ networks: [network], endpoints: [endpoint], dockerLinks: [] });
        const nft = new WorldNft();
        nft.run(tableScript(wanted, mark));
        expect(nft.observe()?.elements).to.deep.equal(wanted);
        expect(Object.keys(nft.observe()?.elements["bridges"] ?? {})).to.deep.equal([name]);
        nft.run(changeScript({ remove: networkElements(network) }));
        expect(nft.observe()?.elements["bridges"]).to.equal(undefined);
      }
    });
    fc.assert(property, { numRuns: 300 });
    expect(accepted).to.be.greaterThan(50);
  });

  function planOrRefuse(request: Parameters<typeof planBridgeNetwork>[0]) {
    try {
      return planBridgeNetwork(request).network;
    } catch (error) {
      expect(error).to.include({ code: "invalid" });
      return undefined;
    }
  }
});
