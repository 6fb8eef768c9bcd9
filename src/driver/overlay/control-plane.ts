import type { Endpoint, OverlayNetwork } from "../../plan/network.ts";
import type { RemoteEndpoint } from "../../plan/overlay-places.ts";

/** What a control plane tells of a network: endpoints of other hosts that came, moved or went. */
export interface RemoteChange {
  readonly vni: number;
  readonly put: readonly RemoteEndpoint[];
  /** MAC addresses of those that are gone from other hosts; one of them may be an endpoint of this host now. */
  readonly removed: readonly string[];
}

/** Is told what happens on other hosts. */
export interface RemoteListener {
  /** Who has to know when the kernel was told waits for it. */
  readonly onChange: (change: RemoteChange) => void | Promise<void>;
  /** Which hosts have a network may be others now; or everything may, of all networks: null. */
  readonly onHosts: (vni: number | null) => void;
}

/** Who else has a network, and where its endpoints are. The data path never waits for it. */
export interface ControlPlane {
  /** What is to be set, where nothing could tell of other hosts of a network: then it stays as it is. */
  missingFor?(network: Pick<OverlayNetwork, "id">): string | undefined;
  /** Whether it says which endpoint is where; if not, hosts learn it from frames. */
  readonly knowsPlaces: boolean;
  /**
   * Whether all that is known anywhere was told once since the start; hosts of which something was lost may have more, which nobody
   * can say. `onHosts(null)` says when it is.
   */
  isTold(): boolean;
  /**
   * Whether all that other hosts have was told once since the start. Before, what is in the kernel of an earlier process is not to be
   * removed: nobody can say that it is wrong. `onHosts(null)` says when it is.
   * @param vni of the one network that it is about; all, if it is left out
   */
  isComplete(vni?: number): boolean;
  /** An address of another host, or of whatever leads to them, for which the routing says which address this host has there; null for none. */
  readonly somewhere: () => string | null;
  /**
   * Finds the network that other hosts have, or makes it known to them. Asked again for the same it says the same.
   * @returns its VNI
   * @throws TsnetError "conflict" that names the difference, and the host that has it otherwise; "store" that says what to do
   */
  joinNetwork(network: OverlayNetwork): Promise<number>;
  /** This host has it no more. Unknown ones are success; whom that does not reach, it reaches later. */
  leaveNetwork(network: OverlayNetwork): Promise<void>;
  /**
   * Takes an endpoint's addresses for this host, before it is made.
   * @throws TsnetError "conflict" that names the host that has one of them; "store" that says what to do
   */
  claim(network: OverlayNetwork, endpoint: Endpoint): Promise<void>;
  /** Gives them back, now or later; those that are not this host's stay. */
  release(network: OverlayNetwork, endpoint: Endpoint): Promise<void>;
  /** The endpoints that other hosts have of a network. What changes while they are gone through is told. */
  remotes(vni: number): Iterable<RemoteEndpoint>;
  /** The endpoint of another host with a MAC address; undefined if there is none. */
  remote(vni: number, mac: string): RemoteEndpoint | undefined;
  /** The tunnel addresses of the other hosts that have endpoints of a network: to them goes what is for all. */
  hostsOf(vni: number): readonly string[];
  /** The subnets of all overlay networks that hosts share, by VNI, where something knows more than the one that is asked for. */
  networks?(): ReadonlyMap<number, readonly string[]>;
  /** An address of IPv6 on the segment of another host's tunnel address, which is one of IPv4; null if none is known. */
  ipv6Of?(vtep: string): string | null;
  /** Begins. */
  start(listener: RemoteListener): void;
  close(): Promise<void>;
}
