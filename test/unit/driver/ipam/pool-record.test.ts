import { expect } from "chai";
import fc from "fast-check";
import { leaseOf, parseLeaseRecord, parsePoolRecord } from "../../../../src/driver/ipam/pool-record.ts";
import { errorOf } from "../../../support/store-contract.ts";

const lease = {
  ...{ pool: "tsnet-local/10.0.0.0/24", address: "10.0.0.5", grant: "g", role: "endpoint", identity: "name:web" },
  ...{ sinceMs: 1, hosts: [], restsUntilMs: null },
};
const refusal = async (value: unknown) => (await errorOf((async () => parseLeaseRecord("id", value))())).message;

describe("the record of a lease", () => {
  it("is taken as it is, whatever it says", () => {
    const record = fc.record({
      pool: fc.constant(lease.pool),
      address: fc.oneof(fc.ipV4(), fc.constantFrom("fd00::5", "64:ff9b::1.2.3.4")),
      grant: fc.string(),
      role: fc.constantFrom("endpoint", "gateway", "auxiliary", "host"),
      identity: fc.option(fc.string()),
      sinceMs: fc.nat(),
      hosts: fc.array(fc.string()),
      restsUntilMs: fc.option(fc.nat()),
    });
    fc.assert(
      fc.property(record, (value) => {
        expect(parseLeaseRecord("id", JSON.parse(JSON.stringify(value)))).to.deep.equal(value);
      }),
    );
  });

  it("has defaults for what older ones do not have", () => {
    const { pool, address } = lease;
    expect(parseLeaseRecord("id", { pool, address })).to.deep.equal({
      ...{ pool, address, grant: "", role: "endpoint", identity: null, sinceMs: 0, hosts: [], restsUntilMs: null },
    });
  });

  const wrong: Record<string, unknown[]> = {
    pool: [null, 3, undefined],
    address: [null, 3, "", "10.0.0", "10.0.0.256", "10.00.0.1", "fe80::1%eth0", "10.0.0.5/24", undefined],
    grant: [null, 3],
    role: [null, "router", 3],
    identity: [3, {}],
    sinceMs: [null, "1", -1, 8.64e15 + 2, {}],
    hosts: [null, "host", [3], {}],
    restsUntilMs: ["1", -1, 8.64e15 + 2],
  };
  for (const [key, values] of Object.entries(wrong)) {
    it(`is refused with another ${key}`, async () => {
      for (const value of values) {
        expect(await refusal({ ...lease, [key]: value })).to.match(
          new RegExp(
            `^record lease id cannot be understood: ${key}.*: .*; remove it from tsnet.db or move the file away$`,
          ),
        );
      }
    });
  }

  it("is refused if it is none", async () => {
    for (const value of [null, 3, "text", []]) expect(await refusal(value)).to.contain("record lease id cannot be");
  });

  it("shares the list of hosts with others that have the same one", () => {
    const leases = [["a"], ["a"], ["b"], [], []].map(
      (hosts) => leaseOf(parseLeaseRecord("id", { ...lease, hosts })).hosts,
    );
    expect(leases).to.deep.equal([["a"], ["a"], ["b"], [], []]);
    expect([leases[0] === leases[1], leases[3] === leases[4]]).to.deep.equal([true, true]);
  });
});

describe("the record of a pool", () => {
  it("has defaults for what older ones do not have", () => {
    const older = { addressSpace: "tsnet-local", subnet: "10.0.0.0/24", subPool: null, lastAllocated: null };
    expect(parsePoolRecord("id", older)).to.deep.equal({
      ...older,
      options: { sticky: false, stickyTtlMs: 86_400_000, quarantineMs: 0, shared: false },
      ...{ network: null, hosts: [], sequence: 0 },
    });
  });
});
