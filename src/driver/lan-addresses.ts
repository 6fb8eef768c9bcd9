import { hasErrno, TsnetError } from "../errors.ts";
import { parseHostAddress } from "../net/cidr.ts";
import { lanLinkName, linkAlias } from "../net/names.ts";
import { planProbe } from "../plan/lan.ts";
import { type Endpoint, isLan, isLayer2, type LanNetwork } from "../plan/network.ts";
import type { AddressHolder, AddressProbe, Kernel } from "./kernel.ts";
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
    const beside = this.#needs.state.networksBeside(network).filter(isLan);
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
   * Asks the segment, from the endpoint's own link, which then is down again.
   * @throws TsnetError "conflict" that names the MAC address of who answers
   */
  async refuseAnswered(network: LanNetwork, endpoint: Endpoint): Promise<void> {
    const { kernel } = this.#needs;
    const link = lanLinkName(endpoint.id);
    await kernel.apply(planProbe(network, endpoint));
    const holder = await findHolder(this.#needs, network, { link, addresses: ipsOf(endpoint) });
    if (holder !== undefined) {
      const advice = "; tsnet.duplicate_check=false turns the check off";
      refuse(holder.address, network, `is in use on ${network.parent.name} by ${holder.mac}`, advice);
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

/**
 * Who on the segment of a network has one of the addresses, asked from a link that is up. Nobody can be asked while the parent is
 * down or has no carrier: that hinders nobody, and the log says so.
 */
export async function findHolder(
  { kernel, log }: Pick<LanAddressesNeeds, "kernel" | "log">,
  { id, mode, parent }: LanNetwork,
  asked: Pick<AddressProbe, "link" | "addresses">,
): Promise<AddressHolder | undefined> {
  try {
    const [holder] = await kernel.probeAddresses({ ...asked, alsoOn: mode === "ipvlan" ? parent.name : null });
    return holder;
  } catch (error) {
    if (!hasErrno(error, "ENETDOWN")) throw error;
    const fields = { network: id, addresses: asked.addresses };
    log.warn(fields, `nobody could be asked for duplicates: the parent ${parent.name} is down or has no carrier`);
    return undefined;
  }
}

/** Whether new endpoints of this network ask their segment. */
export const isProbed = (network: LanNetwork): boolean =>
  network.duplicateCheck && isLayer2(network) && network.parent.kind !== "dummy";

/** An endpoint's addresses without prefix lengths. */
export const ipsOf = ({ addresses }: Pick<Endpoint, "addresses">): string[] =>
  addresses.map((address) => parseHostAddress(address).ip.text);

function refuse(ip: string, { id }: LanNetwork, why: string, more = ""): never {
  const advice = `give another --ip${ip.includes(":") ? "6" : ""}, or keep it from containers with --aux-address`;
  throw new TsnetError("conflict", `address ${ip} of network ${id} ${why}: ${advice}${more}`);
}
