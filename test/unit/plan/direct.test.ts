import { expect } from "chai";
import {
  type DirectEndpoint,
  directElements,
  directTable,
  localElements,
  mayBeDirect,
  planDirectEndpoint,
  wayTo,
} from "../../../src/plan/direct.ts";
import { compareDirect, type DirectState, planDirectChange, unsure } from "../../../src/plan/direct-change.ts";
import type { Op } from "../../../src/plan/op.ts";
import { endpointOf, ipv6, overlayOf } from "../../support/values.ts";

const path = { source: "192.168.77.1", link: "eth0", mtuBytes: 1500, gateway: "" };
const ethernet = { mac: "02:00:00:00:00:01" };
const remote = { mac: "02:42:0a:05:00:09", ips: ["10.5.0.9", "fd00:5::9"], vtep: "192.168.77.2" };
const always = (): boolean => true;

/** What an operation does, in a word or two. */
const short = (op: Op): string => {
  if (op.op === "put-direct-routes") return `+ ${op.routes.map(({ destination }) => destination).join(" ")}`;
  if (op.op === "remove-direct-routes") return `- ${op.destinations.join(" ")}`;
  if (op.op !== "in-namespace" || op.ops[0]?.op !== "change-direct") return op.op;
  const { add, remove } = op.ops[0];
  const keys = (sets: typeof add): string[] => Object.values(sets).flatMap((content) => Object.keys(content));
  return [...keys(remove).map((key) => `out ${key}`), ...keys(add).map((key) => `in ${key}`)].join(", ");
};

const state = (...endpoints: [mac: string, DirectEndpoint][]): DirectState => ({
  local: [],
  endpoints: new Map(endpoints),
});
const nothing = state();

/** An endpoint with one address. */
const one = (n: number, via = "192.168.77.2"): [string, DirectEndpoint] => {
  const way = wayTo(via, path, ethernet);
  return [`m${n}`, planDirectEndpoint({ mac: `m${n}`, ips: [`10.5.0.${n}`], vtep: via }, way, always)];
};

describe("the way to another host", () => {
  it("is direct to a neighbor on an Ethernet segment, and to no other", () => {
    expect(wayTo("192.168.77.2", path, ethernet)).to.deep.equal({
      ...{ isDirect: true, link: "eth0", via4: "192.168.77.2", via6: null },
    });
    for (const [reason, there, link] of [
      ["there is no route to it", undefined, undefined],
      ["it is behind the router 192.168.77.254", { ...path, gateway: "192.168.77.254" }, ethernet],
      ["the way there, wg0, is no Ethernet", { ...path, link: "wg0" }, { mac: "" }],
      ["the way there, gre1, is no Ethernet", { ...path, link: "gre1" }, { mac: "c0:a8:4d:01" }],
    ] as const) {
      expect(wayTo("192.168.77.2", there, link)).to.deep.equal({ isDirect: false, reason });
    }
  });

  it("is for IPv6 where an address of IPv6 of the host is known", () => {
    const plan = (host: string, host6?: string): string[] =>
      planDirectEndpoint(remote, wayTo(host, path, ethernet, host6 ?? null), always).routes.map(
        ({ destination, via, link }) => `${destination} via ${via} dev ${link}`,
      );
    expect(plan("192.168.77.2")).to.deep.equal(["10.5.0.9 via 192.168.77.2 dev eth0"]);
    expect(plan("192.168.77.2", "fe80::2")).to.deep.equal([
      "10.5.0.9 via 192.168.77.2 dev eth0",
      "fd00:5::9 via fe80::2 dev eth0",
    ]);
    expect(plan("fd00:77::2")).to.deep.equal(["10.5.0.9 via fd00:77::2 dev eth0", "fd00:5::9 via fd00:77::2 dev eth0"]);
  });
});

describe("what goes the short way", () => {
  it("is an endpoint's address with its MAC address, once its family is proven", () => {
    const way = wayTo("192.168.77.2", path, ethernet, "fe80::2");
    const elements = (isProven: (family: 4 | 6) => boolean) => planDirectEndpoint(remote, way, isProven).elements;
    expect(elements(always)).to.deep.equal([
      ["direct4", "02:42:0a:05:00:09 . 10.5.0.9", ""],
      ["direct6", "02:42:0a:05:00:09 . fd00:5::9", ""],
    ]);
    expect(elements((family) => family === 6).map(([set]) => set)).to.deep.equal(["direct6"]);
    expect(elements(() => false)).to.deep.equal([]);
    expect(planDirectEndpoint(remote, wayTo("192.168.77.2", undefined, undefined), always)).to.deep.equal({
      ...{ host: "192.168.77.2", routes: [], elements: [] },
    });
  });

  it("is sent by this host's endpoints", () => {
    const endpoints = [endpointOf({ addresses: ["10.5.0.1/24", "fd00:5::1/64"] })];
    expect(localElements(endpoints)).to.deep.equal([
      ["local4", "10.5.0.1", ""],
      ["local6", "fd00:5::1", ""],
    ]);
  });

  it("is of a network whose gateways this host has, and not by tsnet.datapath=vxlan", () => {
    expect(mayBeDirect(overlayOf())).to.equal(true);
    expect(mayBeDirect(overlayOf({ "tsnet.datapath": "direct" }))).to.equal(true);
    expect(mayBeDirect(overlayOf({ "tsnet.datapath": "vxlan" }))).to.equal(false);
    expect(mayBeDirect(overlayOf({ "tsnet.egress": "engine" }))).to.equal(false);
    expect(mayBeDirect(overlayOf({}, { internal: true }))).to.equal(false);
  });

  it("passes the firewall within the network, from its own link and those of other hosts", () => {
    const network = overlayOf({}, { ipv6 });
    expect(directElements(network, ["eth0"]).map(([set, key]) => `${set} ${key}`)).to.deep.equal([
      `direct4 ${network.bridge} . 10.5.0.0/24 . 10.5.0.0/24`,
      `direct6 ${network.bridge} . fd00:18::/64 . fd00:18::/64`,
      "direct4 eth0 . 10.5.0.0/24 . 10.5.0.0/24",
      "direct6 eth0 . fd00:18::/64 . fd00:18::/64",
    ]);
  });

  it("passes the firewall nowhere without a link by which anybody is reached", () => {
    expect(directElements(overlayOf(), [])).to.deep.equal([]);
  });

  it("is not what the gateway or the tunnel brings, nor what would notice", () => {
    const { definition } = directTable(overlayOf());
    expect(definition).to.match(
      /iifname \{ "tsu-a1000000000", "tsx-a1000000000" \} accept\n\s*ip ttl 3-254 .*\n\s*ip6 hoplimit 3-254 /,
    );
  });
});

describe("changes of what goes the short way", () => {
  const network = overlayOf();
  const change = (before: DirectState, after: DirectState): string[] =>
    planDirectChange(network, compareDirect(before, after)).map(short);

  it("put the route first, and remove it last", () => {
    expect(change(nothing, state(one(7)))).to.deep.equal(["+ 10.5.0.7", "in m7 . 10.5.0.7"]);
    expect(change(state(one(7)), nothing)).to.deep.equal(["out m7 . 10.5.0.7", "- 10.5.0.7"]);
    expect(change(state(one(7)), state(one(7)))).to.deep.equal([]);
  });

  it("replace the route of an endpoint that moves, which goes by VXLAN meanwhile", () => {
    expect(change(state(one(7)), state(one(7, "192.168.77.3")))).to.deep.equal([
      ...["out m7 . 10.5.0.7", "+ 10.5.0.7", "in m7 . 10.5.0.7"],
    ]);
  });

  it("say who the senders are before anything is turned over", () => {
    const local = [["local4", "10.5.0.1", ""]] as const;
    expect(change(nothing, { ...state(one(7)), local })[0]).to.equal("in 10.5.0.1");
  });

  it("go to the kernel some at a time", () => {
    const many = state(...Array.from({ length: 450 }, (_, n) => one(n)));
    expect(change(nothing, many)).to.have.length(6);
  });

  it("are made anew where nobody knows what came of the last ones", () => {
    const before = unsure(state(one(7)), state(one(8)));
    expect(change(before, state(one(8)))).to.deep.equal([
      ...["out m7 . 10.5.0.7, out m8 . 10.5.0.8", "- 10.5.0.7", "+ 10.5.0.8", "in m8 . 10.5.0.8"],
    ]);
  });
});
