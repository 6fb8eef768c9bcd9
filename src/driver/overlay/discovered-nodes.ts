/** The other nodes of the swarm, as Docker has told of them. */
import { z } from "zod";
import { explain } from "../../errors.ts";
import { parseIp } from "../../net/cidr.ts";
import type { Locks } from "../locks.ts";
import type { Log } from "../log.ts";
import { parseRecord, textFor } from "../parse-record.ts";
import type { RecordChange, Records } from "../records.ts";

/** NetworkDriver.DiscoverNew and DiscoverDelete, parsed. */
export interface DiscoveredNode {
  /** "10.0.0.5": this node's own is where the others reach its data path, the others' where they gossip. */
  readonly address: string;
  readonly isSelf: boolean;
}

const shape = z.object({
  /** Since when Docker says that it is gone: milliseconds since 1970; null while it does not. */
  goneMs: z.number().nullable(),
});

/** Under this ID, which is no address, this node's own address in the swarm is recorded. */
const selfId = "self";
const selfShape = z.object({ address: textFor(parseIp) });

export interface DiscoveredNodesNeeds {
  readonly records: Pick<Records, "list" | "commit">;
  readonly locks: Locks;
  readonly log: Log;
  /** After so long without a sign of life a node that Docker has called gone is forgotten: TSNET_HOST_TTL. */
  readonly ttlMs: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * Docker tells of another node when it joins, and never again to a plugin that is started anew: so they are recorded. It calls one gone
 * that has left, but also one whose dockerd is restarted, or whom the gossip has not reached for a while, and whose containers run on:
 * such a one stays for `ttlMs`, as in etcd, and what is for all is sent there in vain if it is gone indeed. Who can ask Docker itself
 * which nodes have a network does better.
 *
 * Of a swarm that this node leaves, Docker calls no node gone. They go when Docker says that it is in none, or that its own address is
 * another: that, it says when its gossip begins anew, and then all the nodes that it meets (agentSetup() in moby, daemon/libnetwork).
 */
export class DiscoveredNodes {
  readonly #needs: DiscoveredNodesNeeds;
  /** By address: since when it is gone, or null. */
  readonly #nodes = new Map<string, number | null>();
  /** Those that joined before the plugin was there, so that Docker tells of them for the first time when they are gone. */
  readonly #strangers = new Set<string>();
  #self: string | null = null;
  /** The last that was said, also to an earlier process. */
  #recordedSelf: string | null = null;
  #shown = JSON.stringify([null, []]);
  #listener: () => void = () => {};
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(needs: DiscoveredNodesNeeds) {
    this.#needs = needs;
  }

  /**
   * Reads what an earlier process was told. What cannot be understood is removed.
   * @throws TsnetError "store"
   */
  async restore(): Promise<void> {
    const { records, log } = this.#needs;
    for (const [address, value] of await records.list("node")) {
      try {
        if (address === selfId) {
          this.#recordedSelf = parseRecord("node", address, selfShape, value).address;
          continue;
        }
        textFor(parseIp).parse(address);
        this.#nodes.set(address, parseRecord("node", address, shape, value).goneMs);
      } catch (error) {
        log.warn({ node: address, error: explain(error) }, "a node of the swarm is forgotten");
        await records.commit([{ remove: "node", id: address }]);
      }
    }
    await this.#forgetOld();
    this.#tell();
  }

  /** The other nodes that there are, and those that may come back: "10.0.0.5", in order. */
  addresses(): readonly string[] {
    return [...this.#nodes.keys()].filter((address) => address !== this.#self).toSorted();
  }

  /** This node's address in the swarm; null while Docker has not said it since the start. */
  self(): string | null {
    return this.#self;
  }

  /** Whether Docker calls a node gone, which may come back. */
  isGone(address: string): boolean {
    return this.#strangers.has(address) || (this.#nodes.get(address) ?? null) !== null;
  }

  /** @param listener is told when one of them is another, or gone, from now on */
  onChange(listener: () => void): void {
    this.#listener = listener;
  }

  /** The same again is success. @throws TsnetError "store"; then nothing was changed */
  found({ address, isSelf }: DiscoveredNode): Promise<void> {
    return this.#alone(async () => {
      if (isSelf) await this.#nameSelf(address);
      else if (this.#nodes.get(address) !== null) await this.#save(address, null);
    });
  }

  /** @throws TsnetError "store"; then nothing was changed */
  gone({ address, isSelf }: DiscoveredNode): Promise<void> {
    return this.#alone(async () => {
      if (isSelf) return;
      const goneMs = this.#nodes.get(address);
      if (goneMs === undefined) this.#strangers.add(address);
      if (goneMs === null) await this.#save(address, this.#needs.now());
    });
  }

  /** This host is in no swarm any more, or in none yet. @throws TsnetError "store"; then nothing was changed */
  left(): Promise<void> {
    return this.#alone(async () => {
      const selves = this.#recordedSelf === null ? [] : [{ remove: "node", id: selfId } as const];
      await this.#forgetAll(selves);
      this.#self = null;
      this.#recordedSelf = null;
    });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#needs.locks.exclusive("nodes", async () => {});
  }

  async #nameSelf(address: string): Promise<void> {
    const put = { put: "node", id: selfId, value: { address } } as const;
    if (this.#recordedSelf === null) await this.#needs.records.commit([put]);
    else if (this.#recordedSelf !== address) await this.#forgetAll([put]);
    this.#recordedSelf = address;
    this.#self = address;
  }

  /** @param changes are recorded with it */
  async #forgetAll(changes: readonly RecordChange[]): Promise<void> {
    const { records, log } = this.#needs;
    const nodes = [...this.#nodes.keys()];
    const all = [...nodes.map((id) => ({ remove: "node", id }) as const), ...changes];
    if (all.length > 0) await records.commit(all);
    this.#nodes.clear();
    this.#strangers.clear();
    if (nodes.length > 0) log.info({ nodes }, "nodes of a swarm in which this one is no more are forgotten");
  }

  async #save(address: string, goneMs: number | null): Promise<void> {
    await this.#needs.records.commit([{ put: "node", id: address, value: { goneMs } }]);
    this.#nodes.set(address, goneMs);
    this.#strangers.delete(address);
  }

  #alone(work: () => Promise<void>): Promise<void> {
    return this.#needs.locks.exclusive("nodes", async () => {
      await work();
      await this.#forgetOld();
      this.#tell();
    });
  }

  /** Those whose time is over, and looks again when the next one's is. What cannot be recorded now is done with the next. */
  async #forgetOld(): Promise<void> {
    const { records, ttlMs, now, log } = this.#needs;
    const isOld = (goneMs: number | null): boolean => goneMs !== null && now() - goneMs >= ttlMs;
    const old = [...this.#nodes].flatMap(([address, goneMs]) => (isOld(goneMs) ? address : []));
    if (old.length > 0) {
      await records.commit(old.map((id) => ({ remove: "node", id })));
      for (const address of old) this.#nodes.delete(address);
      log.info({ nodes: old }, "nodes that the swarm has lost long ago are forgotten");
    }
    this.#waitForNext();
  }

  #waitForNext(): void {
    clearTimeout(this.#timer);
    const { ttlMs, now, log } = this.#needs;
    const gone = [...this.#nodes.values()].filter((goneMs) => goneMs !== null);
    if (gone.length === 0 || this.#isStopped) return;
    const waitMs = Math.min(Math.max(Math.min(...gone) + ttlMs - now(), 0), longestTimerMs);
    const look = (): void =>
      void this.#alone(async () => {}).catch((error: unknown) => {
        log.warn({ error: explain(error) }, "nodes that the swarm has lost could not be forgotten yet");
      });
    this.#timer = setTimeout(look, waitMs).unref();
  }

  #tell(): void {
    const shown = JSON.stringify([this.#self, this.addresses().map((address) => [address, this.isGone(address)])]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#listener();
  }
}

/** setTimeout takes 31 bits: a setting of a year is longer. */
const longestTimerMs = 24 * 3_600_000;
