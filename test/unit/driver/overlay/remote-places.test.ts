import { expect } from "chai";
import { RemotePlaces } from "../../../../src/driver/overlay/remote-places.ts";
import { namespaceName } from "../../../../src/net/names.ts";
import type { OverlayNetwork } from "../../../../src/plan/network.ts";
import type { Op } from "../../../../src/plan/op.ts";
import type { RemoteEndpoint } from "../../../../src/plan/overlay-places.ts";
import { TestLog } from "../../../support/driver.ts";
import { endpointOf, idOf, overlayOf } from "../../../support/values.ts";

const network = { ...overlayOf(), vni: 4097 };
const here = endpointOf({ network: network.id });
const mac = here.mac ?? "";
const elsewhere = (n: number): RemoteEndpoint => ({
  ...{ mac: `02:42:0a:05:01:${(n % 100) + 10}`, ips: [`10.5.1.${n}`], vtep: "192.0.2.2" },
});
const moved: RemoteEndpoint = { mac, ips: ["10.5.0.2"], vtep: "192.0.2.2" };

/** "put 02:…", by the operations in the namespace. */
const texts = (op: Op): string[] =>
  (op.op === "in-namespace" ? op.ops : []).map((inner) => {
    if (inner.op === "ensure-places") return `put ${inner.places.map((place) => place.mac)}`;
    if (inner.op === "remove-places") return `remove ${inner.macs}`;
    return inner.op === "set-flood-list" ? `flood to ${inner.vteps}` : inner.op;
  });

/** A control plane and a kernel in memory. */
class Fixture {
  /** What this host has. */
  own = [here];
  all: RemoteEndpoint[] = [];
  hosts = ["192.0.2.2"];
  local = "192.0.2.1";
  isComplete = true;
  applied: string[] = [];
  /** The kernel refuses what contains this. */
  refused: string | undefined;
  readonly log = new TestLog();
  readonly places = new RemotePlaces({
    plane: {
      isComplete: () => this.isComplete,
      remotes: () => this.all,
      remote: (vni, wanted) => this.all.find((one) => vni === network.vni && one.mac === wanted),
      hostsOf: () => this.hosts,
    },
    kernel: {
      apply: async (ops) => {
        const some = ops.flatMap(texts);
        if (some.some((text) => this.refused && text.includes(this.refused))) throw new Error("no");
        this.applied.push(...some);
      },
      repairEntries: async (name, isComplete) => {
        this.applied.push(`compare ${name}${isComplete ? " with all" : ""}`);
        return [];
      },
    },
    endpointsOf: () => this.own,
    localOf: () => this.local,
    log: this.log,
  });

  /** What was done since it was asked for last. */
  get done(): string[] {
    return this.applied.splice(0);
  }
}

describe("the places of other hosts' endpoints", () => {
  let fixture: Fixture;
  let places: RemotePlaces;
  beforeEach(() => {
    fixture = new Fixture();
    places = fixture.places;
  });
  const change = { vni: network.vni, put: [elsewhere(1)], removed: [elsewhere(2).mac] };
  const compared = `compare ${namespaceName(network.id)}`;

  it("come and go as they are told", async () => {
    await places.change(network, change);
    expect(fixture.done).to.deep.equal([`put ${elsewhere(1).mac}`, `remove ${elsewhere(2).mac}`]);
  });

  it("are not what is told of an endpoint that is here, whether it comes or goes there", async () => {
    const told = { vni: network.vni, put: [moved], removed: [] };
    const gone = { vni: network.vni, put: [], removed: [mac] };
    await places.change(network, told);
    await places.change(network, gone);
    expect(fixture.done).to.deep.equal([]);
    fixture.own = [];
    await places.change(network, told);
    await places.change(network, gone);
    expect(fixture.done).to.deep.equal([`put ${mac}`, `remove ${mac}`]);
  });

  it("are handed over in parts, after the hosts that have the network", async () => {
    fixture.all = [...Array.from({ length: 450 }, (_, n) => elsewhere(n)), moved];
    await places.put(network);
    const counts = fixture.done.map((text) => `${text.split(" ")[0]} ${text.split(",").length}`);
    expect(counts).to.deep.equal(["flood 1", "put 200", "put 200", "put 50"]);
    const removed = Array.from({ length: 450 }, (_, n) => `02:42:0a:05:02:${n}`);
    await places.change(network, { vni: network.vni, put: [], removed });
    expect(fixture.done.map((text) => text.split(",").length)).to.deep.equal([200, 200, 50]);
  });

  it("are no hosts to which frames for all go, if the network does not flood", async () => {
    await places.flood(network);
    await places.flood({ ...network, flood: false });
    expect(fixture.done).to.deep.equal(["flood to 192.0.2.2", "flood to "]);
  });

  describe("that this host had as well", () => {
    it("are where its own endpoint was, if that goes or was refused", () => {
      fixture.own = [];
      expect(places.placeAfter(network, here)).to.equal(null);
      fixture.all = [elsewhere(1)];
      expect(places.placeAfter(network, here)).to.equal(null);
      fixture.all = [moved];
      expect(places.placeAfter(network, here)).to.deep.include({ mac, vtep: "192.0.2.2" });
    });

    it("are not taken from another endpoint here with the same MAC address", () => {
      fixture.own = [endpointOf({ id: idOf("e7"), network: network.id })];
      expect(places.placeAfter(network, here)).to.deep.include({ mac, port: "tsv-e7000000000", vtep: null });
    });
  });

  describe("that are learned from frames", () => {
    const task: RemoteEndpoint = { ...elsewhere(1), vtep: null };

    it("are put without one, whatever family this host's tunnel address has", async () => {
      fixture.all = [task];
      fixture.local = "2001:db8::1";
      await places.put(network);
      expect(fixture.done).to.include(`put ${task.mac}`);
      expect(fixture.log.lines).to.deep.equal([]);
    });

    it("are said once to be left out where they have the gateway's address, though hosts come and go", async () => {
      fixture.all = [{ ...task, ips: ["10.5.0.1"] }];
      await places.put(network);
      fixture.hosts = ["192.0.2.3"];
      await places.flood(network);
      await places.put(network);
      expect(fixture.log.lines).to.have.length(1);
      expect(fixture.log.lines[0]).to.contain("10.5.0.1 is the gateway's");
    });
  });

  it("are never on this host itself, which gets nothing back that is for all", async () => {
    fixture.hosts = ["192.0.2.1", "192.0.2.2"];
    await places.put(network);
    expect(fixture.done).to.include("flood to 192.0.2.2");
  });

  it("are told before what an earlier process has left is looked for, though they wait for their turn as well", async () => {
    fixture.isComplete = false;
    await places.put(network);
    await places.repair(network);
    expect(fixture.done).to.deep.equal(["flood to 192.0.2.2", compared]);
    fixture.all = [elsewhere(1)];
    fixture.isComplete = true;
    expect(await places.repair(network)).to.deep.equal([]);
    expect(fixture.done).to.deep.equal(["flood to 192.0.2.2", `put ${elsewhere(1).mac}`, `${compared} with all`]);
    await places.repair(network);
    expect(fixture.done).to.deep.equal([`${compared} with all`]);
  });

  it("are told once more if all became known only while they were handed over", async () => {
    fixture.isComplete = false;
    const put = places.put(network);
    fixture.isComplete = true;
    await put;
    fixture.all = [elsewhere(1)];
    fixture.applied = [];
    await places.repair(network);
    expect(fixture.done).to.deep.equal(["flood to 192.0.2.2", `put ${elsewhere(1).mac}`, `${compared} with all`]);
  });

  describe("that the kernel refuses", () => {
    it("keep no others from it, and it is told of all again, with what is gone", async () => {
      fixture.all = [elsewhere(1), elsewhere(2)];
      await places.put(network);
      fixture.refused = elsewhere(2).mac;
      const gone = { vni: network.vni, put: [elsewhere(3)], removed: [elsewhere(2).mac] };
      expect(fixture.done).to.have.length(2);
      await places.change(network, gone);
      expect(fixture.done).to.deep.equal([`put ${elsewhere(3).mac}`]);
      expect(fixture.log.lines.join()).to.match(/^error: the kernel could not be told all that other hosts have/);
      fixture.all = [elsewhere(1), elsewhere(3)];
      // as long as it refuses, what nobody asked for may be somebody's
      await places.repair(network);
      const all = ["flood to 192.0.2.2", `put ${elsewhere(1).mac},${elsewhere(3).mac}`];
      expect(fixture.done).to.deep.equal([...all, compared]);
      fixture.refused = undefined;
      const reasons = await places.repair(network);
      expect(fixture.done).to.deep.equal([...all, `remove ${elsewhere(2).mac}`, `${compared} with all`]);
      expect(reasons.join()).to.contain("not all that other hosts have was in the kernel");
      expect(await places.repair(network)).to.deep.equal([]);
      expect(fixture.done).to.deep.equal([`${compared} with all`]);
    });

    it("keep what comes after them no way out, if it is the hosts that are refused", async () => {
      fixture.refused = "flood";
      fixture.all = [elsewhere(1)];
      await places.put(network);
      expect(fixture.done).to.deep.equal([`put ${elsewhere(1).mac}`]);
      fixture.refused = undefined;
      await places.repair(network);
      expect(fixture.done).to.include("flood to 192.0.2.2");
    });
  });

  describe("of hosts with a tunnel address of the other family", () => {
    const stranger = { ...elsewhere(5), vtep: "2001:db8::5" };

    it("are left out, and so are their hosts, and each is said once", async () => {
      fixture.all = [elsewhere(1), stranger, { ...stranger, mac: elsewhere(6).mac }];
      fixture.hosts = ["192.0.2.2", stranger.vtep];
      await places.put(network);
      await places.put({ ...network, id: idOf("a2") });
      const once = ["flood to 192.0.2.2", `put ${elsewhere(1).mac}`];
      expect(fixture.done.filter((text) => !text.startsWith("remove"))).to.deep.equal([...once, ...once]);
      expect(fixture.log.lines).to.have.length(1);
      expect(fixture.log.lines[0]).to.match(/^warn: .*2001:db8::5 .*192\.0\.2\.1.*TSNET_ADVERTISE_ADDRESS/);
    });

    it("go from the kernel when they change to it", async () => {
      await places.change(network, { vni: network.vni, put: [elsewhere(5)], removed: [] });
      await places.change(network, { vni: network.vni, put: [stranger], removed: [] });
      expect(fixture.done).to.deep.equal([`put ${stranger.mac}`, `remove ${stranger.mac}`]);
    });

    it("come when this host changes to it, and the others go", async () => {
      fixture.all = [elsewhere(1), stranger];
      fixture.hosts = ["192.0.2.2", stranger.vtep];
      await places.put(network);
      expect(fixture.done).to.include(`put ${elsewhere(1).mac}`);
      fixture.local = "2001:db8::1";
      await places.repair(network);
      const now = [`flood to ${stranger.vtep}`, `put ${stranger.mac}`, `remove ${elsewhere(1).mac}`];
      expect(fixture.done).to.deep.equal([...now, `${compared} with all`]);
    });

    it("are said again when the host was gone in between", async () => {
      fixture.all = [stranger];
      for (const hosts of [[stranger.vtep], [], [stranger.vtep]]) {
        fixture.hosts = hosts;
        await places.put(network);
      }
      expect(fixture.log.lines).to.have.length(2);
    });
  });

  describe("with what is the gateway's", () => {
    const thieves: [what: string, thief: RemoteEndpoint][] = [
      ["MAC address", { ...elsewhere(5), mac: network.mac }],
      ["address", { ...elsewhere(5), ips: ["10.5.0.1"] }],
    ];
    for (const [what, thief] of thieves) {
      it(`are left out: ${what}`, async () => {
        fixture.all = [thief, elsewhere(1)];
        await places.put(network);
        await places.change(network, { vni: network.vni, put: [thief], removed: [] });
        expect(fixture.done.filter((text) => text.startsWith("put"))).to.deep.equal([`put ${elsewhere(1).mac}`]);
        expect(fixture.log.lines.join()).to.contain("is the gateway's of network a1");
        expect(fixture.log.lines).to.have.length(1);
        expect(places.placeAfter(network, endpointOf({ mac: thief.mac }))).to.equal(null);
      });
    }

    it("do not take the gateway along when they go", async () => {
      const [[, thief] = []] = thieves;
      fixture.all = thief ? [thief] : [];
      await places.put(network);
      await places.change(network, { vni: network.vni, put: [], removed: [network.mac] });
      expect(fixture.done).to.deep.equal(["flood to 192.0.2.2"]);
    });

    it("are like others where nobody has a gateway", async () => {
      const internal: OverlayNetwork = { ...overlayOf({}, { internal: true }), vni: 4097 };
      fixture.all = thieves.map(([, thief]) => thief);
      await places.put(internal);
      expect(fixture.done).to.include(`put ${fixture.all.map((one) => one.mac)}`);
    });
  });
});
