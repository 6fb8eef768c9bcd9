/** Options of a network that contradict each other, or of which one would have no effect because of another. */
import { TsnetError } from "../errors.ts";
import type { BridgeNetwork } from "./network.ts";
import type { BridgeOptions } from "./options.ts";
import type { OverlayOptions } from "./overlay-options.ts";

const bridge = (name: string): string => `com.docker.network.bridge.${name}`;

/**
 * @throws TsnetError "invalid" in Docker's words, with the key, if a network that is not internal has the gateway mode "isolated"
 */
export function refuseIsolated(options: BridgeOptions, internal: boolean): void {
  if (internal) return;
  for (const [key, mode] of gatewayModesOf(options)) {
    if (mode !== "isolated") continue;
    const reason = "gateway mode 'isolated' can only be used for an internal network";
    throw new TsnetError("invalid", `${key}=${mode}: ${reason}; give --internal`);
  }
}

/**
 * What Docker's own driver would take without a word, and without an effect.
 * @throws TsnetError "invalid" that names both keys
 */
export function refuseWithoutEffect(options: BridgeOptions, { internal, subnets }: BridgeNetwork): void {
  const { trustedLinks = [], publish, publishFrom, publishPolicy } = options;
  const trusted = [bridge("trusted_host_interfaces"), trustedLinks.join(":")] as const;
  const publishing = [
    ["tsnet.publish_from", publishFrom?.join(",") ?? ""],
    ["tsnet.publish_policy", publishPolicy ?? ""],
  ] as const;
  const engine = publish === "engine" ? "engine" : "";
  if (internal) {
    refuse([trusted], "--internal", "nothing from outside reaches an internal network");
    refuse([...publishing, ["tsnet.publish", engine]], "--internal", "an internal network publishes no ports");
  }
  if (engine !== "") {
    refuse(publishing, "tsnet.publish=engine", "Docker publishes the ports, by rules of its own");
  }
  if (subnets.every(({ gatewayMode }) => gatewayMode === "routed")) {
    const modes = gatewayModesOf(options).map(([key, mode]) => `${key}=${mode}`);
    const host = publishPolicy === "host" ? publishPolicy : "";
    refuse([["tsnet.publish_policy", host]], modes.join(" and "), "no port of the host is published");
  }
}

/**
 * As above, for an overlay.
 * @throws TsnetError "invalid" that names both keys
 */
export function refuseUnpublished(options: OverlayOptions, internal: boolean): void {
  const { egress, publishFrom, publishPolicy, datapath } = options;
  const direct = [["tsnet.datapath", datapath === "direct" ? datapath : ""]] as const;
  const publishing = [
    ["tsnet.publish_from", publishFrom?.join(",") ?? ""],
    ["tsnet.publish_policy", publishPolicy ?? ""],
  ] as const;
  if (internal) {
    const all = [...publishing, ["tsnet.egress", egress === "engine" ? egress : ""] as const];
    refuse(all, "--internal", "an internal network publishes no ports, and has no way out");
    refuse(direct, "--internal", "the short way is by the hosts, which an internal network has no link to");
  }
  if (egress !== "engine") return;
  refuse(publishing, "tsnet.egress=engine", "Docker publishes the ports, by rules of its own");
  refuse(direct, "tsnet.egress=engine", "the short way is by a link of tsnet's, and Docker's is there instead");
}

const gatewayModesOf = ({ gatewayMode4, gatewayMode6 }: BridgeOptions): [key: string, mode: string][] => [
  ...(gatewayMode4 === undefined ? [] : [[bridge("gateway_mode_ipv4"), gatewayMode4] as [string, string]]),
  ...(gatewayMode6 === undefined ? [] : [[bridge("gateway_mode_ipv6"), gatewayMode6] as [string, string]]),
];

/** @param options those that would have no effect; "" for one that is not given */
function refuse(options: readonly (readonly [key: string, value: string])[], because: string, reason: string): void {
  for (const [key, value] of options) {
    if (value === "") continue;
    throw new TsnetError("invalid", `${key}=${value} has no effect with ${because}: ${reason}; leave one of them out`);
  }
}
