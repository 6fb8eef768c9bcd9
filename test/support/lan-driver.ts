/** A driver on a host with the link eth0, and requests for networks on it: for unit tests. */
import { explain } from "../../src/errors.ts";
import type { EndpointRequest } from "../../src/plan/endpoint-request.ts";
import type { LanNetwork } from "../../src/plan/network.ts";
import type { NetworkRequest } from "../../src/plan/network-request.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import { type Driver, expectAgreement, startDriver, stopDriver } from "./driver.ts";
import { idOf, lanRequest } from "./values.ts";
import { World } from "./world.ts";

/** A host on a LAN. */
export function hostOnLan(): World {
  const world = new World();
  const eth0 = world.links.add("eth0", "", { up: true });
  world.links.addAddress(eth0, "192.168.1.2/24");
  return world;
}

/** New for each test of the suite that calls this. */
export class LanDriver {
  world: World = hostOnLan();
  driver!: Driver;

  static use(): LanDriver {
    const lan = new LanDriver();
    beforeEach(async () => {
      lan.world = hostOnLan();
      lan.driver = await startDriver(lan.world, new MemoryStore());
    });
    afterEach(() => stopDriver(lan.driver));
    return lan;
  }

  /** Makes the network a1. @returns what went wrong */
  network = (
    mode: LanNetwork["mode"] = "macvlan",
    options: Readonly<Record<string, string>> = {},
    values: Partial<NetworkRequest> = {},
  ): Promise<string | null> =>
    this.driver.networks.create(lanRequest(mode, options, values)).then(() => "no error", explain);

  /** Makes an endpoint of a1. @returns its MAC address, or what went wrong */
  endpoint = (digits: string, values: Partial<EndpointRequest> = {}): Promise<string | null> =>
    this.driver.endpoints
      .create({ network: idOf("a1"), id: idOf(digits), addresses: ["192.168.1.10/24"], mac: null, ...values })
      .catch(explain);

  agree = (): Promise<void> => expectAgreement(this.driver, hostOnLan());
}
