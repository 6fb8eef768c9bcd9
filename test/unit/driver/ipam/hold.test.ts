import { expect } from "chai";
import { holdForHost } from "../../../../src/driver/ipam/hold.ts";
import { MemoryStore } from "../../../../src/store/memory-store.ts";
import { poolOn, type SharedHost, startHost, takeOn } from "../../../support/shared-host.ts";
import { errorOf } from "../../../support/store-contract.ts";
import { idOf } from "../../../support/values.ts";

const [n1, n2] = [idOf("a1"), idOf("b1")];
const named = (name: string) => ({ "com.docker.network.endpoint.name": name });
const kinds: [what: string, options: Readonly<Record<string, string>>][] = [
  ["a pool of the host alone", {}],
  ["a pool that hosts share", { "tsnet.shared": "true" }],
];

for (const [what, options] of kinds) {
  describe(`an address of the host's own, in ${what}`, () => {
    let store: MemoryStore;
    let a: SharedHost;
    let b: SharedHost;
    let id: string;
    beforeEach(async () => {
      store = new MemoryStore(128);
      [a, b] = await Promise.all([startHost("a", store), startHost("b", store)]);
      id = await poolOn(a, "10.5.0.0/24", options);
    });
    afterEach(() => Promise.all([a.ipam.close(), b.ipam.close()]));

    const attach = ({ ipam }: SharedHost, network: string, auxiliary: readonly string[] = []) =>
      ipam.attach(network, [{ addressSpace: "tsnet-local", pool: "10.5.0.0/24", gateway: null, auxiliary }]);
    const leases = ({ ipam }: SharedHost = a) =>
      [...ipam.leasesOf(id)].map(({ address, role }) => `${address} ${role}`);

    it("is held once, for the host, and no container gets it", async () => {
      await attach(a, n1);
      await holdForHost(a.ipam, n1, ["10.5.0.2"]);
      await holdForHost(a.ipam, n1, ["10.5.0.2"]);
      expect(leases()).to.deep.equal(["10.5.0.2 host"]);
      expect([await takeOn(a, id), await takeOn(a, id)]).to.deep.equal(["10.5.0.1/24", "10.5.0.3/24"]);
      const error = await errorOf(takeOn(a, id, "10.5.0.2"));
      expect(error.code).to.equal("conflict");
      expect(error.message).to.match(
        /^Address already in use: 10\.5\.0\.2 is held by (the host|host .*) itself \(tsnet\.host_address\)/,
      );
      await attach(a, n1);
      expect(leases()[1]).to.equal("10.5.0.2 host");
    });

    it("is there after a restart, and goes with the pool", async () => {
      await attach(a, n1);
      await holdForHost(a.ipam, n1, ["10.5.0.2"]);
      await a.ipam.close();
      a = await startHost("a", store, { disk: a.disk });
      await takeOn(a, id);
      expect(leases()).to.deep.equal(["10.5.0.1 endpoint", "10.5.0.2 host"]);
      await a.ipam.releasePool(id);
      expect([...(await store.list("lease")).keys(), ...(await a.disk.list("lease")).keys()]).to.deep.equal([]);
    });

    it("is refused if a container has it, and it says which", async () => {
      await takeOn(a, id, "10.5.0.2", named("web"));
      await attach(a, n1);
      const error = await errorOf(holdForHost(a.ipam, n1, ["10.5.0.2"]));
      expect([error.code, leases()]).to.deep.equal(["conflict", ["10.5.0.2 endpoint"]]);
      expect(error.message).to.include("10.5.0.2 is held by container web");
    });

    it("may be an auxiliary address, and stays one", async () => {
      await takeOn(a, id, "10.5.0.2");
      await attach(a, n1, ["10.5.0.2"]);
      await holdForHost(a.ipam, n1, ["10.5.0.2"]);
      expect(leases()).to.deep.equal(["10.5.0.2 auxiliary"]);
    });

    it("is not held where another IPAM driver gave the pool", async () => {
      await holdForHost(a.ipam, n1, ["10.5.0.2"]);
      expect(leases()).to.deep.equal([]);
    });

    if (options["tsnet.shared"] === undefined) return;

    it("is each host's own: another one's is refused, and named", async () => {
      await poolOn(b, "10.5.0.0/24", options);
      await Promise.all([attach(a, n1), attach(b, n2)]);
      await holdForHost(a.ipam, n1, ["10.5.0.2"]);
      const error = await errorOf(holdForHost(b.ipam, n2, ["10.5.0.2"]));
      expect(error.code).to.equal("conflict");
      expect(error.message).to.include("10.5.0.2 is held by host name-of-a (a) itself (tsnet.host_address)");
      await holdForHost(b.ipam, n2, ["10.5.0.3"]);
      expect(leases(b)).to.deep.equal(["10.5.0.2 host", "10.5.0.3 host"]);
      await b.ipam.releasePool(id);
      expect(leases()).to.deep.equal(["10.5.0.2 host"]);
    });
  });
}
