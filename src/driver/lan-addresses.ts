import { hasErrno, TsnetError } from "../errors.ts";
import { parseHostAddress } from "../net/cidr.ts";
import { lanLinkName, linkAlias } from "../net/names.ts";
import { planProbe } from "../plan/lan.ts";
import { type Endpoint, isLayer2, type LanNetwork } from "../plan/network.ts";
import type { Kernel } from "./kernel.ts";
import type { Log } from "./log.ts";
import type { State } from "./state.ts";

/** What the addresses of endpoints on a parent are compared with. */
export interface LanAddressesNeeds {
  readonly state: State;
  readonly kernel: Kernel;
  readonly log: Log;
}

/** Keeps containers from addresses that somebody on their segment has: RFC 5227. */
export class LanAddresses {
  readonly #needs: LanAddressesNeeds;

  constructor(needs: LanAddressesNeeds) {
    this.#needs = needs;
  }

  /**
   * Compares an endpoint's addresses with those of the host itself; what the networks' own endpoints have, address-claims.ts knows.
   * @throws TsnetError "conflict" that names the holder
   */
  async refuseTaken(network: LanNetwork, endpoint: Endpoint): Promise<void> {
    const beside = this.#needs.state.networksBeside(network).filter((one) => one.mode !== "bridge");
    const ips = ipsOf(endpoint);
    for (const { id, hostAccess } of beside) {
      const taken = ips.find((ip) => hostAccess?.addresses.includes(ip));
      if (taken !== undefined) refuse(taken, network, `is the host's own in network ${id} (tsnet.host_address)`);
    }
    // nobody of the segment of a dummy is elsewhere, and the host is not on it
    if (network.parent.kind === "dummy" && network.hostAccess === null) return;
    await this.#refuseHosts(network, ips);
  }

  /**
   * Asks the segment, from the endpoint's own link, which then is down again. Nobody can be asked while the parent is down, which
   * hinders no container.
   * @throws TsnetError "conflict" that names the MAC address of who answers
   */
  async refuseAnswered(network: LanNetwork, endpoint: Endpoint): Promise<void> {
    const { kernel, log } = this.#needs;
    const { name: parent } = network.parent;
    const link = lanLinkName(endpoint.id);
    const addresses = ipsOf(endpoint);
    await kernel.apply(planProbe(network, endpoint));
    const alsoOn = network.mode === "ipvlan" ? parent : null;
    const [holder] = await kernel.probeAddresses({ link, alsoOn, addresses }).catch((error: unknown) => {
      if (!hasErrno(error, "ENETDOWN")) throw error;
      log.warn(
        { network: network.id, addresses },
        `nobody could be asked for duplicates: the parent ${parent} is down`,
      );
      return [];
    });
    if (holder !== undefined) {
      const advice = "; tsnet.duplicate_check=false turns the check off";
      refuse(holder.address, network, `is in use on ${parent} by ${holder.mac}`, advice);
    }
    await kernel.apply([{ op: "set-link-down", name: link, alias: linkAlias("lan", endpoint.id) }]);
  }

  async #refuseHosts(network: LanNetwork, ips: readonly string[]): Promise<void> {
    const { kernel } = this.#needs;
    const addresses = await kernel.observeAddresses();
    for (const { address, link } of addresses) {
      const taken = ips.find((ip) => ip === parseHostAddress(address).ip.text);
      if (taken === undefined) continue;
      const { links } = await kernel.observe();
      const name = links.find(({ index }) => index === link)?.name;
      refuse(taken, network, `is the host's own${name === undefined ? "" : `, on ${name}`}`);
    }
  }
}

/** Whether new endpoints of this network ask their segment. */
export const isProbed = (network: LanNetwork): boolean =>
  network.duplicateCheck && isLayer2(network) && network.parent.kind !== "dummy";

/** An endpoint's addresses without prefix lengths. */
export const ipsOf = ({ addresses }: Pick<Endpoint, "addresses">): string[] =>
  addresses.map((address) => parseHostAddress(address).ip.text);

function refuse(ip: string, { id }: LanNetwork, why: string, more = ""): never {
  const advice = "give another --ip, or keep it from containers with --aux-address";
  throw new TsnetError("conflict", `address ${ip} of network ${id} ${why}: ${advice}${more}`);
}
