import type { Way } from "../../plan/direct.ts";
import type { OverlayNetwork } from "../../plan/network.ts";
import type { Log } from "../log.ts";
import { families, type WayProofs } from "./way-proofs.ts";

/** Says which way packets to other hosts go, once for each change. */
export class WaysSaid {
  readonly #proofs: WayProofs;
  readonly #log: Log;
  /** By network and host: why not the short way; "" for that. */
  readonly #said = new Map<string, string>();

  constructor(proofs: WayProofs, log: Log) {
    this.#proofs = proofs;
    this.#log = log;
  }

  say(network: OverlayNetwork, host: string, way: Way): void {
    const { id, datapath } = network;
    const reason = this.#reason(network, host, way);
    const key = `${id} ${host}`;
    if (reason === undefined || this.#said.get(key) === reason) return;
    this.#said.set(key, reason);
    if (reason === "") this.#log.info({ network: id, host }, "packets to this host go without a tunnel");
    else if (datapath === "direct") {
      const what = "packets to this host go by VXLAN all the same, in spite of tsnet.datapath=direct";
      this.#log.warn({ network: id, host, reason }, what);
    } else this.#log.info({ network: id, host, reason }, "packets to this host go by VXLAN");
  }

  forgetHost(host: string): void {
    for (const key of this.#said.keys()) if (key.split(" ")[1] === host) this.#said.delete(key);
  }

  forgetNetwork(id: string): void {
    for (const key of this.#said.keys()) if (key.startsWith(`${id} `)) this.#said.delete(key);
  }

  /** undefined while it is being tried. */
  #reason(network: OverlayNetwork, host: string, way: Way): string | undefined {
    if (!way.isDirect) return way.reason;
    if (families.some((family) => this.#proofs.isProven(network, host, family))) return "";
    const isRefuted = families.some((family) => this.#proofs.isRefuted(network, host, family));
    return isRefuted
      ? "no endpoint there answers what comes without one: something in between lets it not pass"
      : undefined;
  }
}
