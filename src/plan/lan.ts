/** What networks of the modes macvlan and ipvlan, and their endpoints, need in the kernel. */
import { dummyName, lanLinkName, linkAlias } from "../net/names.ts";
import { parseVlanName } from "../net/vlan.ts";
import type { Endpoint, LanNetwork } from "./network.ts";
import type { Op } from "./op.ts";
import type { LanLink, LanLinkKind } from "./op-links.ts";

/** What the links of a network are. */
export const lanLinkKind = (network: LanNetwork): LanLinkKind =>
  network.mode === "macvlan"
    ? { kind: "macvlan", mode: network.macvlanMode }
    : { kind: "ipvlan", mode: network.ipvlanMode, flag: network.ipvlanFlag };

/** The parent, where it is for tsnet to make. */
export function planParent({ id, parent, mtuBytes }: LanNetwork): Op[] {
  switch (parent.kind) {
    case "link":
      return [];
    case "dummy":
      return [{ op: "ensure-dummy", name: dummyName(id), alias: linkAlias("dummy", id), mtuBytes }];
    case "vlan": {
      const { base, vlanId } = parseVlanName(parent.name);
      return [{ op: "ensure-vlan", name: parent.name, alias: linkAlias("vlan", parent.name), base, vlanId }];
    }
  }
}

/** @param isShared whether another network is on this parent */
export function planParentRemoval({ id, parent }: LanNetwork, isShared: boolean): Op[] {
  if (parent.kind === "link" || isShared) return [];
  const alias = parent.kind === "dummy" ? linkAlias("dummy", id) : linkAlias("vlan", parent.name);
  return [{ op: "remove-links", links: [{ name: parent.name, alias }] }];
}

/** The link of an endpoint. */
export const lanLink = (network: LanNetwork, { id, mac }: Pick<Endpoint, "id" | "mac">): LanLink => ({
  name: lanLinkName(id),
  alias: linkAlias("lan", id),
  parent: network.parent.name,
  link: lanLinkKind(network),
  mac,
  mtuBytes: network.mtuBytes,
});

/** The link of an endpoint, which waits for dockerd, down. */
export const planLanLink = (network: LanNetwork, endpoint: Pick<Endpoint, "id" | "mac">): Op[] => [
  { op: "ensure-lan-link", ...lanLink(network, endpoint), up: false },
];

export const planLanLinkRemoval = ({ id }: Pick<Endpoint, "id">): Op[] => [
  { op: "remove-links", links: [{ name: lanLinkName(id), alias: linkAlias("lan", id) }] },
];

/**
 * The link of an endpoint up, in order to ask its segment for addresses, without saying anything of itself: it does not answer for
 * the host (arp_ignore=8: the kernel's ip-sysctl.rst), and asks for no router. Both end when dockerd moves it.
 */
export function planProbe(network: LanNetwork, endpoint: Pick<Endpoint, "id" | "mac">): Op[] {
  const name = lanLinkName(endpoint.id);
  return [
    { op: "set-sysctl", key: ["net", "ipv4", "conf", name, "arp_ignore"], value: "8", optional: false },
    { op: "set-sysctl", key: ["net", "ipv6", "conf", name, "disable_ipv6"], value: "1", optional: true },
    { op: "ensure-lan-link", ...lanLink(network, endpoint), up: true },
  ];
}
