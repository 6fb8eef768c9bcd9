import { expect } from "chai";
import type { LeaseAnswer } from "../../../../src/driver/ipam/answers.ts";
import { type Finding, IpamReport, type IpamReportNeeds } from "../../../../src/driver/ipam/report.ts";
import type { LeaseView, PoolView } from "../../../../src/driver/ipam/views.ts";
import { explain, TsnetError } from "../../../../src/errors.ts";
import { leaseViewOf, poolViewOf } from "../../../support/ipam-answers.ts";
import { endpointOf, idOf } from "../../../support/values.ts";

interface Values {
  readonly pools?: readonly PoolView[];
  readonly leases?: Iterable<LeaseView>;
  readonly checker?: Partial<IpamReportNeeds["checker"]>;
}

function reportOf({ pools = [poolViewOf()], leases = [], checker = {} }: Values): IpamReport {
  const endpoint = endpointOf({ addresses: ["172.18.0.2/24"] });
  return new IpamReport({
    ipam: {
      pools: () => pools,
      leasesOf: (id) => [...leases].filter(({ pool }) => pool === id),
      callHost: (id) => `name of ${id}`,
    },
    state: {
      endpointAt: (network, address) =>
        network === endpoint.network && address === "172.18.0.2" ? endpoint : undefined,
    },
    checker: { check: async () => [], repair: async () => ({ released: [], left: [] }), ...checker },
  });
}

async function leasesOf(values: Values, pool = poolViewOf().id): Promise<LeaseAnswer[]> {
  const leases: LeaseAnswer[] = [];
  for await (const part of reportOf(values).leases(pool)) leases.push(...part);
  return leases;
}

describe("the report of address pools", () => {
  it("has numbers of addresses as texts, and what share of them is used", () => {
    expect(reportOf({}).pools()).to.deep.equal({
      pools: [
        {
          ...{ id: "tsnet-local/172.18.0.0/24", addressSpace: "tsnet-local", family: 4, subnet: "172.18.0.0/24" },
          ...{ subPool: null, network: idOf("a1"), hosts: [] },
          ...{ size: "256", reserved: "2", used: "3", resting: "1", free: "250", usePercent: 300 / 254 },
        },
      ],
    });
  });

  const shares: [title: string, values: Partial<PoolView>, percent: number][] = [
    ["an IPv6 /64", { size: 2n ** 64n, reserved: 1n, used: 2n, free: 2n ** 64n - 4n }, 200 / 2 ** 64],
    ["four of five", { size: 7n, reserved: 2n, used: 4n, resting: 0n, free: 1n }, 80],
    ["one of four, of which another pool holds a second", { size: 6n, used: 1n, resting: 1n, free: 1n }, 50],
    ["a full pool", { size: 4n, reserved: 2n, used: 2n, resting: 0n, free: 0n }, 100],
    ["a pool in which nothing can be held", { size: 1n, reserved: 1n, used: 0n, resting: 0n, free: 0n }, 0],
  ];
  for (const [title, values, percent] of shares) {
    it(`survives JSON: ${title}`, () => {
      const { pools } = JSON.parse(JSON.stringify(reportOf({ pools: [poolViewOf(values)] }).pools()));
      expect(pools[0]).to.deep.include({ size: `${values.size}`, free: `${values.free}`, usePercent: percent });
    });
  }

  it("has no more in it than is documented", () => {
    const more = { ...poolViewOf(), secret: 1 } as PoolView;
    expect(reportOf({ pools: [more] }).pools().pools[0]).to.not.have.property("secret");
  });
});

describe("the report of what a pool has given out", () => {
  it("names the endpoint that has an address, and since when", async () => {
    expect(await leasesOf({ leases: [leaseViewOf({ identity: "name:web" })] })).to.deep.equal([
      {
        ...{ address: "172.18.0.2", role: "endpoint", identity: "name:web", endpoint: idOf("e1") },
        ...{ since: "2026-01-02T03:04:05.678Z", hosts: [], restsUntil: null },
      },
    ]);
  });

  const nobody: [title: string, pool: Partial<PoolView>, lease: Partial<LeaseView>, answer: Partial<LeaseAnswer>][] = [
    ["a gateway", {}, { role: "gateway" }, { role: "gateway" }],
    ["an auxiliary address", {}, { role: "auxiliary" }, { role: "auxiliary" }],
    ["an address that rests", {}, { restsUntilMs: 1000 }, { restsUntil: "1970-01-01T00:00:01.000Z" }],
    ["a pool without a network", { network: null }, {}, {}],
    ["an address of nobody here", {}, { address: "172.18.0.3", hosts: ["h2"] }, { hosts: ["name of h2"] }],
    ["one from before times were recorded", {}, { address: "172.18.0.3", sinceMs: 0 }, { since: null }],
  ];
  for (const [title, pool, lease, answer] of nobody) {
    it(`names no endpoint for ${title}`, async () => {
      const [found] = await leasesOf({ pools: [poolViewOf(pool)], leases: [leaseViewOf(lease)] });
      expect(found).to.deep.include({ ...answer, endpoint: null });
    });
  }

  it("says of a pool that there is not which there are", async () => {
    const pools = Array.from({ length: 12 }, (_, index) => poolViewOf({ id: `tsnet-local/10.${index}.0.0/16` }));
    const error = await leasesOf({ pools }, "tsnet-local/10.99.0.0/16").catch((failure: unknown) => failure);
    expect(error).to.be.instanceOf(TsnetError).and.have.property("code", "not-found");
    expect(explain(error)).to.match(
      /^pool=tsnet-local\/10\.99\.0\.0\/16: no such pool; there are tsnet-local\/10\.0\.0\.0\/16, .*, and 2 more$/,
    );
    expect(await leasesOf({ pools: [] }, "x").catch(explain)).to.equal("pool=x: no such pool; there is none yet");
  });

  it("of 100,000 addresses lets others run every few milliseconds", async () => {
    const leases = Array.from({ length: 100_000 }, (_, index) => leaseViewOf({ address: `10.0.0.${index}` }));
    let turns = 0;
    const count = (): void => {
      turns++;
      timer = setImmediate(count);
    };
    let timer = setImmediate(count);
    const found = await leasesOf({ leases });
    clearImmediate(timer);
    expect(found).to.have.length(100_000);
    expect(turns).to.be.greaterThan(5);
  });
});

describe("the report of what is wrong with addresses", () => {
  const finding: Finding = {
    ...{ kind: "orphan", pool: poolViewOf().id, address: "172.18.0.9" },
    ...{ text: "no container has it", sinceMs: Date.UTC(2026, 0, 2, 3, 4, 5), repairable: true },
  };
  const answer = {
    ...{ kind: "orphan", pool: poolViewOf().id, address: "172.18.0.9" },
    ...{ text: "no container has it", since: "2026-01-02T03:04:05.000Z", repairable: true },
  };

  it("is what the check finds", async () => {
    const report = reportOf({ checker: { check: async () => [finding] } });
    expect(await report.check()).to.deep.equal({ findings: [answer] });
  });

  it("is what was given back, and what is left", async () => {
    const left = { ...finding, repairable: false, sinceMs: 0 };
    const report = reportOf({ checker: { repair: async () => ({ released: [finding], left: [left] }) } });
    expect(await report.repair()).to.deep.equal({
      released: [answer],
      findings: [{ ...answer, repairable: false, since: null }],
    });
  });
});
