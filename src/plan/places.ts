/**
 * Where the endpoints of an overlay network are, and the entries in the kernel that say so (recipes C2): which port of the bridge
 * leads to a MAC address, behind which host it is if that port is the VXLAN link, and which MAC address has an address, so that the
 * bridge answers ARP and neighbor discovery itself.
 *
 * On the bridge they are static and sticky: one frame with a forged source address would move a plain static one.
 */

/** An endpoint, or the gateway, as the bridge has to know it. */
export interface Place {
  /** "02:42:0a:01:00:02" */
  readonly mac: string;
  /** Without prefix length: "10.1.0.2", "fd00::2". */
  readonly ips: readonly string[];
  /** The port of the bridge that leads there. */
  readonly port: string;
  /** The tunnel address of the host that has it; null where the port is the endpoint's own, or the host is learned from frames. */
  readonly vtep: string | null;
}

/** One entry of a table of the kernel's. */
export type Entry =
  /** `bridge fdb … dev PORT master static sticky` */
  | { readonly table: "bridge"; readonly mac: string; readonly port: string }
  /** `bridge fdb … dev VXLAN dst VTEP self permanent` */
  | { readonly table: "vxlan"; readonly mac: string; readonly vtep: string }
  /** `bridge fdb append 00:00:00:00:00:00 dev VXLAN dst VTEP self permanent` */
  | { readonly table: "flood"; readonly vtep: string }
  /** `ip neigh … lladdr MAC dev BRIDGE nud permanent` */
  | { readonly table: "neighbor"; readonly ip: string; readonly mac: string };

/** The entries of a place. */
export const placeEntries = ({ mac, ips, port, vtep }: Place): Entry[] => [
  ...(vtep === null ? [] : [{ table: "vxlan", mac, vtep } as const]),
  { table: "bridge", mac, port },
  ...ips.map((ip) => ({ table: "neighbor", ip, mac }) as const),
];

/** As a person would say it: "forwarding entry 02:42:0a:01:00:02 at port tsx-4f2a…". */
export function describeEntry(entry: Entry): string {
  switch (entry.table) {
    case "bridge":
      return `forwarding entry ${entry.mac} at port ${entry.port}`;
    case "vxlan":
      return `forwarding entry ${entry.mac} at host ${entry.vtep || "of nobody"}`;
    case "flood":
      return `host ${entry.vtep || "of nobody"} in the flood list`;
    case "neighbor":
      return `neighbor ${entry.ip} = ${entry.mac}`;
  }
}
