/** What the control plane of a swarm's nodes needs. */
import type { GossipNetwork } from "../../plan/gossip.ts";
import type { Log } from "../log.ts";
import type { OwnOverlay } from "./own-overlays.ts";

/** What this node's Docker has heard of its swarm: src/docker/swarm-view.ts fits. What has not changed is the same object. */
export interface SwarmGossip {
  /** Of a network that is followed; undefined before anything was heard. */
  network(id: string): GossipNetwork | undefined;
  /** Under which the other nodes know this one; null where it is not known. */
  nodeAddress(): string | null;
  isSwarm(): boolean;
  /** Whether Docker has said once whether this host is in a swarm. */
  hasAnswered(): boolean;
  /** Which networks to follow, by ID. */
  follow(ids: Iterable<string>): void;
  /** @param listener is told the ID of a network of which something else is known; "" for this node */
  onChange(listener: (id: string) => void): void;
}

/** The nodes of the swarm that Docker has told of: DiscoveredNodes fits. */
export interface SwarmNodes {
  /** The others. */
  addresses(): readonly string[];
  self(): string | null;
  /** Whether Docker calls one gone, of which it has told before. */
  isGone(address: string): boolean;
  onChange(listener: () => void): void;
}

/** Which tasks are about to be stopped, as Docker's name server has it: Draining fits. */
export interface SwarmDraining {
  isDraining(network: string, service: string, ip: string): boolean;
  /** @param listener is told the ID of a network where that is another */
  onChange(listener: (id: string) => void): void;
}

/** What tells of tasks needs. */
export interface GossipFeedNeeds {
  /** undefined where Docker is not to be asked. */
  readonly gossip: SwarmGossip | undefined;
  readonly nodes: SwarmNodes;
  /** The overlay networks that this host has, with their endpoints here. */
  readonly own: () => Iterable<OwnOverlay>;
  /** Whether this host has an endpoint, or is about to remove it. */
  readonly isOwn: (endpoint: string) => boolean;
  /** Whether tsnet makes MAC addresses (DESIGN.md, D11), on all nodes, or leaves it to Docker. */
  readonly makesMacs: boolean;
  readonly log: Log;
  /** By performance.now(), which it is if it is left out. */
  readonly now?: () => number;
}

export interface SwarmPlaneNeeds extends GossipFeedNeeds {
  /** Without prefix length. */
  readonly ownAddresses: () => Promise<Iterable<string>>;
  /** Whether no VXLAN link of this host, wherever it is, has a VNI. */
  readonly isFree: (vni: number) => Promise<boolean>;
}
