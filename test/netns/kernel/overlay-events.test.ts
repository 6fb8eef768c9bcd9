import { execFileSync } from "node:child_process";
import { expect } from "chai";
import type { KernelChange } from "../../../src/kernel/change.ts";
import { planInnerVeth, planInnerVethRemoval, planOverlay, planVxlan } from "../../../src/plan/overlay.ts";
import { ensurePlaces, remotePlace, removePlaces, setFloodList } from "../../../src/plan/overlay-places.ts";
import { ip } from "../../support/netns.ts";
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
import { until } from "../../support/poll.ts";

const { namespace, vxlan, port, gateway, gatewayPort } = names;
const { mac } = remote(1);
const changed: KernelChange[] = [{ what: "namespace", name: namespace }];
const place = ensurePlaces(network, [remotePlace(network, remote(1))]);
const flood = setFloodList(network, ["192.168.9.3"]);

describe("events of an overlay network", () => {
  const fixture = useOverlay();
  const { ensure } = fixture;
  /** What is told now. */
  const told = (): KernelChange[] => fixture.namespaces.read();

  describe("where places are known", () => {
    beforeEach(async () => {
      await fixture.make();
      await ensure(place, flood);
    });

    it("are none of our own work: making, moving, removing, mending", async () => {
      expect(told()).to.deep.equal([]);
      const moved = remotePlace(network, { ...remote(1), vtep: "192.168.9.77" });
      await ensure(...planOverlay(network, underlay), ...planInnerVeth(network, endpoint, underlay), place);
      await ensure(ensurePlaces(network, [moved]), place, removePlaces(network, [mac]), place);
      await ensure(setFloodList(network, ["192.168.9.4"]));
      expect(told()).to.deep.equal([]);
      inside(`link del ${vxlan}`);
      expect(told()).to.deep.equal(changed);
      await ensure(planVxlan(network, underlay));
      expect(await fixture.namespaces.open(namespace).repairEntries(true)).not.to.deep.equal([]);
      expect(told()).to.deep.equal([]);
      await ensure(planVxlan(network, { ...underlay, port: 4799 }));
      expect(await fixture.namespaces.open(namespace).repairEntries(true)).not.to.deep.equal([]);
      expect(told()).to.deep.equal([]);
      await ensure(...planInnerVethRemoval(network, endpoint, null));
      fixture.namespaces.open(namespace).flush();
      expect(told()).to.deep.equal([]);
    });

    it("are none of containers whose links come up, go down, and go", async () => {
      told();
      ip("netns add box");
      ip(`link set ${names.container} netns box`);
      ip(`-n box link set ${names.container} address 02:42:0a:01:00:02 up`);
      inside(`link show ${port}`);
      ip(`-n box link set ${names.container} down`);
      expect(told()).to.deep.equal([]);
      ip(`-n box link del ${names.container}`);
      // the entry went with its port, which only Docker brings back: one look at it, and no more
      told();
      expect(await fixture.namespaces.open(namespace).repairEntries(true)).to.deep.equal([]);
      expect(told()).to.deep.equal([]);
    });

    const changes: readonly (readonly [what: string, command: string])[] = [
      ["a tunnel entry goes", `bridge fdb del ${mac} dev ${vxlan} self`],
      ["a tunnel entry leads elsewhere", `bridge fdb replace ${mac} dev ${vxlan} dst 9.9.9.9 self permanent`],
      ["an entry of the bridge goes", `bridge fdb del ${mac} dev ${vxlan} master`],
      ["an entry of the bridge moves", `bridge fdb replace ${mac} dev ${gatewayPort} master static sticky`],
      ["an entry of the bridge is loose", `bridge fdb replace ${mac} dev ${vxlan} master static`],
      ["somebody adds an entry", `bridge fdb add 02:99:99:99:99:99 dev ${vxlan} master static`],
      ["the flood list lacks a host", `bridge fdb del 00:00:00:00:00:00 dev ${vxlan} dst 192.168.9.3 self`],
      [
        "the flood list has another host",
        `bridge fdb append 00:00:00:00:00:00 dev ${vxlan} dst 9.9.9.9 self permanent`,
      ],
      ["a neighbor goes", `ip neigh del 10.2.0.1 dev ${names.bridge}`],
      ["a neighbor has another MAC", `ip neigh replace 10.2.0.1 lladdr 02:11:11:11:11:11 dev ${names.bridge}`],
      ["a neighbor of IPv6 goes", `ip neigh del fd00:1::2 dev ${names.bridge}`],
      ["somebody adds a neighbor", `ip neigh add 10.1.0.99 lladdr 02:11:11:11:11:11 dev ${names.bridge}`],
      ["the bridge is down", `ip link set ${names.bridge} down`],
      ["the VXLAN link is down", `ip link set ${vxlan} down`],
      ["the VXLAN link is gone", `ip link del ${vxlan}`],
      ["the VXLAN link is no port", `ip link set ${vxlan} nomaster`],
      ["a port learns", `bridge link set dev ${port} learning on`],
      ["a port does not flood", `bridge link set dev ${port} bcast_flood off`],
      ["a port has another MTU", `ip link set ${port} mtu 1300`],
      ["a link has another alias", `ip link set ${port} alias mine`],
      ["the way out is gone", `ip link del ${gatewayPort}`],
    ];
    for (const [what, command] of changes) {
      it(`tell that ${what}`, () => {
        expect(told()).to.deep.equal([]);
        const [program, ...words] = command.split(" ");
        (program === "ip" ? inside : bridge)(words.join(" "));
        expect(told()).to.deep.equal(changed);
        expect(told()).to.deep.equal([]);
      });
    }

    it("are none of what is undone at once", () => {
      told();
      inside(`neigh del 10.2.0.1 dev ${names.bridge}`);
      inside(`neigh add 10.2.0.1 lladdr ${mac} dev ${names.bridge} nud permanent`);
      inside(`link set ${vxlan} mtu 1300`);
      inside(`link set ${vxlan} mtu 1450`);
      expect(told()).to.deep.equal([]);
    });

    it("tell that the namespace's file was removed, and that another has its place", async () => {
      told();
      ip(`netns del ${namespace}`);
      expect(told()).to.deep.equal(changed);
      await ensure({ op: "ensure-namespace", name: namespace });
      expect(inside(`link show ${vxlan}`)).to.include(vxlan);
      expect(told()).to.deep.equal([]);
      ip(`netns del ${namespace}`);
      ip(`netns add ${namespace}`);
      expect(told()).to.deep.equal(changed);
      expect(fixture.namespaces.isPinned(namespace)).to.equal(false);
      await ensure({ op: "ensure-namespace", name: namespace });
      expect(inside(`link show ${vxlan}`)).to.include(vxlan);
    });

    it("tell once that some were lost, and all that comes after", () => {
      told();
      const flap = ["add", "del"].map((what) => `fdb ${what} 02:99:99:99:99:99 dev ${vxlan} master static\n`).join("");
      execFileSync("bridge", ["-n", namespace, "-batch", "-"], { input: flap.repeat(10_000) });
      expect(told()).to.deep.equal(changed);
      expect(told()).to.deep.equal([]);
      bridge(`fdb del ${mac} dev ${vxlan} self`);
      expect(told()).to.deep.equal(changed);
    });

    it("are no more of a namespace that was removed", async () => {
      told();
      await ensure({ op: "remove-namespace", name: namespace });
      expect(told()).to.deep.equal([]);
      expect(ip("netns list")).to.equal("");
      expect(() => ip(`link show ${gateway}`)).to.throw();
    });
  });

  it("are none of what is learned where places are not known, whatever comes in", async () => {
    const learning = { ...underlay, knowsPlaces: false };
    await ensure(...planOverlay(network, learning), ...planInnerVeth(network, endpoint, learning));
    const frames = "02:77:00:00:00:01";
    ip(`link set ${names.container} address ${frames}`);
    told();
    ip(`link set ${names.container} up`); // the kernel then looks for duplicates of its link-local address
    await until("a frame is learned from", 5000, () =>
      entries().some((line) => line.startsWith(`${frames} dev ${port} master`)),
    );
    expect(told()).to.deep.equal([]);
    bridge(`fdb add 02:99:99:99:99:99 dev ${vxlan} master static`);
    expect(told()).to.deep.equal(changed);
  });
});
