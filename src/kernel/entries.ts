import { setImmediate as nextTurn } from "node:timers/promises";
import type { EnsurePlaces, RemovePlaces, SetFloodList } from "../plan/op-overlay.ts";
import type { Place } from "../plan/places.ts";
import { Comparison, type Difference } from "./entry-comparison.ts";
import { EntryIndex, encodeEntry, isAsWanted, isSet, keyOf, tableOf, type Wanted, wantedOf } from "./entry-index.ts";
import { deletionRequest, type EntryRequest, putRequest, question, sendEntries } from "./entry-requests.ts";
import { locate, nowhere } from "./entry-where.ts";
import { Failures } from "./failures.ts";
import { addressFamily } from "./libc.ts";
import { type Message, u32 } from "./netlink/codec.ts";
import { nda, netlinkRoute, rtm } from "./netlink/constants.ts";
import { EntryMessage } from "./netlink/entry-message.ts";
import { encodeNeighbor } from "./netlink/requests.ts";
import type { Rtnetlink } from "./netlink/rtnetlink.ts";
import { NetlinkSocket } from "./netlink/socket.ts";

/** What is to be done about the entries of a place. */
interface Change {
  readonly dropped: readonly Wanted[];
  readonly put: readonly Wanted[];
}

/** Of so many that differ, each is asked for by itself before it is mended; more are not missed in a listing by chance. */
const askedAtMost = 100;

/** So many repairs are made at a time, in which the thread does nothing else. */
const repairsAtOnce = 500;

/**
 * Forwarding entries and neighbors in a namespace of ours (plan/places.ts). What is asked for is kept here, so that ten thousand
 * entries are compared with the kernel's without a copy for another thread.
 */
export class Entries {
  readonly #rtnetlink: Rtnetlink;
  readonly #path: string;
  /** Those of each place, by its MAC address. */
  readonly #places = new Map<string, readonly Wanted[]>();
  readonly #index = new EntryIndex();
  readonly #message = new EntryMessage();
  /** Names of the links; "" before anything was asked for. */
  #names = { bridge: "", vxlan: "" };
  #where = nowhere;
  /** Repairs of one namespace wait for each other. */
  #last: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  /** @param path the namespace's file */
  constructor(rtnetlink: Rtnetlink, path: string) {
    this.#rtnetlink = rtnetlink;
    this.#path = path;
  }

  /**
   * From now on they are to be there: what cannot be put now is put by a repair.
   * @throws TsnetError for the first that could not be put, when all was done that could be: "kernel", with errno ENODEV for a link
   * that is not there; "invalid" for a place that is none
   */
  ensure({ bridge, vxlan, places }: EnsurePlaces): void {
    this.#begin(bridge, vxlan);
    const failures = new Failures();
    const changes = places.flatMap((place) => failures.guard(() => this.#takePlace(place)) ?? []);
    failures.guard(() => this.#send(this.#requests(changes, failures)));
    failures.end();
  }

  #takePlace(place: Place): Change {
    const put = wantedOf(place);
    const dropped = this.#drop(this.#places.get(place.mac) ?? [], put);
    this.#places.set(place.mac, put);
    for (const one of put) this.#index.put(one);
    return { dropped, put };
  }

  /** One after another, since there are thousands. */
  *#requests(changes: readonly Change[], failures: Failures): Generator<EntryRequest> {
    for (const { dropped, put } of changes) {
      for (const one of dropped) yield this.#deletion(one);
      yield* this.#puts(put, failures);
    }
  }

  /** Those that are not known, or not there, are success. */
  remove({ macs }: RemovePlaces): void {
    const dropped = macs.flatMap((mac) => {
      const entries = this.#places.get(mac) ?? [];
      this.#places.delete(mac);
      return this.#drop(entries, []);
    });
    this.#send(dropped.map((one) => this.#deletion(one)));
  }

  /** @throws TsnetError as `ensure` */
  flood({ bridge, vxlan, vteps }: SetFloodList): void {
    this.#begin(bridge, vxlan);
    const failures = new Failures();
    const wanted = vteps.flatMap((vtep) => failures.guard(() => encodeEntry({ table: "flood", vtep })) ?? []);
    const keys = new Set(wanted.map(({ key }) => key));
    const gone = [...this.#index.all("flood")].filter(({ key }) => !keys.has(key));
    for (const one of gone) this.#index.delete(one);
    for (const one of wanted) this.#index.put(one);
    failures.guard(() => this.#send(this.#requests([{ dropped: gone, put: wanted }], failures)));
    failures.end();
  }

  *#puts(wanted: readonly Wanted[], failures: Failures): Generator<EntryRequest> {
    for (const one of wanted) {
      const request = failures.guard(() => putRequest(one, this.#where));
      if (request !== undefined) yield request;
    }
  }

  /**
   * Compares with the kernel, and mends what differs, in turns with what else this thread has to do.
   * @param isComplete whether what was not asked for is to go
   * @returns what was not as it should be; nothing before anything was asked for, or if this is closed meanwhile
   * @throws TsnetError for the first that could not be mended, when all was done that could be
   */
  repair(isComplete: boolean): Promise<readonly string[]> {
    const done = this.#last
      .then(() => this.#repair(isComplete))
      .catch((error: unknown) => {
        if (this.#isClosed) return [];
        throw error;
      })
      .finally(() => this.#index.forgetTouched());
    this.#last = done.catch(() => {});
    return done;
  }

  /** To be called before what this uses is closed: the numbers of its descriptors are others' then. Gives up what is under way. */
  close(): void {
    this.#isClosed = true;
  }

  /** What the kernel lists while it changes may lack some: only what is found twice is so. */
  async #repair(isComplete: boolean): Promise<readonly string[]> {
    const found = await this.#compare();
    if (found.length === 0) return [];
    const reasons = new Set((await this.#compare()).map(({ reason }) => reason));
    const different = found.filter(({ put, reason }) => reasons.has(reason) && (isComplete || put !== null));
    const repairs = different.length > askedAtMost ? different : different.filter((one) => !this.#isMistaken(one));
    const failures = new Failures();
    for (let first = 0; first < repairs.length; first += repairsAtOnce) {
      const some = repairs.slice(first, first + repairsAtOnce);
      failures.guard(() => this.#send(some.flatMap((one) => this.#mend(one, failures))));
      await nextTurn();
      if (this.#isClosed) return [];
    }
    failures.end();
    return repairs.map(({ reason }) => reason);
  }

  /** Where entries come and go all the time, one may be missing twice in what the kernel lists, and be there. */
  #isMistaken({ remove, put }: Difference): boolean {
    if (remove !== null || put === null || put.table === "flood") return false;
    try {
      this.#message.read(this.#rtnetlink.ask(question(put, this.#linkOf(put))));
    } catch {
      return false; // it is gone, or the kernel cannot tell
    }
    return isSet(put.table, this.#message) && isAsWanted(put, this.#message, this.#where);
  }

  /** Unless it was changed since it was seen. */
  #mend({ remove, put }: Difference, failures: Failures): EntryRequest[] {
    const requests: EntryRequest[] = [];
    if (remove && !this.#index.isTouched(remove)) {
      requests.push({ type: rtm.delNeigh, flags: 0, ...remove.deletion });
    }
    if (put && this.#index.get(put.table, put.key) === put) requests.push(...this.#puts([put], failures));
    return requests;
  }

  /** Nothing where a link is missing: that is to be mended first. */
  async #compare(): Promise<Difference[]> {
    if (this.#isClosed) return [];
    this.#look();
    const where = this.#where;
    if (where.bridge === 0 || where.vxlan === 0) return [];
    const comparison = new Comparison(this.#index, where);
    const socket = new NetlinkSocket(netlinkRoute, this.#path);
    // who looks at an entry may ask for the name of its link
    const show = ({ payload }: Message): void => {
      if (!this.#isClosed) comparison.see(payload);
    };
    const request = { type: rtm.getNeigh, flags: 0 };
    try {
      const ofBridge = { ...request, header: encodeNeighbor(addressFamily.bridge), attributes: [] };
      await socket.dumpAside(ofBridge, () => comparison.begin(["bridge", "vxlan", "flood"]), show);
      const neighbors = {
        ...request,
        header: encodeNeighbor(),
        attributes: [[nda.ifindex, u32(where.bridge)] as const],
      };
      await socket.dumpAside(neighbors, () => comparison.begin(["neighbor"]), show);
    } finally {
      socket.close();
    }
    return this.#isClosed ? [] : comparison.end();
  }

  /**
   * What a message of the kernel's means.
   * @param verdicts by entry, whether it is as it should be: the last message counts
   */
  judge({ payload }: Message, isNew: boolean, verdicts: Map<string, boolean>): void {
    const message = this.#message;
    message.read(payload);
    const table = tableOf(message, this.#where);
    if (table === undefined) return;
    const key = keyOf(table, message);
    const wanted = this.#index.get(table, key);
    const isThere = isNew && isSet(table, message);
    const isRight = wanted === undefined ? !isThere : isThere && isAsWanted(wanted, message, this.#where);
    verdicts.set(`${table} ${key}`, isRight);
  }

  #begin(bridge: string, vxlan: string): void {
    this.#names = { bridge, vxlan };
    this.#look();
  }

  #look(): void {
    if (this.#names.bridge !== "") this.#where = locate(this.#rtnetlink, this.#names);
  }

  /** What a place had and another now has, or it itself, stays. */
  #drop(entries: readonly Wanted[], kept: readonly Wanted[]): Wanted[] {
    return entries.filter((one) => {
      const { table, key } = one;
      if (this.#index.get(table, key) !== one) return false;
      if (kept.some((other) => other.table === table && other.key === key)) return false;
      this.#index.delete(one);
      return true;
    });
  }

  #deletion(one: Wanted): EntryRequest {
    return deletionRequest(one, this.#linkOf(one));
  }

  #linkOf({ table, value }: Wanted): number {
    const { bridge, vxlan, port } = this.#where;
    const link = { bridge: () => port(value) ?? 0, neighbor: () => bridge, vxlan: () => vxlan, flood: () => vxlan };
    return link[table]();
  }

  #send(requests: Iterable<EntryRequest>): void {
    sendEntries(this.#rtnetlink, requests);
  }
}
