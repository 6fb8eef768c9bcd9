/** Names of what tsnet makes in the kernel: a pure function of Docker's IDs (DESIGN.md, section 6). */

/** Prefixes of link names. With 11 characters of the ID a name has 15 bytes, the most that a link may have (IFNAMSIZ - 1). */
const idCharacters = 11;

/** Bridge of a network. */
export const bridgeName = (networkId: string): string => `tsb-${networkId.slice(0, idCharacters)}`;

/** Host end of an endpoint's veth pair. */
export const hostVethName = (endpointId: string): string => `tsv-${endpointId.slice(0, idCharacters)}`;

/** Container end of an endpoint's veth pair, before dockerd moves it. */
export const containerVethName = (endpointId: string): string => `tsc-${endpointId.slice(0, idCharacters)}`;

/** Macvlan or ipvlan link of an endpoint, before dockerd moves it. */
export const lanLinkName = (endpointId: string): string => `tsm-${endpointId.slice(0, idCharacters)}`;

/** The host's own link on the parent of a network. */
export const shimName = (networkId: string): string => `tsh-${networkId.slice(0, idCharacters)}`;

/** Parent of a network that has no other. */
export const dummyName = (networkId: string): string => `tsp-${networkId.slice(0, idCharacters)}`;

/** Network namespace of an overlay network, as `ip netns` lists it. */
export const namespaceName = (networkId: string): string => `tsnet-${networkId.slice(0, idCharacters)}`;

/** VXLAN link of an overlay network. */
export const vxlanName = (networkId: string): string => `tsx-${networkId.slice(0, idCharacters)}`;

/** The host's end of the way into an overlay network's namespace, which has the gateway's addresses. */
export const gatewayName = (networkId: string): string => `tsg-${networkId.slice(0, idCharacters)}`;

/** The other end of that, a port of the bridge in the namespace. */
export const gatewayPortName = (networkId: string): string => `tsu-${networkId.slice(0, idCharacters)}`;

/** What a link of ours is for. */
export type LinkRole =
  | ("bridge" | "veth" | "peer" | "lan" | "shim" | "dummy" | "vlan")
  | ("vxlan" | "gateway" | "gateway-port");

/**
 * The alias that marks a link as ours: "tsnet:bridge:<network ID>".
 * @param id of the network (bridge, shim, dummy, vxlan, gateway) or the endpoint (veth, peer, lan); of a vlan, which networks share,
 *   its own name
 */
export const linkAlias = (role: LinkRole, id: string): string => `tsnet:${role}:${id}`;

/** Whose a link is, from its alias; undefined if it is not ours. */
export function parseLinkAlias(alias: string): { role: LinkRole; id: string } | undefined {
  const match =
    /^tsnet:(?:(bridge|veth|peer|lan|shim|dummy|vxlan|gateway|gateway-port):([0-9a-z]+)|(vlan):([A-Za-z0-9_.@-]{1,15}))$/.exec(
      alias,
    );
  const [, role = match?.[3], id = match?.[4]] = match ?? [];
  return role && id ? { role: role as LinkRole, id } : undefined;
}

/** Not names of links: the path of nothing, and the directories below /proc/sys/net/ipv4/conf that stand for every link. */
const reservedNames: readonly string[] = [".", "..", "all", "default"];

/** Whether the text can be the name of a link: dev_valid_name() in net/core/dev.c, without what a shell or nft could misread. */
export const isLinkName = (text: string): boolean =>
  /^[A-Za-z0-9_.@-]{1,15}$/.test(text) && !reservedNames.includes(text);

/** Whether a bridge of this name is Docker's own. */
export const isDockerLink = (name: string): boolean => /^(docker0|docker_gwbridge|br-[0-9a-f]{12})$/.test(name);

/** Whether Docker's name of a driver is tsnet's: "tsnet", or "registry.example/tsnet:latest" of a managed plugin. */
export const isTsnetPlugin = (driver: string): boolean => /(^|\/)tsnet(:[^/]+)?$/.test(driver);
