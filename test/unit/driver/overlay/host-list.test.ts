import { expect } from "chai";
import { noHostList, type PoolHolders } from "../../../../src/driver/overlay/host-list.ts";
import type { TsnetError } from "../../../../src/errors.ts";
import { noPoolHolders, overlayEndpoint, overlayNetwork, PlaneHost } from "../../../support/plane-host.ts";
import { soon, usePlaneHosts } from "../../../support/plane-hosts.ts";
import { Wire } from "../../../support/shared-host.ts";

/** A host has three addresses in pools that hosts share. */
const holding = (host: string, givenUp: string[], before = async (): Promise<unknown> => undefined): PoolHolders => ({
  isComplete: true,
  holders: () => new Map([[host, { name: `pool-name-of-${host}`, addresses: 3 }]]),
  async giveUp(id) {
    await before();
    givenUp.push(id);
    return 3;
  },
});

const errorOf = async (work: () => unknown): Promise<TsnetError> => {
  try {
    await work();
  } catch (error) {
    return error as TsnetError;
  }
  return expect.fail("it should have failed");
};

describe("the list of hosts", () => {
  const { open, records, store } = usePlaneHosts();
  const clock = { now: Date.parse("2026-01-01T00:00:00Z") };

  async function pair(pools = noPoolHolders) {
    const timing = { beatMs: 300_000 };
    const [one, two] = [await open("h1", { clock, timing }), await open("h2", { clock, timing, pools })];
    const { vni } = await one.create(overlayNetwork("n1"));
    await two.create(overlayNetwork("n2"));
    await one.connect("n1", overlayEndpoint("e1", "n", "10.1.0.2/24", "fd00::2/64"));
    await one.connect("n1", overlayEndpoint("e2", "n", "10.1.0.3/24"));
    await soon("h2 knows", () => two.view(vni).length === 3);
    return { one, two, vni };
  }

  it("has who has overlay networks, where, and since when it was not heard of", async () => {
    const { one, two } = await pair();
    const expected = (isThis: string) => [
      {
        ...{ id: "h1", name: "name-of-h1", address: "192.0.2.1", networks: 1, endpoints: 2 },
        ...{ addresses: 0, lastSeen: "2026-01-01T00:00:00.000Z", isThis: isThis === "h1" },
      },
      {
        ...{ id: "h2", name: "name-of-h2", address: "192.0.2.2", networks: 1, endpoints: 0 },
        ...{ addresses: 0, lastSeen: "2026-01-01T00:00:00.000Z", isThis: isThis === "h2" },
      },
    ];
    expect(two.plane.list.hosts().hosts).to.have.deep.members(expected("h2"));
    await soon("h1 has heard of h2", () => one.plane.list.hosts().hosts.length === 2);
    expect(one.plane.list.hosts().hosts).to.have.deep.members(expected("h1"));
  });

  it("loses a host with all that it has, by its name or its ID, if that was not seen for two of its signs of life", async () => {
    const { one, two, vni } = await pair();
    const early = await errorOf(() => two.plane.list.remove("name-of-h1", false));
    expect(early.message).to.equal(
      "host name-of-h1 (h1) was seen 0 s ago, and a host says every 5 min that it is there: stop tsnet there, or remove it " +
        "with --force; one that lives puts everything back",
    );
    await one.plane.close();
    clock.now += 600_000;
    const removal = { id: "h1", name: "name-of-h1", endpoints: 2, addresses: 0 };
    expect(await two.plane.list.remove("h1", false)).to.deep.equal(removal);
    await soon("h2 knows", () => two.view(vni).length === 0);
    expect(await records("place")).to.deep.equal({});
    expect(Object.keys(await records("vtep"))).to.deep.equal(["192.0.2.2"]);
    expect(await records("overlay")).to.deep.equal({ [`${vni}`]: { subnets: ["10.1.0.0/24"], hosts: { h2: "n2" } } });
    await two.connect("n2", overlayEndpoint("e3", "n", "10.1.0.2/24"));
  });

  it("says when a host was last heard of, also by an earlier process", async () => {
    const { one, two } = await pair();
    await one.plane.close();
    const lastSeen = new Date(clock.now).toISOString();
    clock.now += 3 * 86_400_000;
    await two.restart();
    await soon("it knows", () => two.plane.isComplete());
    expect(two.plane.list.hosts().hosts.find(({ id }) => id === "h1")).to.include({ lastSeen });
    expect(await two.plane.list.remove("h1", false)).to.include({ endpoints: 2 });
  });

  it("loses one that lives with --force only, which keeps its addresses and puts everything else back", async () => {
    const givenUp: string[] = [];
    const { one, two, vni } = await pair(holding("h1", givenUp));
    const { promise, resolve: hears } = Promise.withResolvers<void>();
    one.records.deaf = promise;
    expect(await two.plane.list.remove("h1", true)).to.include({ endpoints: 2, addresses: 0 });
    expect(givenUp).to.deep.equal([]);
    await soon("h2 knows", () => two.view(vni).length === 0);
    hears();
    await soon("it is back", () => two.view(vni).length === 3);
  });

  it("has what hosts hold in pools that they share, and gives it up when nothing says any more where it is", async () => {
    const givenUp: string[] = [];
    const { one, two } = await pair(
      holding("h1", givenUp, async () => expect(await records("place")).to.deep.equal({})),
    );
    expect(two.plane.list.hosts().hosts.find(({ id }) => id === "h1")).to.include({ addresses: 3, endpoints: 2 });
    await one.plane.close();
    clock.now += 600_000;
    expect(await two.plane.list.remove("h1", false)).to.include({ endpoints: 2, addresses: 3 });
    expect(givenUp).to.deep.equal(["h1"]);
  });

  it("has hosts without overlay networks, of which nobody knows whether they live: they go with --force only", async () => {
    const givenUp: string[] = [];
    const { two } = await pair(holding("h9", givenUp));
    expect(two.plane.list.hosts().hosts.find(({ id }) => id === "h9")).to.deep.equal({
      ...{ id: "h9", name: "pool-name-of-h9", address: null, networks: 0, endpoints: 0, addresses: 3 },
      ...{ lastSeen: null, isThis: false },
    });
    const refused = await errorOf(() => two.plane.list.remove("pool-name-of-h9", false));
    expect([refused.code, refused.message]).to.deep.equal([
      "conflict",
      "host pool-name-of-h9 (h9) has no overlay network, or etcd has lost its signs of life: nobody knows whether it lives: " +
        "if it is gone for good, remove it with --force, and others can have the addresses of its containers",
    ]);
    expect(givenUp).to.deep.equal([]);
    expect(await two.plane.list.remove("h9", true)).to.include({ endpoints: 0, addresses: 3 });
    expect(givenUp).to.deep.equal(["h9"]);
  });

  it("keeps this host itself, and names those that there are", async () => {
    const { two } = await pair();
    const itself = await errorOf(() => two.plane.list.remove("h2", true));
    expect([itself.code, itself.message]).to.deep.equal([
      "conflict",
      "host name-of-h2 (h2) is this host itself: remove its networks (docker network rm), and it is gone from the list",
    ]);
    const unknown = await errorOf(() => two.plane.list.remove("h9", true));
    expect(unknown.code).to.equal("not-found");
    expect(unknown.message).to.match(/^h9: no such host; there are name-of-h\d \(h\d\), name-of-h\d \(h\d\)$/);
    await store().commit([{ put: "vtep", id: "192.0.2.9", value: { host: "h9", name: "name-of-h1", seenMs: 0 } }]);
    await soon("it has heard", () => two.plane.list.hosts().hosts.length === 3);
    const several = await errorOf(() => two.plane.list.remove("name-of-h1", true));
    expect(several.message).to.match(
      /^name-of-h1: several hosts have this name, with the IDs h\d, h\d: say which by its ID$/,
    );
  });

  it("is an error as long as nobody knows, and where there is no etcd", async () => {
    const host = new PlaneHost("h1", new Wire(store()));
    const early = await errorOf(() => host.plane.list.hosts());
    expect([early.code, early.message]).to.deep.equal([
      "store",
      "etcd has not been reached since tsnet was started, so that the hosts are not known yet: the log says why " +
        "(journalctl -u tsnet, or -u docker)",
    ]);
    for (const ask of [() => noHostList.hosts(), () => noHostList.remove("h1", false)]) {
      const { code, message } = await errorOf(ask);
      expect(code).to.equal("invalid");
      expect(message).to.match(/^tsnet knows of no other hosts, since it has no etcd: set TSNET_ETCD_ENDPOINTS; with/);
    }
  });
});
