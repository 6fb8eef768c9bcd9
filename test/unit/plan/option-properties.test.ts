import { expect } from "chai";
import fc from "fast-check";
import { parseNetworkRecord } from "../../../src/driver/state-record.ts";
import { TsnetError } from "../../../src/errors.ts";
import { ipvlanKeys, macvlanKeys } from "../../../src/plan/lan-options.ts";
import type { Network } from "../../../src/plan/network.ts";
import {
  difference,
  type NetworkRequest,
  type PlannedNetwork,
  planNetwork,
} from "../../../src/plan/network-request.ts";
import { bridgeKeys } from "../../../src/plan/options.ts";
import { overlayKeys } from "../../../src/plan/overlay-options.ts";
import { idOf, ipv6, networkRequest, requestedSubnet } from "../../support/values.ts";

type Planned = PlannedNetwork<Network>;

const keys = [...new Set([...bridgeKeys, ...macvlanKeys, ...ipvlanKeys, ...overlayKeys])].filter(
  (key) => key !== "mode",
);

/** Values of which many are right for some key. */
const likely = [
  ...["bridge", "private", "vepa", "passthru", "l2", "l3", "l3s", "nat", "routed", "isolated", "native", "host"],
  ...["true", "false", "", "0", "1400", "eth0", "eth0.10", "lo", "eth0:eth1", "10.0.0.0/8"],
  ...["1300", "100"],
  ...["192.168.1.250", "192.168.1.250,fd00:18::5", "192.168.1.0", "fd00:18::9", "10.0.0.1"],
  ...["engine", "4097", "16777216", "4097,4098"],
];
const value = fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...likely) }, { weight: 1, arbitrary: fc.string() });
const key = fc.oneof({ weight: 30, arbitrary: fc.constantFrom(...keys) }, { weight: 1, arbitrary: fc.string() });
const mode = fc.constantFrom("bridge", "macvlan", "macvlan", "ipvlan", "ipvlan", "overlay", "none");

/** Some keys that fit the mode, so that plans are made as well, and now and then one that does not. */
const options = mode.chain((chosen) => {
  const keysOf: Readonly<Record<string, readonly string[]>> = {
    ...{ macvlan: macvlanKeys, ipvlan: ipvlanKeys, overlay: overlayKeys },
  };
  const own = keysOf[chosen] ?? bridgeKeys;
  const ownKey = fc.constantFrom(...own.filter((name) => name !== "mode"));
  const picked = fc.oneof({ weight: 9, arbitrary: ownKey }, { weight: 1, arbitrary: key });
  return fc
    .dictionary(picked, value, { maxKeys: 4 })
    .map((given): Record<string, string> => ({ ...given, mode: chosen }));
});

const request: fc.Arbitrary<NetworkRequest> = fc
  .record({ options, internal: fc.boolean(), hasGateway: fc.boolean(), hasIpv6: fc.boolean() })
  .map(({ options: given, internal, hasGateway, hasIpv6 }) =>
    networkRequest({
      options: given,
      internal,
      ipv4: [requestedSubnet("192.168.1.0/24", hasGateway ? "192.168.1.1/24" : null)],
      ipv6: hasIpv6 ? ipv6 : [],
    }),
  );

function outcome(asked: NetworkRequest): Planned | TsnetError {
  try {
    return planNetwork(asked);
  } catch (error) {
    if (error instanceof TsnetError) return error;
    throw error;
  }
}

/** What is wrong without any option being so. */
const notOfOptions =
  /^IPv4 or IPv6 must be enabled$|a network that is not internal needs a gateway|ipv[46] pool is empty$/;

describe("the options of a network, whatever they are", () => {
  it("make a plan, or an error that names one of them", () => {
    const made = { plans: 0, errors: 0 };
    const property = fc.property(request, (asked) => {
      const answer = outcome(asked);
      if (!(answer instanceof TsnetError)) return void made.plans++;
      made.errors++;
      expect(answer.code).to.be.oneOf(["invalid", "conflict"]);
      if (notOfOptions.test(answer.message)) return;
      const named = Object.keys(asked.options).filter((name) => answer.message.includes(name.slice(0, 99)));
      expect(named, answer.message).to.not.deep.equal([]);
    });
    fc.assert(property, { numRuns: 600 });
    expect(made.plans).to.be.greaterThan(20);
    expect(made.errors).to.be.greaterThan(20);
  });

  it("make the same plan twice, which the record keeps", () => {
    const property = fc.property(request, (asked) => {
      const answer = outcome(asked);
      fc.pre(!(answer instanceof TsnetError));
      const { network } = answer;
      expect(outcome(asked)).to.deep.equal(answer);
      const restored = parseNetworkRecord(idOf("a1"), JSON.parse(JSON.stringify(network)));
      expect(restored).to.deep.equal(network);
      expect(difference(network, restored)).to.equal("");
    });
    fc.assert(property, { numRuns: 200 });
  });
});
