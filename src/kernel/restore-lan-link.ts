/** Links in containers' network namespaces: put back, and changed. */
import { TsnetError } from "../errors.ts";
import type { RestoreLanLink, SetSandboxMtu } from "../plan/op-links.ts";
import { close, open } from "./libc.ts";
import { aliasOf, encodeMac, mtuOf } from "./link-attributes.ts";
import { makeLink, newLanLink, refusedUp } from "./make-link.ts";
import { type Attribute, text, u32 } from "./netlink/codec.ts";
import { ifla, route } from "./netlink/constants.ts";
import { inNamespace } from "./netlink/in-namespace.ts";
import type { Rtnetlink } from "./netlink/rtnetlink.ts";
import { isUnfinished, type OwnLinks } from "./own-links.ts";
import { withSandbox } from "./sandbox-links.ts";
import { setSysctl } from "./sysctl.ts";

/** O_RDONLY | O_CLOEXEC of the C library's fcntl.h. */
const readOnly = 0x80000;

/** See SetSandboxMtu. */
export function setSandboxMtu({ sandbox, alias, mtuBytes }: SetSandboxMtu): void {
  withSandbox(sandbox, (inside) => {
    const link = inside.listLinks().find((one) => one.alias === alias);
    if (link && link.mtuBytes !== mtuBytes) inside.changeLink({ index: link.index }, { attributes: mtuOf(mtuBytes) });
  });
}

/**
 * See RestoreLanLink. The link gets its alias last: one without it was left by a crash, and is made anew.
 * @throws TsnetError "not-found" with errno ENOENT if there is no such sandbox
 */
export function restoreLanLink(host: OwnLinks, op: RestoreLanLink): void {
  const isThere = withSandbox(op.sandbox, (inside) => {
    restoreIn(inside, host, op);
    return true;
  });
  if (!isThere) {
    throw new TsnetError("not-found", `${op.sandbox} is no network namespace, or none any more`, { errno: "ENOENT" });
  }
}

function restoreIn(inside: Rtnetlink, host: OwnLinks, op: RestoreLanLink): void {
  const links = inside.listLinks();
  if (links.some(({ alias }) => alias === op.alias)) return;
  for (const { index } of links.filter(isUnfinished)) inside.deleteLink({ index });
  create(host, op);
  try {
    complete(inside, op);
  } catch (error) {
    for (const { index } of inside.listLinks().filter(isUnfinished)) inside.deleteLink({ index });
    throw error;
  }
}

/** The kernel makes the link in the other namespace, where it has this name, too, until it gets the one that it is known by there. */
function create(host: OwnLinks, op: RestoreLanLink): void {
  const link = newLanLink(op, host.existing(op.parent));
  const fd = open(op.sandbox, readOnly);
  try {
    const attributes = [...link.attributes, [ifla.netNsFd, u32(fd)] as const];
    if (!makeLink(host, { ...link, attributes })) throw host.inTheWay(op.name);
  } finally {
    close(fd);
  }
}

function complete(inside: Rtnetlink, op: RestoreLanLink): void {
  const name = freeName(inside, op);
  const { index = 0, mac } = inside.getLink({ name: op.name }) ?? {};
  // a link of mode passthru is made with its parent's, whatever is asked for: macvlan_common_newlink() in drivers/net/macvlan.c
  const address: Attribute[] = op.mac === null || op.mac === mac ? [] : [[ifla.address, encodeMac(op.mac)]];
  // by its index: a request has one name only, the one that it is to get
  inside.changeLink({ index }, { attributes: [[ifla.ifname, text(name)], ...address] });
  // where the first networks of a container had no IPv6, dockerd has turned it off
  if (op.addresses.some((address) => address.includes(":"))) allowIpv6(op.sandbox, name);
  for (const address of op.addresses) inside.replaceAddress(index, address, { broadcast: true });
  try {
    inside.changeLink({ index }, { up: true, attributes: [] });
  } catch (error) {
    throw refusedUp(error, op);
  }
  restoreRoutes(inside, index, op);
  inside.changeLink({ index }, { attributes: aliasOf(op.alias) });
}

/** dockerd finds the link by the name that it gave it, when the container leaves the network. */
function freeName(inside: Rtnetlink, { interfacePrefix, interfaceName }: RestoreLanLink): string {
  const names = new Set(inside.listLinks().map(({ name }) => name));
  if (interfaceName !== undefined && !names.has(interfaceName)) return interfaceName;
  let number = 0;
  while (names.has(`${interfacePrefix}${number}`)) number++;
  return `${interfacePrefix}${number}`;
}

/** What /proc/sys/net shows is of the network namespace of the thread that looks. */
const allowIpv6 = (sandbox: string, link: string): void =>
  inNamespace(sandbox, () => {
    const key = ["net", "ipv6", "conf", link, "disable_ipv6"];
    setSysctl({ op: "set-sysctl", key, value: "0", optional: true });
  });

/** A route that the container has to the same destination, such as the default route of another network, stays. */
function restoreRoutes(inside: Rtnetlink, index: number, { gateways, onLink }: RestoreLanLink): void {
  const routes = inside.listRoutes(() => true).filter(({ table }) => table === route.tableMain);
  const present = new Set(routes.map(({ destination }) => destination));
  const wanted = [
    ...onLink.map((destination) => ({ destination, gateway: null })),
    ...gateways.map((gateway) => ({ destination: gateway.includes(":") ? "::/0" : "0.0.0.0/0", gateway })),
  ];
  for (const { destination, gateway } of wanted) {
    if (!present.has(destination)) inside.addRoute(index, destination, gateway);
  }
}
