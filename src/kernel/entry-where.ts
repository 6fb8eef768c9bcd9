import type { Where } from "./entry-index.ts";
import type { Rtnetlink } from "./netlink/rtnetlink.ts";

/** Before it is known which links there are. */
export const nowhere: Where = { bridge: 0, vxlan: 0, port: () => undefined, name: String };

/** Where entries are, by the names of their links: each is looked up once. */
export function locate(
  rtnetlink: Rtnetlink,
  { bridge, vxlan }: { readonly bridge: string; readonly vxlan: string },
): Where {
  const known = new Map<string, number | undefined>();
  const port = (name: string): number | undefined => {
    if (!known.has(name)) known.set(name, rtnetlink.getLink({ name })?.index);
    return known.get(name);
  };
  return {
    bridge: port(bridge) ?? 0,
    vxlan: port(vxlan) ?? 0,
    port,
    name: (index) => rtnetlink.getLink({ index })?.name ?? `${index}`,
  };
}
