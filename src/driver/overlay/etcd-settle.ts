/**
 * Compares what etcd has of this host with what this host has, and puts it right: what etcd has lost, what could not be told it, what
 * was told after an answer was given up, and what an earlier process has left. Nothing here touches a running container.
 */
import { explain } from "../../errors.ts";
import type { OverlayNetwork } from "../../plan/network.ts";
import type { EtcdHosts } from "./etcd-hosts.ts";
import type { EtcdPlaneTiming } from "./etcd-needs.ts";
import type { EtcdNetworks, EtcdNetworksNeeds } from "./etcd-networks.ts";
import type { EtcdPlaces } from "./etcd-places.ts";
import type { PlaceRecord } from "./shared-records.ts";

export interface EtcdSettleNeeds extends EtcdNetworksNeeds {
  readonly hosts: EtcdHosts;
  readonly networks: EtcdNetworks;
  readonly places: EtcdPlaces;
}

/** After a failure it waits twice as long each time, unless etcd says that it is back. */
const longestRetryMs = 300_000;

export class EtcdSettle {
  readonly #needs: EtcdSettleNeeds;
  readonly #timing: EtcdPlaneTiming;
  #timer: NodeJS.Timeout | undefined;
  /** When the timer ends, by performance.now(). */
  #dueAt = Number.POSITIVE_INFINITY;
  #interval: NodeJS.Timeout | undefined;
  #retryMs: number;
  /** When something is removed for the first time, by performance.now(). */
  #removesFrom: number | undefined;
  #running: Promise<void> | undefined;
  #isDue = false;
  #isBeatDue = false;
  /** Whether others wait for a sign of life of this host, as etcd has lost something. */
  #isAwaited = false;
  #isTroubled = false;
  /** What was said of networks, by ID. */
  readonly #told = new Map<string, string>();
  #isClosed = false;

  constructor(needs: EtcdSettleNeeds, timing: EtcdPlaneTiming) {
    this.#needs = needs;
    this.#timing = timing;
    this.#retryMs = timing.settleMs;
  }

  start(): void {
    const { beatMs, compareMs } = this.#timing;
    const perBeat = Math.max(1, Math.round(beatMs / compareMs));
    let count = 0;
    this.#interval = setInterval(
      () => {
        if (++count % perBeat === 0) this.#isBeatDue = true;
        void this.#run();
      },
      Math.min(beatMs, compareMs),
    );
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#interval);
    clearTimeout(this.#timer);
    await this.#running;
  }

  /**
   * Soon, and not all hosts at the same time.
   * @param hasLost whether etcd has lost something: this host is to say that it is there
   */
  soon(hasLost = false): void {
    if (hasLost) {
      this.#isBeatDue = true;
      this.#isAwaited = true;
    }
    this.#retryMs = this.#timing.settleMs;
    this.#later(this.#retryMs);
  }

  #later(ms: number): void {
    const delayMs = ms * (0.5 + Math.random() / 2);
    const dueAt = performance.now() + delayMs;
    if (this.#isClosed || dueAt >= this.#dueAt) return;
    clearTimeout(this.#timer);
    this.#dueAt = dueAt;
    this.#timer = setTimeout(() => {
      this.#dueAt = Number.POSITIVE_INFINITY;
      void this.#run();
    }, delayMs);
  }

  /** One at a time; what comes meanwhile is looked at in the next. */
  async #run(): Promise<void> {
    if (this.#running) {
      this.#isDue = true;
      return;
    }
    this.#isDue = false;
    this.#running = this.#attempt();
    await this.#running;
    this.#running = undefined;
    if (this.#isDue) this.soon();
  }

  async #attempt(): Promise<void> {
    const { feed, log } = this.#needs;
    // before, nobody can say what is missing; afterwards it is called
    if (this.#isClosed || !feed.isTold) return;
    try {
      if (await this.#settle()) this.#retryMs = this.#timing.settleMs;
      else this.#retry();
      if (this.#isTroubled) log.info({}, "what etcd has of this host's overlay networks is right again");
      this.#isTroubled = false;
    } catch (error) {
      if (this.#isClosed) return;
      const fields = { error: explain(error) };
      if (!this.#isTroubled) log.error(fields, "what etcd has of this host's overlay networks cannot be put right yet");
      this.#isTroubled = true;
      this.#retry();
    }
  }

  #retry(): void {
    this.#retryMs = Math.min(2 * this.#retryMs, longestRetryMs);
    this.#later(this.#retryMs);
  }

  /** @returns false if something is in the way, which is logged */
  async #settle(): Promise<boolean> {
    const { hosts, hasTwin, feed, hostId } = this.#needs;
    // as long as two hosts are one, each would remove what the other one has
    if (hasTwin()) await this.#announce(); // throws
    this.#removesFrom ??= performance.now() + this.#timing.twinMs;
    const mayRemove = performance.now() >= this.#removesFrom;
    if (mayRemove) await this.#removeLeftovers();
    else this.#later(2 * this.#timing.twinMs);
    const own = [...this.#needs.own()];
    const ids = new Set(own.map(({ network }) => network.id));
    for (const id of this.#told.keys()) if (!ids.has(id)) this.#told.delete(id);
    if (this.#isIdle) {
      this.#isBeatDue = false;
      if (mayRemove) await this.#withdraw();
      return true;
    }
    if (this.#isBeatDue || !(await hosts.isKnown())) await this.#announce();
    this.#isAwaited = false;
    // endpoints first: for them others wait, and not for networks, whose records all hosts write, one after the other
    let isDone = await this.#putEndpointsBack();
    for (const { network } of own) {
      const isKnown = feed.networks.get(network.vni)?.hosts[hostId] === network.id;
      if (!isKnown && !(await this.#putNetworkBack(network))) isDone = false;
    }
    if (this.#isBeatDue) await this.#dropSilent();
    this.#isBeatDue = false;
    return isDone;
  }

  /** Others that keep what etcd has lost of this host hear of it once more: it has nothing left. */
  async #withdraw(): Promise<void> {
    // who cannot say where it is was never there
    if (this.#isAwaited)
      await this.#announce().catch((error) => (isConflict(error) ? undefined : Promise.reject(error)));
    this.#isAwaited = false;
    if (this.#isIdle) await this.#needs.hosts.withdraw(); // a network may have come meanwhile
  }

  /** Whether this host has nothing that others look for, and is not about to. */
  get #isIdle(): boolean {
    const { own, networks } = this.#needs;
    return [...own()].length === 0 && !networks.isJoining;
  }

  /** Is not waited for when it is closed. */
  #announce(): Promise<void> {
    return this.#needs.attempts.run(() => this.#needs.hosts.announce(true));
  }

  async #removeLeftovers(): Promise<void> {
    const { feed, hosts, networks, places, hostId } = this.#needs;
    const wanted = new Map<string, PlaceRecord>();
    for (const { network, endpoints } of this.#needs.own()) {
      for (const endpoint of endpoints)
        for (const [id, place] of places.placesOf(network, endpoint)) wanted.set(id, place);
    }
    const left = [...feed.places.of(hostId)].filter(([id, { endpoint }]) => wanted.get(id)?.endpoint !== endpoint);
    for (const [id, { endpoint }] of left) await hosts.removePlace(id, hostId, endpoint);
    for (const [vni, record] of [...feed.networks]) {
      const id = record.hosts[hostId];
      if (id !== undefined && !networks.has(id)) await hosts.leave(vni, hostId, id);
    }
  }

  /** @returns false if its VNI is another network's, or its record cannot be understood */
  async #putNetworkBack(network: OverlayNetwork): Promise<boolean> {
    const { log, networks } = this.#needs;
    const fields = { network: network.id, vni: network.vni };
    try {
      await networks.putBack(network);
      this.#told.delete(network.id);
      const why =
        "it was restored from a backup or made anew, this host was removed, or TSNET_ETCD_ENDPOINTS is another etcd";
      log.warn(fields, `etcd did not know that this host has a network, and does again: ${why}`);
      return true;
    } catch (error) {
      if (!isConflict(error)) throw error;
      const text = explain(error);
      if (this.#told.get(network.id) !== text)
        log.error({ ...fields, error: text }, "a network of this host cannot be put back into etcd");
      this.#told.set(network.id, text);
      return false;
    }
  }

  /** But for those of networks whose VNI is another's. @returns whether all are back */
  async #putEndpointsBack(): Promise<boolean> {
    const { feed, networks, places } = this.#needs;
    const all = [...this.#needs.own()];
    const own = all.filter(({ network }) => !networks.isTaken(network));
    const missing = own.flatMap(({ network, endpoints }) =>
      endpoints.flatMap((endpoint) => {
        const isThere = [...places.placesOf(network, endpoint)].every(([id, place]) =>
          isSame(feed.places.at(id), place),
        );
        return isThere ? [] : [[network, endpoint] as const];
      }),
    );
    const areBack = missing.length === 0 || (await places.putBack(missing));
    return areBack && own.length === all.length;
  }

  /** A host whose clock is wrong shows that it lives by its next signs. */
  async #dropSilent(): Promise<void> {
    const { now, hostTtlMs, hostId, log, feed, hosts } = this.#needs;
    if (now() - feed.resetMs < 2 * this.#timing.beatMs) return;
    for (const known of feed.hosts.all()) {
      const { host, name, address, ttlMs = 0 } = known;
      const silentMs = now() - feed.silentSinceMs(known);
      if (host === hostId || silentMs < Math.max(hostTtlMs, ttlMs) || feed.hosts.of(host)?.address !== address)
        continue;
      const fields = { host, name, address, seen: new Date(known.aliveMs).toISOString() };
      log.warn(fields, "a host was silent for longer than TSNET_HOST_TTL: what it had is removed");
      await hosts.remove(host);
    }
  }
}

const isConflict = (error: unknown): boolean => (error as { code?: unknown }).code === "conflict";

const isSame = (a: PlaceRecord | undefined, b: PlaceRecord): boolean =>
  a?.host === b.host && a.endpoint === b.endpoint && a.mac === b.mac;
