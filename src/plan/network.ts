/** Networks and endpoints as they are recorded: plain values that survive JSON. Texts are canonical (net/cidr.ts). */
import type { Family } from "../net/cidr.ts";

/** One subnet of a network. */
export interface Subnet {
  readonly family: Family;
  /** "172.18.0.0/16". */
  readonly pool: string;
  /** The bridge's own address, "172.18.0.1/16"; null where the bridge gets none. */
  readonly gateway: string | null;
  /** Default route of the containers, "172.18.0.1"; null for none. */
  readonly defaultGateway: string | null;
  /** Source address of what leaves, instead of the address of the link it leaves by. */
  readonly snat: string | null;
}

/** A network of mode bridge. */
export interface Network {
  readonly id: string;
  readonly mode: "bridge";
  /** The bridge's link name. */
  readonly bridge: string;
  /** Whether the user made the bridge: then it is used, and never deleted. */
  readonly adopted: boolean;
  /** The gateways that an adopted bridge had as addresses already: they stay when the network goes. */
  readonly kept: readonly string[];
  readonly mac: string;
  /** null leaves the kernel's default. */
  readonly mtuBytes: number | null;
  readonly internal: boolean;
  /** Whether containers of the network may talk to each other. */
  readonly icc: boolean;
  readonly masquerade: boolean;
  /** Host address of published ports that name none; "0.0.0.0" is all addresses, of both families. */
  readonly hostBinding: string;
  /** Name of the interface in the container, less its number. */
  readonly interfacePrefix: string;
  readonly subnets: readonly Subnet[];
  /**
   * false until it was all there once, and from the beginning of its removal on: after a crash in between, Docker has no answer
   * and has it no more, and the network is taken back.
   */
  readonly ready: boolean;
}

/** A published port: what reaches `hostAddress:hostPort` goes to the container's `containerPort`. */
export interface PortMapping {
  readonly protocol: "tcp" | "udp" | "sctp";
  /** "0.0.0.0" is all addresses of IPv4, "::" all of IPv6. */
  readonly hostAddress: string;
  readonly hostPort: number;
  readonly containerPort: number;
}

/** A container's end of a network. */
export interface Endpoint {
  readonly id: string;
  readonly network: string;
  /** "172.18.0.2/16", at most one a family. */
  readonly addresses: readonly string[];
  /** The grants by which tsnet's own IPAM gave the addresses; empty if another did. */
  readonly leases: readonly string[];
  readonly mac: string;
  /** Path of the container's network namespace; null before Join and after Leave. */
  readonly sandbox: string | null;
  readonly ports: readonly PortMapping[];
}
