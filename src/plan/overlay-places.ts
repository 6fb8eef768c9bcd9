/** Who is where, of one overlay network: its places (places.ts), and what tells the kernel of them. */
import { parseHostAddress } from "../net/cidr.ts";
import { bridgeName, hostVethName, namespaceName, vxlanName } from "../net/names.ts";
import type { Endpoint, OverlayNetwork } from "./network.ts";
import type { Op } from "./op.ts";
import type { EnsurePlaces } from "./op-overlay.ts";
import type { Place } from "./places.ts";

/** An endpoint of this host. */
export const localPlace = ({ id, mac, addresses }: Endpoint): Place => ({
  mac: mac ?? "",
  ips: addresses.map((address) => parseHostAddress(address).ip.text),
  port: hostVethName(id),
  vtep: null,
});

/** An endpoint of another host. */
export interface RemoteEndpoint {
  readonly mac: string;
  readonly ips: readonly string[];
  /** The tunnel address of the host that has it; null where that is learned from frames. */
  readonly vtep: string | null;
}

/** One of which it is known which host has it. */
export type PlacedEndpoint = RemoteEndpoint & { readonly vtep: string };

export const remotePlace = ({ id }: Pick<OverlayNetwork, "id">, remote: RemoteEndpoint): Place => ({
  ...remote,
  port: vxlanName(id),
});

/** In the network's namespace. */
export const placesOp = ({ id }: Pick<OverlayNetwork, "id">, places: readonly Place[]): EnsurePlaces => ({
  ...{ op: "ensure-places", bridge: bridgeName(id), vxlan: vxlanName(id), places },
});

export const ensurePlaces = (network: Pick<OverlayNetwork, "id">, places: readonly Place[]): Op => ({
  op: "in-namespace",
  namespace: namespaceName(network.id),
  ops: [placesOp(network, places)],
});

export const removePlaces = ({ id }: Pick<OverlayNetwork, "id">, macs: readonly string[]): Op => ({
  op: "in-namespace",
  namespace: namespaceName(id),
  ops: [{ op: "remove-places", macs }],
});

export const setFloodList = ({ id }: Pick<OverlayNetwork, "id">, vteps: readonly string[]): Op => ({
  op: "in-namespace",
  namespace: namespaceName(id),
  ops: [{ op: "set-flood-list", bridge: bridgeName(id), vxlan: vxlanName(id), vteps }],
});
