import { expect } from "chai";
import { noNames, parseNames } from "../../../src/cli/docker-names.ts";
import { formatPools, formatShown, shownPool } from "../../../src/cli/ipam.ts";
import { findPools, namedPools } from "../../../src/cli/pools.ts";
import { formatCount, formatPercent } from "../../../src/cli/table.ts";
import type { LeaseAnswer } from "../../../src/driver/ipam/answers.ts";
import { leaseAnswerOf, poolAnswerOf } from "../../support/ipam-answers.ts";
import { idOf } from "../../support/values.ts";

/** As Docker answers: network web is tsnet's, theirs of another driver with tsnet's addresses, bridge Docker's own. */
const names = parseNames(
  [
    { Names: ["/one"], NetworkSettings: { Networks: { web: { NetworkID: idOf("a1"), EndpointID: idOf("e1") } } } },
    {
      Names: ["/two"],
      NetworkSettings: {
        Networks: {
          theirs: {
            ...{ NetworkID: idOf("b2"), EndpointID: idOf("e2") },
            ...{ IPAddress: "10.79.0.2", GlobalIPv6Address: "fd00:79::2" },
          },
        },
      },
    },
    { Names: ["/stopped"], NetworkSettings: { Networks: { web: { EndpointID: "", IPAddress: "" } } } },
  ],
  [
    { Id: idOf("a1"), Name: "web", Scope: "local", IPAM: { Driver: "tsnet", Config: [{ Subnet: "172.18.0.0/24" }] } },
    {
      ...{ Id: idOf("b2"), Name: "theirs", Scope: "local" },
      IPAM: { Driver: "tsnet", Config: [{ Subnet: "10.79.0.0/24", IPRange: "10.79.0.0/25" }] },
    },
    { Id: idOf("c3"), Name: "ours", Scope: "swarm", IPAM: { Driver: "tsnet", Config: [{ Subnet: "10.0.0.0/24" }] } },
    { Id: idOf("d4"), Name: "bridge", IPAM: { Driver: "default", Config: [{ Subnet: "10.0.0.0/24" }] } },
    { Id: idOf("d5"), Name: "host", IPAM: { Driver: "default", Config: null } },
  ],
);

const v6 = poolAnswerOf({
  ...{ id: "tsnet-local/fd00::/64", family: 6, subnet: "fd00::/64" },
  ...{ size: `${2n ** 64n}`, reserved: "1", used: "2", resting: "0", free: `${2n ** 64n - 3n}`, usePercent: 1e-17 },
});
const theirs = poolAnswerOf({
  ...{ id: "tsnet-local/10.79.0.0/24/10.79.0.0/25", subnet: "10.79.0.0/24", subPool: "10.79.0.0/25", network: null },
});
const shared = poolAnswerOf({
  ...{ id: "tsnet-shared/10.9.0.0/29", addressSpace: "tsnet-shared", subnet: "10.9.0.0/29", network: idOf("f6") },
  ...{ hosts: ["h1", "h2"], size: "8", reserved: "2", used: "5", resting: "0", free: "1", usePercent: 83.33 },
});
const swarms = poolAnswerOf({
  ...{ id: "tsnet-global/10.0.0.0/24", addressSpace: "tsnet-global", subnet: "10.0.0.0/24", network: null },
});

describe("tsnet ipam, as text", () => {
  it("is a table like Docker's, in the order of the subnets, with Docker's names of the networks", () => {
    const far = poolAnswerOf({ id: "tsnet-local/9.0.0.0/24", subnet: "9.0.0.0/24", network: null });
    expect(formatPools(namedPools([v6, poolAnswerOf(), theirs, far], names)).split("\n")).to.deep.equal([
      "POOL                                    NETWORK   SIZE   USED   RESTING   FREE    USE%",
      "tsnet-local/9.0.0.0/24                  -         256    3      1         250     1.2%",
      "tsnet-local/10.79.0.0/24/10.79.0.0/25   theirs    256    3      1         250     1.2%",
      "tsnet-local/172.18.0.0/24               web       256    3      1         250     1.2%",
      "tsnet-local/fd00::/64                   web       2^64   2      0         ~2^64   <0.01%",
      "",
    ]);
  });

  it("counts the hosts where there are some, and marks pools from 80 % on", () => {
    const full = poolAnswerOf({ usePercent: 80 });
    const nearly = poolAnswerOf({ id: "tsnet-local/172.19.0.0/24", usePercent: 79.999 });
    expect(formatPools(namedPools([shared, full, nearly, swarms], names)).split("\n")).to.deep.equal([
      "POOL                        NETWORK        HOSTS   SIZE   USED   RESTING   FREE   USE%",
      "tsnet-global/10.0.0.0/24    ours           -       256    3      1         250    1.2%",
      "tsnet-local/172.18.0.0/24   web            -       256    3      1         250    80% !",
      "tsnet-local/172.19.0.0/24   web            -       256    3      1         250    79.9%",
      "tsnet-shared/10.9.0.0/29    f60000000000   2       8      5      0         1      83.3% !",
      "",
    ]);
  });

  it("has its header alone where there is no pool", () => {
    expect(formatPools([])).to.equal("POOL   NETWORK   SIZE   USED   RESTING   FREE   USE%\n");
  });

  it("writes numbers and shares so that they can be read", () => {
    const counts = [0n, 65_536n, 10n ** 12n, 2n ** 64n, 2n ** 64n - 5n, 2n ** 63n + 2n ** 62n, 2n ** 80n];
    expect(counts.map((count) => formatCount(`${count}`))).to.deep.equal([
      ...["0", "65536", "1000000000000", "2^64", "~2^64", "~2^63.6", "2^80"],
    ]);
    const shares = [0, 1e-17, 0.01, 0.29, 0.999, 1, 9.99, 57, 79.99, 99.99, 100].map(formatPercent);
    expect(shares).to.deep.equal([
      ...["0%", "<0.01%", "0.01%", "0.29%", "0.99%", "1%", "9.9%", "57%", "79.9%", "99.9%", "100%"],
    ]);
  });
});

describe("how tsnet ipam show finds a pool", () => {
  const pools = namedPools([poolAnswerOf(), v6, theirs, shared, swarms], names);
  const both = ["tsnet-local/172.18.0.0/24", "tsnet-local/fd00::/64"];
  const ways: [wanted: string, ids: string[]][] = [
    ["tsnet-local/172.18.0.0/24", ["tsnet-local/172.18.0.0/24"]],
    ["172.18.0.0/24", ["tsnet-local/172.18.0.0/24"]],
    ["FD00::/64", ["tsnet-local/fd00::/64"]],
    ["10.79.0.0/24", [theirs.id]],
    ["10.79.0.0/25", [theirs.id]],
    ["web", both],
    ["theirs", [theirs.id]],
    [idOf("a1"), both],
    ["a10", both],
    ["ours", [swarms.id]],
  ];
  for (const [wanted, ids] of ways) {
    it(`is: ${wanted}`, () => expect(findPools(wanted, pools).map(({ id }) => id)).to.deep.equal(ids));
  }

  it("takes a name before the beginning of an ID", () => {
    const odd = parseNames([], [{ Id: idOf("b2"), Name: "a1" }]);
    const two = [poolAnswerOf(), poolAnswerOf({ id: "tsnet-local/10.1.0.0/16", network: idOf("b2") })];
    expect(findPools("a1", namedPools(two, odd)).map(({ id }) => id)).to.deep.equal(["tsnet-local/10.1.0.0/16"]);
  });

  it("names what there is if it finds none, or too many", () => {
    expect(() => findPools("wbe", namedPools([poolAnswerOf(), shared], noNames))).to.throw(
      "wbe: no such pool, subnet or network; " +
        "there are tsnet-local/172.18.0.0/24 (a10000000000), tsnet-shared/10.9.0.0/29 (f60000000000)",
    );
    const two = [poolAnswerOf(), poolAnswerOf({ id: "tsnet-local/10.1.0.0/16", network: idOf("a2") }), shared];
    expect(() => findPools("a", namedPools(two, noNames))).to.throw(
      "a: several networks have an ID that begins so; " +
        "there are tsnet-local/10.1.0.0/16 (a20000000000), tsnet-local/172.18.0.0/24 (a10000000000)",
    );
    expect(() => findPools("web", [])).to.throw("web: no such pool, subnet or network; there is no pool yet");
    const many = Array.from({ length: 12 }, (_, index) => poolAnswerOf({ id: `tsnet-local/10.${index}.0.0/16` }));
    expect(() => findPools("x", namedPools(many, noNames))).to.throw(/10\.9\.0\.0\/16 \(a10000000000\), and 2 more$/);
  });
});

describe("tsnet ipam show, as text", () => {
  const shownLines = (pool: ReturnType<typeof poolAnswerOf>, leases: readonly LeaseAnswer[], known = names) => {
    const [named] = namedPools([pool], known);
    return named === undefined ? [] : formatShown([shownPool(named, leases, known)]).split("\n");
  };

  it("is a line for each address, with its holder", () => {
    const leases = [
      leaseAnswerOf({ address: "172.18.0.1", role: "gateway", endpoint: null }),
      leaseAnswerOf(),
      leaseAnswerOf({ address: "172.18.0.3", endpoint: idOf("e9") }),
      leaseAnswerOf({ address: "172.18.0.4", endpoint: null, identity: "name:new" }),
      leaseAnswerOf({ address: "172.18.0.5", role: "auxiliary", endpoint: null, since: null }),
      leaseAnswerOf({ address: "172.18.0.6", endpoint: null, restsUntil: "2026-02-03T04:05:06.789Z" }),
      leaseAnswerOf({
        ...{ address: "172.18.0.7", endpoint: null, identity: "mac:02:42:0a:00:00:02" },
        restsUntil: "2026-02-03T04:05:06.000Z",
      }),
      leaseAnswerOf({ address: "172.18.0.8", endpoint: null }),
    ];
    expect(shownLines(poolAnswerOf(), leases)).to.deep.equal([
      "Pool tsnet-local/172.18.0.0/24 of network web",
      "",
      "ADDRESS      HELD BY                                                    SINCE",
      "172.18.0.1   gateway                                                    2026-01-02T03:04:05Z",
      "172.18.0.2   one                                                        2026-01-02T03:04:05Z",
      "172.18.0.3   endpoint e90000000000                                      2026-01-02T03:04:05Z",
      "172.18.0.4   new                                                        2026-01-02T03:04:05Z",
      "172.18.0.5   auxiliary                                                  -",
      "172.18.0.6   resting until 2026-02-03T04:05:06Z                         2026-01-02T03:04:05Z",
      "172.18.0.7   resting for 02:42:0a:00:00:02 until 2026-02-03T04:05:06Z   2026-01-02T03:04:05Z",
      "172.18.0.8   unknown                                                    2026-01-02T03:04:05Z",
      "",
    ]);
  });

  it("names the hosts that hold an address of a shared pool", () => {
    const leases = [
      leaseAnswerOf({ address: "10.9.0.1", role: "gateway", endpoint: null, hosts: ["h1", "h2"] }),
      leaseAnswerOf({ address: "10.9.0.2", hosts: ["h1"] }),
      leaseAnswerOf({ address: "10.9.0.3", endpoint: null, hosts: ["h2"] }),
    ];
    expect(shownLines(shared, leases)).to.deep.equal([
      "Pool tsnet-shared/10.9.0.0/29 of network f60000000000",
      "",
      "ADDRESS    HELD BY   SINCE                  HOST",
      "10.9.0.1   gateway   2026-01-02T03:04:05Z   h1, h2",
      "10.9.0.2   one       2026-01-02T03:04:05Z   h1",
      "10.9.0.3   host h2   2026-01-02T03:04:05Z   h2",
      "",
    ]);
  });

  it("finds containers of another driver's networks by what Docker says of their addresses", () => {
    const leases = [leaseAnswerOf({ address: "10.79.0.2", endpoint: null })];
    expect(shownLines(theirs, leases).slice(0, -1)).to.deep.equal([
      "Pool tsnet-local/10.79.0.0/24/10.79.0.0/25 of network theirs",
      "",
      "ADDRESS     HELD BY   SINCE",
      "10.79.0.2   two       2026-01-02T03:04:05Z",
    ]);
    expect(shownLines(theirs, leases, noNames).slice(0, -1)).to.deep.equal([
      "Pool tsnet-local/10.79.0.0/24/10.79.0.0/25",
      "",
      "ADDRESS     HELD BY   SINCE",
      "10.79.0.2   unknown   2026-01-02T03:04:05Z",
    ]);
  });

  it("says of a swarm's address that the swarm has it, where no container here does", () => {
    const leases = [leaseAnswerOf({ address: "10.0.0.2", endpoint: null })];
    expect(shownLines(swarms, leases)[3]).to.equal("10.0.0.2   the swarm   2026-01-02T03:04:05Z");
  });

  it("shows several pools one after the other", () => {
    const both = namedPools([poolAnswerOf(), v6], names).map((pool) => shownPool(pool, [], names));
    expect(formatShown(both)).to.equal(
      "Pool tsnet-local/172.18.0.0/24 of network web\n\nADDRESS   HELD BY   SINCE\n\n" +
        "Pool tsnet-local/fd00::/64 of network web\n\nADDRESS   HELD BY   SINCE\n",
    );
  });

  it("leaves nothing in a name that would do something to a terminal", () => {
    const odd = parseNames([], [{ Id: idOf("a1"), Name: "we\u001b[2Jb\n" }]);
    const lines = shownLines(poolAnswerOf(), [leaseAnswerOf({ endpoint: null, identity: "name:x\u001b[2J\n" })], odd);
    expect(lines[0]).to.equal("Pool tsnet-local/172.18.0.0/24 of network we?[2Jb?");
    expect(lines[3]).to.contain("   x?[2J?   ");
  });
});
