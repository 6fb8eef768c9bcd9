import { setImmediate as nextTurn } from "node:timers/promises";
import { expect } from "chai";
import { NetlinkSocket } from "../../../src/kernel/netlink/socket.ts";
import { planInnerVethRemoval, planOverlay, planVxlan } from "../../../src/plan/overlay.ts";
import { ensurePlaces, remotePlace, removePlaces, setFloodList } from "../../../src/plan/overlay-places.ts";
import {
  bridge,
  endpoint,
  entries,
  inside,
  names,
  network,
  remote,
  underlay,
  useOverlay,
} from "../../support/overlay-links.ts";

const { namespace, vxlan, port, gatewayPort } = names;
const [first, second] = [remote(1), remote(2)];
const at = (n: number) => ensurePlaces(network, [remotePlace(network, remote(n))]);
const flood = setFloodList(network, ["192.168.9.3", "192.168.9.4"]);

/** As `entries` has those of a remote endpoint. */
const linesOf = ({ mac, ips, vtep }: typeof first): string[] => [
  `${ips[0]} dev ${names.bridge} lladdr ${mac} PERMANENT`,
  `${mac} dev ${vxlan} dst ${vtep} self permanent`,
  `${mac} dev ${vxlan} sticky master ${names.bridge} static`,
];

describe("entries of an overlay network", () => {
  const fixture = useOverlay();
  const { ensure } = fixture;
  const repair = (isComplete = true): Promise<readonly string[]> =>
    fixture.namespaces.open(namespace).repairEntries(isComplete);

  beforeEach(async () => {
    await fixture.make();
    await ensure(at(1), at(2), flood);
  });

  it("are those of its places, of the gateway and of the flood list, once", async () => {
    const lines = entries();
    expect(lines).to.include.members([
      ...linesOf(first),
      ...linesOf(second),
      `02:42:0a:01:00:02 dev ${port} sticky master ${names.bridge} static`,
      `fd00:1::2 dev ${names.bridge} lladdr 02:42:0a:01:00:02 PERMANENT`,
      `${network.mac} dev ${gatewayPort} sticky master ${names.bridge} static`,
      `10.1.0.1 dev ${names.bridge} lladdr ${network.mac} PERMANENT`,
      `00:00:00:00:00:00 dev ${vxlan} dst 192.168.9.3 self permanent`,
    ]);
    expect(lines).to.have.length(6 + 2 * 3 + 2);
    await ensure(at(1), at(2), flood);
    expect(entries()).to.deep.equal(lines);
    expect(await repair()).to.deep.equal([]);
  });

  it("follow an endpoint to another host, to this one, and away", async () => {
    await ensure(ensurePlaces(network, [remotePlace(network, { ...first, vtep: "192.168.9.77" })]));
    expect(entries())
      .to.include.members(linesOf({ ...first, vtep: "192.168.9.77" }))
      .and.not.include(linesOf(first)[1]);
    const here = { mac: first.mac, ips: first.ips, port, vtep: null };
    await ensure(ensurePlaces(network, [here]));
    expect(entries().filter((line) => line.includes(first.mac))).to.deep.equal([
      `${first.mac} dev ${port} sticky master ${names.bridge} static`,
      linesOf(first)[0],
    ]);
    await ensure(removePlaces(network, [first.mac, second.mac, "02:00:00:00:00:77"]));
    expect(entries().filter((line) => line.includes("02:42:0a:02"))).to.deep.equal([]);
    expect(await repair()).to.deep.equal([]);
  });

  it("leave an address to who has it now", async () => {
    await ensure(ensurePlaces(network, [remotePlace(network, { ...second, ips: first.ips })]));
    await ensure(removePlaces(network, [first.mac]));
    expect(entries().filter((line) => line.startsWith(`${first.ips[0]} `))).to.deep.equal([
      `${first.ips[0]} dev ${names.bridge} lladdr ${second.mac} PERMANENT`,
    ]);
  });

  it("have the hosts of the flood list that is asked for last", async () => {
    await ensure(setFloodList(network, ["192.168.9.4", "192.168.9.5"]));
    const found = entries().filter((line) => line.startsWith("00:00"));
    expect(found.map((line) => line.split(" ")[4])).to.deep.equal(["192.168.9.4", "192.168.9.5"]);
    await ensure(setFloodList(network, []));
    expect(entries().filter((line) => line.startsWith("00:00"))).to.deep.equal([]);
  });

  const poison: readonly (readonly [what: string, reason: string, ...commands: string[]])[] = [
    ["a tunnel entry is gone", "is gone", `bridge fdb del ${first.mac} dev ${vxlan} self`],
    [
      "a tunnel entry leads elsewhere",
      "should be",
      `bridge fdb replace ${first.mac} dev ${vxlan} dst 9.9.9.9 self permanent`,
    ],
    [
      "a tunnel entry has another port",
      "by a way of its own",
      `bridge fdb replace ${first.mac} dev ${vxlan} dst ${first.vtep} port 99 self permanent`,
    ],
    ["an entry of the bridge is gone", "is gone", `bridge fdb del ${first.mac} dev ${vxlan} master`],
    [
      "an entry of the bridge is at another port",
      `at port ${gatewayPort}`,
      `bridge fdb replace ${first.mac} dev ${gatewayPort} master static sticky`,
    ],
    [
      "an entry of the bridge is not sticky",
      "not sticky",
      `bridge fdb replace ${first.mac} dev ${vxlan} master static`,
    ],
    [
      "an entry of the bridge is a learned one",
      "is gone",
      `bridge fdb del ${first.mac} dev ${vxlan} master`,
      `bridge fdb add ${first.mac} dev ${gatewayPort} master dynamic`,
    ],
    [
      "the entry of a local endpoint is at another port",
      `at port ${vxlan}`,
      `bridge fdb replace 02:42:0a:01:00:02 dev ${vxlan} master static sticky`,
    ],
    ["somebody's entry is there", "nobody's", `bridge fdb add 02:99:99:99:99:99 dev ${vxlan} master static`],
    [
      "an entry of an earlier process is there",
      "nobody's",
      `bridge fdb add 02:99:99:99:99:99 dev ${vxlan} master static sticky`,
    ],
    [
      "somebody's tunnel entry is there",
      "nobody's",
      `bridge fdb add 02:99:99:99:99:99 dev ${vxlan} dst 9.9.9.9 self static`,
    ],
    ["a neighbor is gone", "is gone", `ip neigh del ${first.ips[0]} dev ${names.bridge}`],
    [
      "a neighbor has another MAC",
      "should be",
      `ip neigh replace ${first.ips[0]} lladdr 02:11:11:11:11:11 dev ${names.bridge}`,
    ],
    ["a neighbor of IPv6 is gone", "is gone", `ip neigh del fd00:1::2 dev ${names.bridge}`],
    ["somebody's neighbor is there", "nobody's", `ip neigh add 10.1.0.99 lladdr 02:11:11:11:11:11 dev ${names.bridge}`],
    [
      "a host of the flood list is gone",
      "is gone",
      `bridge fdb del 00:00:00:00:00:00 dev ${vxlan} dst 192.168.9.3 self`,
    ],
    [
      "a host is in the flood list that should not be",
      "nobody's",
      `bridge fdb append 00:00:00:00:00:00 dev ${vxlan} dst 9.9.9.9 self permanent`,
    ],
    [
      "a host is in the flood list with another port",
      "nobody's",
      `bridge fdb append 00:00:00:00:00:00 dev ${vxlan} dst 192.168.9.3 port 99 self permanent`,
    ],
  ];
  for (const [what, reason, ...commands] of poison) {
    it(`are mended when ${what}`, async () => {
      const before = entries();
      for (const command of commands) {
        const [program, ...words] = command.split(" ");
        (program === "ip" ? inside : bridge)(words.join(" "));
      }
      expect(entries()).not.to.deep.equal(before);
      const [told = "", ...others] = await repair();
      expect(others).to.deep.equal([]);
      expect(told).to.include(reason);
      expect(entries()).to.deep.equal(before);
      expect(await repair()).to.deep.equal([]);
    });
  }

  it("of others stay as long as not all was told, and what is known is mended", async () => {
    const before = entries();
    bridge(`fdb add 02:99:99:99:99:99 dev ${vxlan} master static`);
    bridge(`fdb del ${first.mac} dev ${vxlan} self`);
    expect((await repair(false)).map((reason) => reason.replace(/.* (is|should)/, "$1"))).to.deep.equal(["is gone"]);
    expect(entries().filter((line) => !before.includes(line))).to.deep.equal([
      `02:99:99:99:99:99 dev ${vxlan} master ${names.bridge} static`,
    ]);
    expect(await repair(true)).to.have.length(1);
    expect(entries()).to.deep.equal(before);
  });

  it("come back with a VXLAN link that was deleted", async () => {
    const before = entries();
    inside(`link del ${vxlan}`);
    expect(await repair(), "without the link there is nothing to be done").to.deep.equal([]);
    await ensure(planVxlan(network, underlay));
    expect(await repair()).to.have.length(2 + 2 * 2);
    expect(entries()).to.deep.equal(before);
  });

  it("of an endpoint whose link went with its container are no repair, and go with it", async () => {
    inside(`link del ${port}`);
    expect(await repair()).to.deep.equal([]);
    await ensure(...planInnerVethRemoval(network, endpoint, null));
    expect(entries().filter((line) => line.includes("02:42:0a:01:00:02"))).to.deep.equal([]);
    expect(await repair()).to.deep.equal([]);
  });

  it("of an endpoint that goes from here are those of the one that another host has in its place", async () => {
    const there = { mac: "02:42:0a:01:00:02", ips: ["10.1.0.2"], vtep: "192.168.9.3" };
    await ensure(...planInnerVethRemoval(network, endpoint, remotePlace(network, there)));
    expect(entries().filter((line) => line.includes(there.mac))).to.have.members(linesOf(there));
    expect(await repair()).to.deep.equal([]);
  });

  it("refuse a port that is not there, naming it", async () => {
    const { errno, message } = await fixture.failure(
      ensurePlaces(network, [{ mac: "02:00:00:00:00:01", ips: [], port: "tsv-nobody", vtep: null }]),
    );
    expect({ errno, message }).to.deep.equal({
      errno: "ENODEV",
      message: `in-namespace ${namespace} ensure-places: RTM_GETLINK: ENODEV No such device: tsv-nobody`,
    });
  });

  it("of ten thousand endpoints are put, compared in turns with other work, and mended", async () => {
    const places = Array.from({ length: 10_000 }, (_, n) => remotePlace(network, remote(n + 1)));
    for (let n = 0; n < places.length; n += 200) await ensure(ensurePlaces(network, places.slice(n, n + 200)));
    const before = entries();
    expect(before).to.have.length(6 + 2 + 3 * 10_000);
    let turns = 0;
    let found: readonly string[] | undefined;
    const done = repair().then((reasons) => {
      found = reasons;
    });
    while (found === undefined) {
      await nextTurn();
      turns += 1;
    }
    await done;
    expect(found).to.deep.equal([]);
    expect(turns).to.be.greaterThan(20);
    inside(`link del ${vxlan}`);
    await ensure(...planOverlay(network, underlay), flood);
    expect(await repair()).to.have.length(2 * 10_000);
    expect(entries()).to.deep.equal(before);
  });

  it("that are put while they are compared are no repair", async () => {
    const places = Array.from({ length: 3000 }, (_, n) => remotePlace(network, remote(n + 1)));
    await ensure(ensurePlaces(network, places));
    const compared = repair();
    for (let n = 3001; n < 3400; n++) {
      await nextTurn();
      await ensure(at(n), removePlaces(network, [remote(n - 2500).mac]));
    }
    expect(await compared).to.deep.equal([]);
    expect(await repair()).to.deep.equal([]);
  });

  it("that the kernel does not list, though they are there, are no repair; those that are not there are one", async () => {
    const mac = Buffer.from(first.mac.replaceAll(":", ""), "hex");
    const whole = NetlinkSocket.prototype.dumpAside;
    NetlinkSocket.prototype.dumpAside = function (request, begin, visit) {
      return whole.call(this, request, begin, (message) => message.payload.includes(mac) || visit(message));
    };
    try {
      expect(await repair()).to.deep.equal([]);
      bridge(`fdb del ${first.mac} dev ${vxlan} self`);
      expect(await repair()).to.deep.equal([`forwarding entry ${first.mac} at host ${first.vtep} is gone`]);
    } finally {
      NetlinkSocket.prototype.dumpAside = whole;
    }
    expect(entries()).to.include.members(linesOf(first));
  });
});
