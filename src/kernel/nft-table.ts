/**
 * Our tables as they are, read from the kernel without libnftables (NFT_MSG_GETSETELEM and so on of
 * include/uapi/linux/netfilter/nf_tables.h): it takes a fraction of the time, in which this thread can do nothing else.
 *
 * Whatever others change in any table while a dump is under way may make the kernel say that it was interrupted
 * (NLM_F_DUMP_INTR; Linux 6.18 does not say so of elements). After some attempts what was read last counts all the same: what
 * others do to other tables changes nothing in ours, and what they do to ours is reported by an event, after which everything is
 * compared anew.
 */
import { hasErrno } from "../errors.ts";
import type { TableName } from "../plan/nft-script.ts";
import type { ElementCounters, ObservedFirewall } from "../plan/observed.ts";
import { type Attribute, text } from "./netlink/codec.ts";
import { netlinkNetfilter, nfproto, nftaElemList, nftaSet, nftMessage } from "./netlink/constants.ts";
import { NetlinkSocket } from "./netlink/socket.ts";
import { decodeSet, type SetContent, type SetDefinition, SetReader } from "./nft-set.ts";
import { headerOf, observeSkeleton, type TableKey } from "./nft-skeleton.ts";

const keys: Readonly<Record<TableName, TableKey>> = {
  "inet tsnet": { family: nfproto.inet, name: "tsnet" },
  "arp tsnet": { family: nfproto.arp, name: "tsnet" },
  "bridge tsnet": { family: nfproto.bridge, name: "tsnet" },
  "ip tsnet-vip": { family: nfproto.ipv4, name: "tsnet-vip" },
};

/** How often a set is read before what others change meanwhile is taken for no concern of ours. */
const attempts = 3;

/** A socket of one network namespace. */
export class NftTable {
  readonly #socket: NetlinkSocket;

  /** @param namespacePath the file of a network namespace; this thread's own if it is not given */
  constructor(namespacePath?: string) {
    this.#socket = new NetlinkSocket(netlinkNetfilter, namespacePath);
  }

  /**
   * A table of ours, what somebody else put there included; undefined if there is no such table. Elements that cannot be
   * written as ours are make another skeleton. Equivalent to: `nft list table inet tsnet`.
   * @throws TsnetError "kernel"
   */
  observe(table: TableName = "inet tsnet"): ObservedFirewall | undefined {
    const key = keys[table];
    return this.#ifThere(() => {
      const skeleton = observeSkeleton(this.#socket, key);
      return skeleton === undefined ? undefined : this.#observeElements(key, skeleton);
    });
  }

  /**
   * The counters of all sets and maps of the table inet tsnet that have some; none if there is no table.
   * @throws TsnetError "kernel"
   */
  observeCounters(): ElementCounters {
    const key = keys["inet tsnet"];
    const counted = this.#ifThere(() =>
      this.#listSets(key)
        .filter((set) => typeof set !== "string")
        .filter(({ hasCounters }) => hasCounters)
        .map((set) => [set.name, this.#readSet(key, set, true).counters] as const),
    );
    return Object.fromEntries(counted ?? []);
  }

  close(): void {
    this.#socket.close();
  }

  #observeElements(key: TableKey, skeleton: string): ObservedFirewall {
    const elements: Record<string, Readonly<Record<string, string>>> = {};
    let foreign = "";
    for (const set of this.#listSets(key)) {
      const name = typeof set === "string" ? set : set.name;
      const content = typeof set === "string" ? undefined : this.#readSet(key, set, false);
      if (!content || content.hasForeign) foreign += `\nforeign elements in ${name}`;
      if (content) elements[name] = content.elements;
    }
    return { skeleton: skeleton + foreign, elements };
  }

  #listSets(key: TableKey): (SetDefinition | string)[] {
    const sets: (SetDefinition | string)[] = [];
    const begin = (): void => void sets.splice(0);
    const attributes: Attribute[] = [[nftaSet.table, text(key.name)]];
    this.#dump(key, nftMessage.getSet, attributes, begin, (payload) => {
      const set = decodeSet(payload);
      if (set !== undefined) sets.push(set);
    });
    return sets;
  }

  #readSet(key: TableKey, set: SetDefinition, wantsCounters: boolean): SetContent {
    let reader = new SetReader(set, wantsCounters);
    const begin = (): void => {
      reader = new SetReader(set, wantsCounters);
    };
    const attributes: Attribute[] = [
      [nftaElemList.table, text(key.name)],
      [nftaElemList.set, text(set.name)],
    ];
    this.#dump(key, nftMessage.getSetElem, attributes, begin, (payload) => reader.read(payload));
    return reader.finish();
  }

  #dump(
    key: TableKey,
    type: number,
    attributes: readonly Attribute[],
    begin: () => void,
    visit: (payload: Buffer) => void,
  ): void {
    const header = headerOf(key);
    this.#socket.tryDump({ type, flags: 0, header, attributes }, begin, ({ payload }) => visit(payload), attempts);
  }

  /** undefined if the table, or a set of it, is not there, or no more. */
  #ifThere<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      if (hasErrno(error, "ENOENT")) return undefined;
      throw error;
    }
  }
}
