/**
 * The table that spreads connections to virtual IPs over the tasks of services: its chains stay, and what changes are elements.
 *
 * 1. Each virtual IP with tasks has slots, numbered from 0, of which a new connection takes one at random; the number travels as the
 *    packet's mark, since nft joins no random number to an address. A service of up to 64 tasks has as many slots as tasks, and so a
 *    chain for its number; one with more has 1024, which the tasks share, the shares differing by one slot at most. The mark goes again
 *    before the bridge sends the packet on: VXLAN looks for a route with it (flowi4_mark), by the rules of the host. Nobody else's
 *    comes into the namespace (skb_scrub_packet()).
 * 2. Slots and number change in one transaction. A packet that has chosen its chain already may look for a slot that is gone: then it
 *    takes the first, which is there as long as any.
 * 3. A connection stays where it began, as conntrack has it, also after its task has left the slots.
 * 4. A virtual IP without tasks is refused at once; an echo request is answered by this host.
 * 5. A task that calls its own service gets its own packets back, which it would take for forged: they come from the virtual IP.
 */
import { bySet, type Element } from "./elements.ts";
import type { NftTable } from "./nft-script.ts";
import type { Elements } from "./observed.ts";

/** Most tasks that have a slot each. */
const mostSingle = 64;
/** Slots of a service with more tasks, and most tasks of a service. */
export const manySlots = 1024;

const pickChain = (count: number): string => `
  chain pick${count} {
    meta mark set numgen random mod ${count} goto translate
  }`;

const counts = [...Array.from({ length: mostSingle }, (_, n) => n + 1), manySlots];

export const vipTable: NftTable = {
  name: "ip tsnet-vip",
  definition: `
  set vips { type ipv4_addr; }
  set selfs { type ipv4_addr . ipv4_addr; }
  map services { type ipv4_addr : verdict; }
  map slots { type ipv4_addr . mark : ipv4_addr; }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    meta l4proto != icmp ip daddr vmap @services
  }
  chain unmark {
    type filter hook prerouting priority dstnat + 1; policy accept;
    meta mark set 0
  }
  chain input {
    type filter hook input priority filter; policy accept;
    ip daddr != @vips accept
    icmp type echo-request accept
    meta l4proto tcp reject with tcp reset
    reject
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ct status dnat ip saddr . ip daddr @selfs snat to ct original ip daddr
  }
  chain translate {
    dnat to ip daddr . meta mark map @slots
    meta mark set 0
    dnat to ip daddr . meta mark map @slots
  }${counts.map(pickChain).join("")}`,
  linkParts: {},
};

/** A service's address, and where its new connections go. */
export interface VirtualIp {
  /** "10.5.0.4" */
  readonly vip: string;
  /** Addresses of tasks, one a slot; none where nobody takes connections. */
  readonly slots: readonly string[];
}

/** @param selfs addresses of this host's tasks */
export function vipElements(virtual: readonly VirtualIp[], selfs: readonly string[]): Elements {
  if (virtual.length === 0) return {};
  return bySet([
    ...selfs.map((ip): Element => ["selfs", `${ip} . ${ip}`, ""]),
    ...virtual.flatMap(({ vip, slots }): Element[] => [
      ["vips", vip, ""],
      ...(slots.length === 0 ? [] : [["services", vip, `goto pick${slots.length}`] as const]),
      ...slots.map((ip, n): Element => ["slots", `${vip} . ${n}`, ip]),
    ]),
  ]);
}

/**
 * Who has which slot, changing as few as the number of tasks allows.
 * @param before who had them
 * @param tasks addresses, each once; those after the first 1024 have none
 */
export function assignSlots(before: readonly string[], tasks: readonly string[]): readonly string[] {
  const sharing = tasks.slice(0, manySlots);
  if (sharing.length === 0) return [];
  const size = sharing.length <= mostSingle ? sharing.length : manySlots;
  const least = Math.floor(size / sharing.length);
  const held = new Map(sharing.map((task) => [task, 0]));
  let extra = size % sharing.length;
  /** Whether a task may have one more, and then has it. */
  const takes = (task: string): boolean => {
    const count = held.get(task);
    if (count === undefined || count > least || (count === least && extra === 0)) return false;
    if (count === least) extra--;
    held.set(task, count + 1);
    return true;
  };
  const kept = Array.from({ length: size }, (_, n) => before[n]).map((task) =>
    task !== undefined && takes(task) ? task : undefined,
  );
  // first those that lack slots, in turn, and then those that may have one more
  const queue = [...sharing];
  return kept.map((task) => task ?? next(queue, takes, held, least));
}

function next(
  queue: string[],
  takes: (task: string) => boolean,
  held: ReadonlyMap<string, number>,
  least: number,
): string {
  const poor = queue.findIndex((task) => (held.get(task) ?? 0) < least);
  for (let n = poor === -1 ? 0 : poor; n < queue.length; n++) {
    const task = queue[n];
    if (task === undefined || !takes(task)) continue;
    queue.push(...queue.splice(n, 1));
    return task;
  }
  throw new Error("more slots than tasks may have");
}
