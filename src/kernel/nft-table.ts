/**
 * Our table as it is, read from the kernel without libnftables (NFT_MSG_GETSETELEM and so on of
 * include/uapi/linux/netfilter/nf_tables.h): it takes a fraction of the time, in which this thread can do nothing else.
 *
 * Whatever others change in any table while a dump is under way may make the kernel say that it was interrupted
 * (NLM_F_DUMP_INTR; Linux 6.18 does not say so of elements). After some attempts what was read last counts all the same: what
 * others do to other tables changes nothing in ours, and what they do to ours is reported by an event, after which everything is
 * compared anew.
 */
import { hasErrno } from "../errors.ts";
import type { ElementCounters, ObservedFirewall } from "../plan/observed.ts";
import { type Attribute, text } from "./netlink/codec.ts";
import { netlinkNetfilter, nfproto, nftaElemList, nftaSet, nftMessage } from "./netlink/constants.ts";
import { NetlinkSocket } from "./netlink/socket.ts";
import { decodeSet, type SetContent, type SetDefinition, SetReader } from "./nft-set.ts";
import { observeSkeleton } from "./nft-skeleton.ts";

/** struct nfgenmsg: family, version, resource ID. include/uapi/linux/netfilter/nfnetlink.h. */
const header = Uint8Array.of(nfproto.inet, 0, 0, 0);

const tableName = "tsnet";

/** How often a set is read before what others change meanwhile is taken for no concern of ours. */
const attempts = 3;

/** A socket of this thread's network namespace. */
export class NftTable {
  readonly #socket = new NetlinkSocket(netlinkNetfilter);

  /**
   * The table inet tsnet, what somebody else put there included; undefined if there is no such table. Elements that cannot be
   * written as ours are make another skeleton. Equivalent to: `nft list table inet tsnet`.
   * @throws TsnetError "kernel"
   */
  observe(): ObservedFirewall | undefined {
    return this.#ifThere(() => {
      const skeleton = observeSkeleton(this.#socket, tableName);
      return skeleton === undefined ? undefined : this.#observeElements(skeleton);
    });
  }

  /**
   * The counters of all sets and maps that have some; none if there is no table.
   * @throws TsnetError "kernel"
   */
  observeCounters(): ElementCounters {
    const counted = this.#ifThere(() =>
      this.#listSets()
        .filter((set) => typeof set !== "string")
        .filter(({ hasCounters }) => hasCounters)
        .map((set) => [set.name, this.#readSet(set, true).counters] as const),
    );
    return Object.fromEntries(counted ?? []);
  }

  close(): void {
    this.#socket.close();
  }

  #observeElements(skeleton: string): ObservedFirewall {
    const elements: Record<string, Readonly<Record<string, string>>> = {};
    let foreign = "";
    for (const set of this.#listSets()) {
      const name = typeof set === "string" ? set : set.name;
      const content = typeof set === "string" ? undefined : this.#readSet(set, false);
      if (!content || content.hasForeign) foreign += `\nforeign elements in ${name}`;
      if (content) elements[name] = content.elements;
    }
    return { skeleton: skeleton + foreign, elements };
  }

  #listSets(): (SetDefinition | string)[] {
    const sets: (SetDefinition | string)[] = [];
    const begin = (): void => void sets.splice(0);
    const attributes: Attribute[] = [[nftaSet.table, text(tableName)]];
    this.#dump(nftMessage.getSet, attributes, begin, (payload) => {
      const set = decodeSet(payload);
      if (set !== undefined) sets.push(set);
    });
    return sets;
  }

  #readSet(set: SetDefinition, wantsCounters: boolean): SetContent {
    let reader = new SetReader(set, wantsCounters);
    const begin = (): void => {
      reader = new SetReader(set, wantsCounters);
    };
    const attributes: Attribute[] = [
      [nftaElemList.table, text(tableName)],
      [nftaElemList.set, text(set.name)],
    ];
    this.#dump(nftMessage.getSetElem, attributes, begin, (payload) => reader.read(payload));
    return reader.finish();
  }

  #dump(type: number, attributes: readonly Attribute[], begin: () => void, visit: (payload: Buffer) => void): void {
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
