import { parseHostAddress } from "../../net/cidr.ts";
import { gatewayPortName, namespaceName } from "../../net/names.ts";
import type { Endpoint, OverlayNetwork } from "../../plan/network.ts";
import type { Kernel } from "../kernel.ts";
import type { RoutedHost } from "./direct-told.ts";

export type Family = 4 | 6;

export const families: readonly Family[] = [4, 6];

/** What is known of the short way to a host: it is another one after it was forgotten. */
interface Proof {
  isProven: boolean;
  /** How often nobody has answered, one after another. */
  failures: number;
}

/** An endpoint that has just been made takes a moment until it answers. */
const waitMs = 2_000;

/** One host's silence may be a container's that is paused, or that answers no echo. */
const targetsPerHost = 3;

/** A way that has been good is given up after so many. */
const failuresUntilLost = 2;

/**
 * Whether packets get through to other hosts by the short way: what filters them (a cloud's network that knows the hosts' own addresses
 * only, a firewall's rules, a switch) tells nobody. So each way is tried before it is taken, and again and again after that.
 */
export class WayProofs {
  readonly #kernel: Pick<Kernel, "probeWays">;
  /** By network, host and family. */
  readonly #proofs = new Map<string, Proof>();

  constructor(kernel: Pick<Kernel, "probeWays">) {
    this.#kernel = kernel;
  }

  /** With datapath "direct" nothing has to be proved. */
  isProven({ id, datapath }: OverlayNetwork, host: string, family: Family): boolean {
    return datapath === "direct" || (this.#proofs.get(keyOf(id, host, family))?.isProven ?? false);
  }

  /** Whether it is good, and was when it was tried last. */
  isSure(network: OverlayNetwork, host: string, family: Family): boolean {
    const proof = this.#proofs.get(keyOf(network.id, host, family));
    return this.isProven(network, host, family) && (proof?.failures ?? 0) === 0;
  }

  /** Whether it is good, or was tried. */
  isKnown(network: OverlayNetwork, host: string, family: Family): boolean {
    return this.isProven(network, host, family) || this.isRefuted(network, host, family);
  }

  /** Whether it was tried in vain. */
  isRefuted({ id, datapath }: OverlayNetwork, host: string, family: Family): boolean {
    const proof = this.#proofs.get(keyOf(id, host, family));
    return datapath !== "direct" && proof !== undefined && !proof.isProven && proof.failures > 0;
  }

  /** The way to a host is another one now. */
  forgetHost(host: string): void {
    for (const key of this.#proofs.keys()) if (key.split(" ")[1] === host) this.#proofs.delete(key);
  }

  /** A host has nothing of a network any more. */
  forget(id: string, host: string): void {
    for (const family of families) this.#proofs.delete(keyOf(id, host, family));
  }

  forgetNetwork(id: string): void {
    for (const key of this.#proofs.keys()) if (key.startsWith(`${id} `)) this.#proofs.delete(key);
  }

  /**
   * Tries the ways to hosts, for which there are routes in the kernel.
   * @returns whether anything is known now that was not, or otherwise
   */
  async try(network: OverlayNetwork, own: readonly Endpoint[], routed: readonly RoutedHost[]): Promise<boolean> {
    const changes = await Promise.all(
      families.map((family) => this.#tryFamily(network, own, targetsOf(routed, family), family)),
    );
    return changes.includes(true);
  }

  async #tryFamily(
    network: OverlayNetwork,
    own: readonly Endpoint[],
    targets: ReadonlyMap<string, readonly string[]>,
    family: Family,
  ): Promise<boolean> {
    const source = sourceOf(own, family);
    if (source === undefined || targets.size === 0) return false;
    // one that is forgotten meanwhile is nobody's: it was of another way
    const tried = [...targets].map(([host, ips]) => ({ ips, proof: this.#proofOf(keyOf(network.id, host, family)) }));
    const answered = new Set(
      await this.#kernel.probeWays({
        namespace: namespaceName(network.id),
        port: gatewayPortName(network.id),
        gatewayMac: network.mac,
        source,
        targets: [...targets.values()].flat(),
        waitMs,
      }),
    );
    let isNews = false;
    for (const { ips, proof } of tried) {
      const hasAnswered = ips.some((ip) => answered.has(ip));
      isNews = note(proof, hasAnswered) || isNews;
    }
    return isNews;
  }

  #proofOf(key: string): Proof {
    const proof = this.#proofs.get(key) ?? { isProven: false, failures: 0 };
    this.#proofs.set(key, proof);
    return proof;
  }
}

/** @returns whether it says something else now */
function note(proof: Proof, hasAnswered: boolean): boolean {
  const wasProven = proof.isProven;
  proof.failures = hasAnswered ? 0 : proof.failures + 1;
  proof.isProven = hasAnswered || (wasProven && proof.failures < failuresUntilLost);
  return proof.isProven !== wasProven || (proof.failures === 1 && !proof.isProven);
}

export const familyOf = (ip: string): Family => (ip.includes(":") ? 6 : 4);

const keyOf = (id: string, host: string, family: Family): string => `${id} ${host} ${family}`;

/** Some addresses of each host's endpoints: the last that came is the least sure to be up yet. */
const targetsOf = (routed: readonly RoutedHost[], family: Family): ReadonlyMap<string, readonly string[]> =>
  new Map(
    routed
      .filter((one) => one.family === family)
      .map(({ host, ips }) => [host, [...ips.values().take(targetsPerHost)]] as const),
  );

/** Whether an endpoint of this host can send anything of a family; if not, ways of it cannot be tried. */
export const hasSource = (own: readonly Endpoint[], family: Family): boolean => sourceOf(own, family) !== undefined;

function sourceOf(own: readonly Endpoint[], family: Family): { mac: string; ip: string } | undefined {
  for (const { mac, addresses } of own) {
    const ip = addresses.map((address) => parseHostAddress(address).ip).find((one) => one.family === family);
    if (mac !== null && ip !== undefined) return { mac, ip: ip.text };
  }
  return undefined;
}
