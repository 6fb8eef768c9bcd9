import { expect } from "chai";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import { type Driver, startDriver, stopDriver } from "../../support/driver.ts";
import { bridgeKey } from "../../support/values.ts";
import { World } from "../../support/world.ts";

describe("the gateways that Docker chooses for a network", () => {
  let driver: Driver;
  beforeEach(async () => {
    driver = await startDriver(new World(), new MemoryStore());
  });
  afterEach(() => stopDriver(driver));

  const check = (options: Record<string, string>, internal: boolean): boolean[] => {
    const { SkipIPv4, SkipIPv6 } = driver.networks.checkGateways({ options, internal });
    return [SkipIPv4, SkipIPv6];
  };
  const inhibited = { [bridgeKey("inhibit_ipv4")]: "true" };
  const isolated4 = { [bridgeKey("gateway_mode_ipv4")]: "isolated" };
  const isolated6 = { [bridgeKey("gateway_mode_ipv6")]: "isolated" };

  const cases: [options: Record<string, string>, internal: boolean, skipped: boolean[]][] = [
    [{}, false, [false, false]],
    [{}, true, [false, false]],
    [inhibited, true, [true, false]],
    [inhibited, false, [false, false]],
    [isolated4, true, [true, false]],
    [isolated6, true, [false, true]],
    [{ ...isolated4, ...isolated6 }, true, [true, true]],
  ];
  for (const [options, internal, skipped] of cases) {
    it(`are not needed where no bridge has them: ${JSON.stringify(options)}, internal: ${internal}`, () => {
      expect(check(options, internal)).to.deep.equal(skipped);
    });
  }

  for (const mode of ["macvlan", "ipvlan"]) {
    it(`are those of the user's only in mode ${mode}`, () => {
      expect(check({ mode, parent: "eth0" }, false)).to.deep.equal([true, true]);
      expect(check({ mode }, true)).to.deep.equal([true, true]);
    });
  }

  it("are not asked for with options that the network would be refused for", () => {
    const text = "gateway mode 'isolated' can only be used for an internal network";
    expect(() => check(isolated6, false)).to.throw(text);
    expect(() => check({ moed: "x" }, false)).to.throw("did you mean mode?");
    expect(() => check({ mode: "moon" }, false)).to.throw(
      "this version knows the modes bridge, macvlan, ipvlan and overlay",
    );
    expect(() => check({ mode: "macvlan", macvlan_mode: "l2" }, false)).to.throw("requested macvlan mode 'l2'");
    expect(() => check({ mode: "ipvlan", macvlan_mode: "bridge" }, false)).to.throw("an option of mode macvlan");
  });
});
