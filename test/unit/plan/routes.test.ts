import { expect } from "chai";
import { planRoutes } from "../../../src/plan/routes.ts";
import { ipv6, networkOf, requestedSubnet } from "../../support/values.ts";

const ipv4 = [
  requestedSubnet("172.18.0.0/16", "172.18.0.1/16"),
  requestedSubnet("10.0.3.0/24", "10.0.3.1/24", { auxiliary: { DefaultGatewayIPv4: "10.0.3.254" } }),
];
const second6 = requestedSubnet("fd00:2::/64", "fd00:2::1/64");
const network = networkOf({ ipv4, ipv6: [...ipv6, second6] });
const routesTo = (addresses: string[], of = network): [string, string, readonly string[]] => {
  const { gateway4, gateway6, onLink } = planRoutes({ addresses }, of);
  return [gateway4, gateway6, onLink];
};

describe("a container's routes", () => {
  it("lead out by the gateway of the address's own subnet, and to the network's other subnets by no gateway", () => {
    expect(routesTo(["172.18.0.2/16", "fd00:18::2/64"])).to.deep.equal([
      ...["172.18.0.1", "fd00:18::1"],
      ["10.0.3.0/24", "fd00:2::/64"],
    ]);
    expect(routesTo(["10.0.3.2/24", "fd00:2::2/64"])).to.deep.equal([
      ...["10.0.3.254", "fd00:2::1"],
      ["172.18.0.0/16", "fd00:18::/64"],
    ]);
  });

  it("are those of the families that it has", () => {
    expect(routesTo(["10.0.3.2/24"])).to.deep.equal(["10.0.3.254", "", ["172.18.0.0/16"]]);
    expect(routesTo(["fd00:2::2/64"])).to.deep.equal(["", "fd00:2::1", ["fd00:18::/64"]]);
  });

  it("are no others in a network with one subnet a family", () => {
    expect(routesTo(["172.18.0.2/16", "fd00:18::2/64"], networkOf({ ipv6 }))).to.deep.equal([
      "172.18.0.1",
      "fd00:18::1",
      [],
    ]);
  });

  it("do not lead out of an internal network, but to its other subnets", () => {
    const internal = networkOf({ internal: true, ipv4: [ipv4[0] ?? second6, requestedSubnet("10.0.4.0/24", null)] });
    expect(routesTo(["10.0.4.2/24"], internal)).to.deep.equal(["", "", ["172.18.0.0/16"]]);
  });

  it("do not lead out where Docker publishes, which needs a network of its own for it", () => {
    const engine = networkOf({ ipv4, options: { "tsnet.publish": "engine" } });
    expect(routesTo(["172.18.0.2/16"], engine)).to.deep.equal(["", "", ["10.0.3.0/24"]]);
  });
});
