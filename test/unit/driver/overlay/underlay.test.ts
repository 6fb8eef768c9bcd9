import { expect } from "chai";
import { findUnderlay, type Paths, type UnderlayNeeds } from "../../../../src/driver/overlay/underlay.ts";
import { explain } from "../../../../src/errors.ts";
import type { ObservedLink, ObservedPath } from "../../../../src/plan/observed.ts";

const eth0 = { index: 2, name: "eth0", mtuBytes: 9000 } as ObservedLink;
const path = (mtuBytes: number, over: Partial<ObservedPath> = {}): ObservedPath => ({
  ...{ source: "10.0.0.1", link: "eth0", mtuBytes, gateway: "10.0.0.254" },
  ...over,
});

function needs(paths: Record<string, ObservedPath>, over: Partial<UnderlayNeeds> = {}): UnderlayNeeds {
  const addresses = [
    { link: 2, address: "10.0.0.1/24" },
    { link: 2, address: "fd00::1/64" },
  ];
  return {
    kernel: {
      observe: async () => ({ links: [eth0], addresses, routes: [], neighbors: [] }),
      observeAddresses: async () => addresses,
      observePath: async (address) => paths[address],
    },
    ...{ advertise: null, port: 4789, peers: [], somewhere: () => null, knowsPlaces: true },
    ...over,
  };
}

const failure = (given: UnderlayNeeds): Promise<string> => findUnderlay(given).then(() => "none", explain);

describe("the underlay", () => {
  const paths = { "10.0.0.2": path(1500), "10.0.0.3": path(1400), "192.0.2.1": path(9000) };

  it("is the smallest of the routes to those who have the network", async () => {
    expect(await findUnderlay(needs(paths), ["10.0.0.2"])).to.include({ local: "10.0.0.1", mtuBytes: 1500 });
    expect(await findUnderlay(needs(paths), ["10.0.0.2", "10.0.0.3"])).to.include({ mtuBytes: 1400 });
  });

  it("asks for each host once for all networks", async () => {
    const asked: string[] = [];
    const given = needs(paths);
    const { observePath } = given.kernel;
    const counted = {
      ...given.kernel,
      observePath: async (address: string) => {
        asked.push(address);
        return await observePath(address);
      },
    };
    const table: Paths = new Map();
    for (const hosts of [["10.0.0.2"], ["10.0.0.2", "10.0.0.3"], ["10.0.0.3"]]) {
      await findUnderlay({ ...given, kernel: counted }, hosts, table);
    }
    expect(asked.filter((address) => address !== "192.0.2.1")).to.deep.equal(["10.0.0.2", "10.0.0.3"]);
  });

  it("is that of the default route while nobody is known, or nobody who is has a route", async () => {
    expect(await findUnderlay(needs(paths))).to.include({ mtuBytes: 9000 });
    expect(await findUnderlay(needs(paths), ["10.0.0.9"])).to.include({ mtuBytes: 9000 });
    expect(await findUnderlay(needs(paths), ["fd00::9"])).to.include({ mtuBytes: 9000 });
  });

  it("is less where a probe has found less, and says who makes checksums", async () => {
    const probed = { limits: new Map([["10.0.0.2", 1380]]), spoilsChecksums: true };
    const found = await findUnderlay(needs(paths, { probed }), ["10.0.0.2", "10.0.0.3"]);
    expect(found).to.include({ mtuBytes: 1380, withoutTxChecksum: true });
    expect(await findUnderlay(needs(paths), [])).not.to.have.property("withoutTxChecksum");
  });

  it("is at the link that has the address that etcd has on this host", async () => {
    const own = { "10.0.0.1": path(65_536, { link: "lo" }) };
    expect(await findUnderlay(needs(own, { somewhere: () => "10.0.0.1" }))).to.include({
      local: "10.0.0.1",
      mtuBytes: 9000,
    });
  });

  it("refuses a peer that is this host", async () => {
    const given = needs(paths, { peers: ["10.0.0.2", "10.0.0.1"], somewhere: () => "10.0.0.2" });
    expect(await failure(given)).to.equal(
      "TSNET_PEERS: 10.0.0.1 is an address of this host: name the other hosts only",
    );
    const own = { "10.0.0.1": path(65_536, { link: "lo" }) };
    const first = needs(own, { peers: ["10.0.0.1"], somewhere: () => "10.0.0.1" });
    expect(await failure(first)).to.include("10.0.0.1 is an address of this host");
  });

  it("refuses a peer of another family than the address that is set", async () => {
    const given = needs(paths, { peers: ["10.0.0.2"], advertise: "fd00::1", somewhere: () => "10.0.0.2" });
    expect(await failure(given)).to.equal(
      "TSNET_PEERS: 10.0.0.2 is of another family than fd00::1, the tunnel address of this host: set TSNET_ADVERTISE_ADDRESS to its address of the family of the peers",
    );
  });

  it("refuses an address that this host has not, and one that has no route", async () => {
    expect(await failure(needs(paths, { advertise: "10.0.0.7" }))).to.equal(
      "TSNET_ADVERTISE_ADDRESS=10.0.0.7: no link of this host has this address (ip address)",
    );
    expect(await failure(needs({}, { somewhere: () => "10.9.9.9" }))).to.include("there is no route to 10.9.9.9");
    expect(await failure(needs({}))).to.include("no default route");
  });
});
