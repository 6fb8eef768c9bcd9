import { expect } from "chai";
import { noNames, parseNames } from "../../../src/cli/docker-names.ts";
import { formatEndpoints, namedEndpoints } from "../../../src/cli/endpoints.ts";
import { findNetwork, formatNetworks, namedFailures, namedNetworks } from "../../../src/cli/networks.ts";
import type { NetworkAnswer } from "../../../src/driver/report-link-answers.ts";
import { endpointAnswerOf, failedAnswerOf, networkAnswerOf } from "../../support/link-answers.ts";
import { idOf } from "../../support/values.ts";

const names = parseNames(
  [{ Names: ["/one"], NetworkSettings: { Networks: { lan: { EndpointID: idOf("e1") } } } }],
  [
    { Id: idOf("a1"), Name: "web" },
    { Id: idOf("b1"), Name: "lan" },
    { Id: idOf("b2"), Name: "lan10" },
    { Id: idOf("b3"), Name: "lan9" },
  ],
);

const onBridge = networkAnswerOf({
  ...{ id: idOf("a1"), mode: "bridge", linkMode: null, parent: "tsb-a1000000000", parentKind: "bridge" },
  ...{ duplicateCheck: null, endpoints: 0 },
  subnets: [
    { family: 4, subnet: "10.70.0.0/24", gateway: "10.70.0.1" },
    { family: 6, subnet: "fd00:70::/64", gateway: "fd00:70::1" },
  ],
});

describe("tsnet networks, as text", () => {
  it("is a table sorted by name, with what each network is on", () => {
    const networks = [
      networkAnswerOf({ id: idOf("b2"), parent: "eth9.10", vlan: { id: 10, base: "eth9" }, mtuBytes: null }),
      onBridge,
      networkAnswerOf({ id: idOf("b3"), mode: "ipvlan", linkMode: "l3s", ipvlanFlag: "bridge" }),
      networkAnswerOf(),
      networkAnswerOf({ id: idOf("c7"), mode: "ipvlan", linkMode: "l2", ipvlanFlag: "vepa" }),
    ];
    expect(formatNetworks(namedNetworks(networks, names)).split("\n")).to.deep.equal([
      "NAME           MODE             PARENT            VLAN   MTU    SUBNETS                      ENDPOINTS   STATE",
      "c70000000000   ipvlan l2 vepa   eth1              -      1500   192.168.1.0/24               2           up",
      "lan            macvlan bridge   eth1              -      1500   192.168.1.0/24               2           up",
      "lan9           ipvlan l3s       eth1              -      1500   192.168.1.0/24               2           up",
      "lan10          macvlan bridge   eth9.10           10     -      192.168.1.0/24               2           up",
      "web            bridge           tsb-a1000000000   -      1500   10.70.0.0/24, fd00:70::/64   0           up",
      "",
    ]);
  });

  it("has a column for the VNI where there is an overlay, and says what is wrong in its namespace", () => {
    const mesh = { mode: "overlay", linkMode: null, parent: "tsnet-d1000000000", parentKind: "namespace" } as const;
    const networks = [
      networkAnswerOf({ ...mesh, id: idOf("d1"), vni: 8_388_700 }),
      networkAnswerOf({ ...mesh, id: idOf("d2"), vni: 4097, state: "missing", at: mesh.parent }),
      networkAnswerOf({ ...mesh, id: idOf("d3"), vni: 4098, state: "down", at: "tsx-d1000000000" }),
      onBridge,
    ];
    const rows = formatNetworks(namedNetworks(networks, names)).trimEnd().split("\n");
    expect(rows.map((line) => [1, 2, 4, 8].map((cell) => line.split(/ {3,}/)[cell]))).to.deep.equal([
      ["MODE", "PARENT", "VNI", "STATE"],
      ["overlay", "tsnet-d1000000000", "8388700", "up"],
      ["overlay", "tsnet-d1000000000", "4097", "namespace missing"],
      ["overlay", "tsnet-d1000000000", "4098", "tsx-d1000000000 down"],
      ["bridge", "tsb-a1000000000", "-", "up"],
    ]);
  });

  it("has networks of the swarm that could not be allocated last, on one line each", () => {
    const failed = [
      failedAnswerOf({ id: idOf("b3"), mode: null, subnets: ["10.0.1.0/24", "fd00::/64"], error: "a\tb\nc \u001b[2J" }),
      failedAnswerOf({ id: idOf("b2") }),
    ];
    const hostAccess = { link: "tsh-b1000000000", addresses: [], state: "up" } as const;
    const networks = namedNetworks(
      [networkAnswerOf({ hostAccess }), networkAnswerOf({ id: idOf("a1"), vni: 5 })],
      names,
    );
    const lines = formatNetworks(networks, namedFailures(failed, names)).trimEnd().split("\n");
    expect(lines.map((line) => line.split(/ {3,}/)).slice(3)).to.deep.equal([
      ["lan9", "-", "-", "-", "-", "-", "10.0.1.0/24, fd00::/64", "-", "-", "failed: a b c ?[2J"],
      [
        ...["lan10", "overlay", "-", "-", "-", "-", "10.0.1.0/24", "-", "-"],
        "failed: unknown option tsnet.vnii=5 for mode overlay: did you mean tsnet.vni?",
      ],
    ]);
  });

  it("has a column for the host's own links where there are some", () => {
    const access = { link: "tsh-b1000000000", addresses: ["192.168.1.250"] };
    const networks = [
      networkAnswerOf({ hostAccess: { ...access, state: "up" } }),
      networkAnswerOf({ id: idOf("b3"), hostAccess: { ...access, state: "missing", addresses: [] } }),
      onBridge,
    ];
    const cells = formatNetworks(namedNetworks(networks, names))
      .split("\n")
      .map((line) => line.split(/ {3,}/)[7]);
    expect(cells).to.deep.equal([
      ...["HOST ACCESS", "tsh-b1000000000, 192.168.1.250", "tsh-b1000000000 (missing)", "-", undefined],
    ]);
  });

  const states: [values: Partial<NetworkAnswer>, text: string][] = [
    [{ state: "missing", at: "eth1" }, "parent eth1 missing"],
    [{ state: "down", at: "eth1" }, "parent eth1 down"],
    [{ state: "no carrier", at: "eth1" }, "no carrier"],
    [{ state: "missing", at: "eth1", parent: "eth1.10" }, "eth1 missing"],
    [{ state: "missing", at: "tsb-a1000000000", mode: "bridge", linkMode: null }, "bridge missing"],
    [{ state: "removing" }, "removing"],
    [{ state: "unfinished" }, "unfinished"],
  ];
  for (const [values, text] of states) {
    it(`says: ${text}`, () => {
      const [, line = ""] = formatNetworks(namedNetworks([networkAnswerOf(values)], names)).split("\n");
      expect(line.split(/ {3,}/).at(-1)).to.equal(text);
    });
  }

  it("has its header alone where there is no network", () => {
    expect(formatNetworks([])).to.match(/^NAME {3}MODE .* STATE\n$/);
  });
});

describe("tsnet endpoints, as text", () => {
  it("is a table sorted by network and address, with Docker's names where there are some", () => {
    const endpoints = [
      endpointAnswerOf({ id: idOf("e2"), addresses: ["192.168.1.100/24"], link: null, state: "lost with its parent" }),
      endpointAnswerOf({
        ...{ id: idOf("e3"), network: idOf("a1"), mode: "bridge", linkMode: null, parent: "tsb-a1000000000" },
        ...{ addresses: ["10.70.0.2/24", "fd00:70::2/64"], hostLink: "tsv-e3000000000" },
      }),
      endpointAnswerOf({
        ...{ id: idOf("e4"), network: idOf("c7"), mode: "ipvlan", linkMode: "l2", ipvlanFlag: "bridge" },
        ...{ parent: "eth1.7", vlan: { id: 7, base: "eth1" }, mac: "02:00:00:00:00:99", macIsParents: true },
      }),
      endpointAnswerOf({ id: idOf("e5"), network: idOf("c8"), mac: null, macIsParents: true, parent: "eth2" }),
      endpointAnswerOf(),
    ];
    expect(formatEndpoints(namedEndpoints(endpoints, names)).split("\n")).to.deep.equal([
      "CONTAINER               NETWORK        MODE             PARENT            VLAN   MAC                            ADDRESSES               LINK   HOST LINK         STATE",
      "endpoint e40000000000   c70000000000   ipvlan l2        eth1.7            7      02:00:00:00:00:99 (parent's)   192.168.1.10            eth0   -                 up",
      "endpoint e50000000000   c80000000000   macvlan bridge   eth2              -      - (parent's)                   192.168.1.10            eth0   -                 up",
      "one                     lan            macvlan bridge   eth1              -      02:42:c0:a8:01:0a              192.168.1.10            eth0   -                 up",
      "endpoint e20000000000   lan            macvlan bridge   eth1              -      02:42:c0:a8:01:0a              192.168.1.100           -      -                 lost with its parent",
      "endpoint e30000000000   web            bridge           tsb-a1000000000   -      02:42:c0:a8:01:0a              10.70.0.2, fd00:70::2   eth0   tsv-e3000000000   up",
      "",
    ]);
  });
});

describe("a network, as a user calls it", () => {
  const ids = [idOf("a1"), idOf("b1"), idOf("b2"), idOf("b3"), idOf("c7")];
  const networks = namedNetworks(
    ids.map((id) => networkAnswerOf({ id })),
    names,
  );

  const found: [wanted: string, id: string][] = [
    ["lan", idOf("b1")],
    ["lan9", idOf("b3")],
    [idOf("b2"), idOf("b2")],
    ["B2", idOf("b2")],
    ["c70000000000", idOf("c7")],
  ];
  for (const [wanted, id] of found) {
    it(`is found as ${wanted}`, () => expect(findNetwork(wanted, networks).id).to.equal(id));
  }

  const all =
    "there are c70000000000, lan (b10000000000), lan9 (b30000000000), lan10 (b20000000000), web (a10000000000)";
  const refused: [wanted: string, message: string][] = [
    ["nal", `nal: no such network of tsnet; ${all}`],
    ["", `: no such network of tsnet; ${all}`],
    ["LAN", `LAN: no such network of tsnet; ${all}`],
    [
      "b",
      "b: several networks have an ID that begins so; there are lan (b10000000000), lan9 (b30000000000), lan10 (b20000000000)",
    ],
  ];
  for (const [wanted, message] of refused) {
    it(`is none as "${wanted}"`, () => expect(() => findNetwork(wanted, networks)).to.throw(message));
  }

  it("is none where there is none", () => {
    expect(() => findNetwork("lan", [])).to.throw("lan: no such network of tsnet; there is no network yet");
  });

  it("is one of many: not all are named", () => {
    const many = Array.from({ length: 12 }, (_, n) => networkAnswerOf({ id: idOf(`f${n.toString(16)}`) }));
    expect(() => findNetwork("lan", namedNetworks(many, noNames))).to.throw(
      / f00000000000, .* f90000000000, and 2 more$/,
    );
  });
});
