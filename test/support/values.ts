/** Requests and records for tests: complete ones, of which a test names only what matters to it. */

import { planLanNetwork } from "../../src/plan/lan-request.ts";
import type { BridgeNetwork, Endpoint, LanNetwork, OverlayNetwork, PortMapping } from "../../src/plan/network.ts";
import { type NetworkRequest, planBridgeNetwork, type RequestedSubnet } from "../../src/plan/network-request.ts";
import { planOverlayNetwork } from "../../src/plan/overlay-request.ts";
import type { PortBinding } from "../../src/plan/ports.ts";

/** A 64-digit ID of Docker's that begins with the given digits. */
export const idOf = (digits: string): string => digits.padEnd(64, "0");

export const bridgeKey = (name: string): string => `com.docker.network.bridge.${name}`;

/** A subnet as Docker's own IPAM chooses it. */
export const requestedSubnet = (
  pool: string,
  gateway: string | null,
  values: Partial<RequestedSubnet> = {},
): RequestedSubnet => ({ addressSpace: "LocalDefault", pool, gateway, auxiliary: {}, ...values });

export const networkRequest = (values: Partial<NetworkRequest> = {}): NetworkRequest => ({
  id: idOf("a1"),
  internal: false,
  enableIpv4: undefined,
  enableIpv6: undefined,
  options: {},
  ipv4: [requestedSubnet("172.18.0.0/16", "172.18.0.1/16")],
  ipv6: [],
  ...values,
});

/** A second family for a request. */
export const ipv6 = [requestedSubnet("fd00:18::/64", "fd00:18::1/64")];

export const networkOf = (values: Partial<NetworkRequest> = {}): BridgeNetwork => ({
  ...planBridgeNetwork(networkRequest(values)).network,
  ready: true,
});

/** A request for a network with the parent eth0. */
export const lanRequest = (
  mode: LanNetwork["mode"],
  options: Readonly<Record<string, string>> = {},
  values: Partial<NetworkRequest> = {},
): NetworkRequest =>
  networkRequest({
    options: { mode, parent: "eth0", ...options },
    ipv4: [requestedSubnet("192.168.1.0/24", "192.168.1.1/24")],
    ...values,
  });

export const macvlanOf = (
  options: Readonly<Record<string, string>> = {},
  values: Partial<NetworkRequest> = {},
): LanNetwork => ({ ...planLanNetwork("macvlan", lanRequest("macvlan", options, values)).network, ready: true });

export const ipvlanOf = (
  options: Readonly<Record<string, string>> = {},
  values: Partial<NetworkRequest> = {},
): LanNetwork => ({ ...planLanNetwork("ipvlan", lanRequest("ipvlan", options, values)).network, ready: true });

export const overlayRequest = (
  options: Readonly<Record<string, string>> = {},
  values: Partial<NetworkRequest> = {},
): NetworkRequest =>
  networkRequest({
    options: { mode: "overlay", ...options },
    ipv4: [requestedSubnet("10.5.0.0/24", "10.5.0.1/24")],
    ...values,
  });

/** As it is before a control plane has said which VNI it has, unless one is given. */
export const overlayOf = (
  options: Readonly<Record<string, string>> = {},
  values: Partial<NetworkRequest> = {},
): OverlayNetwork => ({ ...planOverlayNetwork(overlayRequest(options, values)).network, ready: true });

export const endpointOf = (values: Partial<Endpoint> = {}): Endpoint => ({
  id: idOf("e1"),
  network: idOf("a1"),
  addresses: ["172.18.0.2/16"],
  leases: [],
  mac: "02:42:ac:12:00:02",
  sandbox: null,
  ports: [],
  openPorts: [],
  ...values,
});

export const mappingOf = (values: Partial<PortMapping> = {}): PortMapping => ({
  protocol: "tcp",
  hostAddress: "0.0.0.0",
  hostPort: 8080,
  containerPort: 80,
  count: 1,
  ...values,
});

export const bindingOf = (hostPort: number, values: Partial<PortBinding> = {}): PortBinding => ({
  protocol: "tcp",
  containerPort: 80,
  hostAddress: "",
  hostPort,
  hostPortEnd: hostPort,
  ...values,
});

/** So many bindings of consecutive ports. */
export const bindingsOf = (
  hostPort: number,
  containerPort: number,
  count: number,
  values: Partial<PortBinding> = {},
): PortBinding[] =>
  Array.from({ length: count }, (_, n) => bindingOf(hostPort + n, { containerPort: containerPort + n, ...values }));
