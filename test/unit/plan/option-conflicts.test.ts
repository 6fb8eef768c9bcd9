import { expect } from "chai";
import { planBridgeNetwork } from "../../../src/plan/network-request.ts";
import { bridgeKey, ipv6, networkRequest } from "../../support/values.ts";

const mode4 = bridgeKey("gateway_mode_ipv4");
const mode6 = bridgeKey("gateway_mode_ipv6");
const trusted = bridgeKey("trusted_host_interfaces");
const [publish, from, policy] = ["tsnet.publish", "tsnet.publish_from", "tsnet.publish_policy"] as const;
type Options = Readonly<Record<string, string>>;

const isolated = "gateway mode 'isolated' can only be used for an internal network; give --internal";
const noPorts = "has no effect with --internal: an internal network publishes no ports; leave one of them out";
const engine = `has no effect with ${publish}=engine: Docker publishes the ports, by rules of its own; leave one of them out`;
const noHostPorts = "no port of the host is published; leave one of them out";

const refused: [options: Options, internal: boolean, message: string][] = [
  [{ [mode4]: "isolated" }, false, `${mode4}=isolated: ${isolated}`],
  [{ [mode4]: "nat", [mode6]: "isolated" }, false, `${mode6}=isolated: ${isolated}`],
  [
    { [trusted]: "eth1:eth2" },
    true,
    `${trusted}=eth1:eth2 has no effect with --internal: nothing from outside reaches an internal network; leave one of them out`,
  ],
  [{ [from]: "10.0.0.1" }, true, `${from}=10.0.0.1/32 ${noPorts}`],
  [{ [policy]: "host" }, true, `${policy}=host ${noPorts}`],
  [{ [publish]: "engine" }, true, `${publish}=engine ${noPorts}`],
  [{ [publish]: "engine", [from]: "10.0.0.0/8,fd00::/8" }, false, `${from}=10.0.0.0/8,fd00::/8 ${engine}`],
  [{ [publish]: "engine", [policy]: "docker" }, false, `${policy}=docker ${engine}`],
  [
    { [mode4]: "routed", [mode6]: "routed", [policy]: "host" },
    false,
    `${policy}=host has no effect with ${mode4}=routed and ${mode6}=routed: ${noHostPorts}`,
  ],
];

const accepted: [options: Options, internal: boolean][] = [
  [{ [mode4]: "isolated", [mode6]: "isolated" }, true],
  [{ [mode4]: "routed", [mode6]: "nat-unprotected" }, true],
  [{ [trusted]: "" }, true],
  [{ [publish]: "native" }, true],
  [{ [publish]: "engine", [trusted]: "eth1" }, false],
  [{ [mode4]: "routed", [policy]: "host" }, false],
  [{ [mode4]: "routed", [mode6]: "routed", [from]: "10.0.0.0/8" }, false],
];

const text = (options: Options, internal: boolean): string =>
  [...Object.entries(options).map(([key, value]) => `${key}=${value}`), ...(internal ? ["--internal"] : [])].join(" ");

describe("options together", () => {
  for (const [options, internal, message] of refused) {
    it(`are refused: ${text(options, internal)}`, () => {
      expect(() => planBridgeNetwork(networkRequest({ options, internal, ipv6 })))
        .to.throw()
        .that.includes({ code: "invalid", message });
    });
  }

  for (const [options, internal] of accepted) {
    it(`mean something: ${text(options, internal)}`, () => {
      expect(planBridgeNetwork(networkRequest({ options, internal, ipv6 })).network.internal).to.equal(internal);
    });
  }
});
