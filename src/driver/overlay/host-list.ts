/** `tsnet hosts`: which hosts there are, and that one is gone for good. */
import { TsnetError } from "../../errors.ts";
import type { PoolHolder } from "../ipam/shared-pools.ts";
import type { EtcdFeed } from "./etcd-feed.ts";
import type { EtcdHosts } from "./etcd-hosts.ts";
import type { HostAnswer, HostRemoval, HostsAnswer } from "./host-answers.ts";

/** What hosts have of the pools that they share, whichever networks they are for. */
export interface PoolHolders {
  /** Whether etcd has told of them. */
  readonly isComplete: boolean;
  holders(): ReadonlyMap<string, PoolHolder>;
  /**
   * @returns how many addresses it held
   * @throws TsnetError "store"
   */
  giveUp(hostId: string): Promise<number>;
}

export interface HostListNeeds {
  readonly feed: EtcdFeed;
  readonly hosts: Pick<EtcdHosts, "remove">;
  readonly pools: PoolHolders;
  readonly hostId: string;
  /** How often a host says that it is there. */
  readonly beatMs: number;
  readonly now: () => number;
}

/** What the admin API asks for. */
export type HostReports = Pick<HostList, "hosts" | "remove">;

/** Where no etcd says which hosts there are. */
export const noHostList: HostReports = {
  hosts: () => {
    throw withoutEtcd();
  },
  remove: async () => {
    throw withoutEtcd();
  },
};

const withoutEtcd = (): TsnetError => {
  const todo = "set TSNET_ETCD_ENDPOINTS; with TSNET_PEERS, the other hosts are those that it names";
  return new TsnetError("invalid", `tsnet knows of no other hosts, since it has no etcd: ${todo}`);
};

export class HostList {
  readonly #needs: HostListNeeds;

  constructor(needs: HostListNeeds) {
    this.#needs = needs;
  }

  /** @throws TsnetError "store" as long as etcd has not told which there are */
  hosts(): HostsAnswer {
    const { feed, pools } = this.#needs;
    if (!feed.isTold || !pools.isComplete) {
      const what = "etcd has not been reached since tsnet was started, so that the hosts are not known yet";
      throw new TsnetError("store", `${what}: the log says why (journalctl -u tsnet, or -u docker)`);
    }
    const holders = pools.holders();
    const ids = new Set([...feed.hosts.all().map(({ host }) => host), ...feed.places.hosts(), ...holders.keys()]);
    for (const { hosts } of feed.networks.values()) for (const id of Object.keys(hosts)) ids.add(id);
    return { hosts: [...ids].map((id) => this.#answer(id, holders.get(id))) };
  }

  /**
   * Removes what etcd has of a host. One that seems to live keeps its addresses: it puts its endpoints back, and these it would not.
   * @param wanted its ID, or its name
   * @param force although it seems to be alive
   * @throws TsnetError "not-found"; "conflict" for this host, and for one that lives
   */
  async remove(wanted: string, force: boolean): Promise<HostRemoval> {
    const host = this.#find(wanted);
    const called = host.name === null || host.name === host.id ? host.id : `${host.name} (${host.id})`;
    if (host.isThis) {
      const what = "is this host itself: remove its networks (docker network rm), and it is gone from the list";
      throw new TsnetError("conflict", `host ${called} ${what}`);
    }
    const silentMs = this.#needs.now() - Date.parse(host.lastSeen ?? "1970-01-01T00:00:00Z");
    const seemsToLive = silentMs < 2 * this.#needs.beatMs;
    if (!force && host.lastSeen === null) {
      const what = "has no overlay network, or etcd has lost its signs of life: nobody knows whether it lives";
      const todo =
        "if it is gone for good, remove it with --force, and others can have the addresses of its containers";
      throw new TsnetError("conflict", `host ${called} ${what}: ${todo}`);
    }
    if (!force && seemsToLive) {
      const often = `a host says every ${ago(this.#needs.beatMs)} that it is there`;
      const todo = "stop tsnet there, or remove it with --force; one that lives puts everything back";
      throw new TsnetError("conflict", `host ${called} was seen ${ago(silentMs)} ago, and ${often}: ${todo}`);
    }
    const { hosts, pools } = this.#needs;
    const giveUp = async (): Promise<number> => (seemsToLive ? 0 : await pools.giveUp(host.id));
    return { id: host.id, name: host.name, ...(await hosts.remove(host.id, giveUp)) };
  }

  #find(wanted: string): HostAnswer {
    const { hosts } = this.hosts();
    const byId = hosts.find(({ id }) => id === wanted);
    if (byId) return byId;
    const [found, ...more] = hosts.filter(({ name }) => name === wanted);
    if (found && more.length === 0) return found;
    const known = hosts.map(({ id, name }) => (name === null ? id : `${name} (${id})`)).join(", ");
    if (!found) throw new TsnetError("not-found", `${wanted}: no such host; there are ${known || "none yet"}`);
    const ids = [found, ...more].map(({ id }) => id).join(", ");
    throw new TsnetError(
      "conflict",
      `${wanted}: several hosts have this name, with the IDs ${ids}: say which by its ID`,
    );
  }

  #answer(id: string, holder?: PoolHolder): HostAnswer {
    const { feed, hostId } = this.#needs;
    const known = feed.hosts.of(id);
    const networks = [...feed.networks.values()].filter(({ hosts }) => hosts[id] !== undefined).length;
    const endpoints = new Set([...feed.places.of(id)].map(([, { endpoint }]) => endpoint)).size;
    return {
      ...{ id, name: known?.name ?? holder?.name ?? null, address: known?.address ?? null, networks, endpoints },
      addresses: holder?.addresses ?? 0,
      lastSeen: known ? new Date(known.aliveMs).toISOString() : null,
      isThis: id === hostId,
    };
  }
}

/** "12 s", "5 min", "3 h" */
function ago(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}
