/** A host that shares overlay networks by etcd, as far as its control plane goes: without a kernel. */

import type { EtcdPlaneTiming } from "../../src/driver/overlay/etcd-needs.ts";
import { EtcdPlane } from "../../src/driver/overlay/etcd-plane.ts";
import type { PoolHolders } from "../../src/driver/overlay/host-list.ts";
import type { OwnOverlay } from "../../src/driver/overlay/own-overlays.ts";
import type { SharedRecords } from "../../src/driver/records.ts";
import { parseHostAddress } from "../../src/net/cidr.ts";
import { macOf } from "../../src/net/mac.ts";
import type { Endpoint, OverlayNetwork } from "../../src/plan/network.ts";
import type { RemoteEndpoint } from "../../src/plan/overlay-places.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import { TestLog } from "./driver.ts";

/**
 * An overlay network as a host asks for it.
 * @param gateways "10.1.0.1/24", of each subnet; none where nobody is led out
 */
export const overlayNetwork = (
  id: string,
  subnets = ["10.1.0.0/24"],
  vni = 0,
  gateways: readonly string[] = [],
): OverlayNetwork =>
  ({
    ...{ id, mode: "overlay", vni, flood: true },
    subnets: subnets.map((pool, n) => ({ pool, gateway: gateways[n] ?? null })),
  }) as unknown as OverlayNetwork;

/** @param addresses "10.1.0.2/24" */
export const overlayEndpoint = (id: string, network: string, ...addresses: string[]): Endpoint =>
  ({
    ...{ id, network, addresses },
    mac: macOf(network, parseHostAddress(addresses[0] ?? "0.0.0.0/0").ip),
  }) as unknown as Endpoint;

export interface PlaneHostOptions {
  /** This host's tunnel address. */
  readonly address?: string;
  readonly clock?: { now: number };
  /** What the host has, whose process this is. */
  readonly disk?: MemoryStore;
  readonly own?: PlaneHost["own"];
  readonly hostTtlMs?: number;
  readonly hasTwin?: boolean;
  readonly pools?: PoolHolders;
  readonly timing?: Partial<EtcdPlaneTiming>;
}

/** Where hosts share no pools. */
export const noPoolHolders: PoolHolders = { isComplete: true, holders: () => new Map(), giveUp: async () => 0 };

/** Beats come when a test lets them come. */
const quick: Partial<EtcdPlaneTiming> = {
  ...{ deadlineMs: 300, pauseMs: 2, patienceMs: 10, settleMs: 4, twinMs: 10, graceMs: 60, beatMs: 3_600_000 },
};

export class PlaneHost<R extends SharedRecords = SharedRecords> {
  readonly id: string;
  readonly records: R;
  readonly disk: MemoryStore;
  readonly log = new TestLog();
  /** What it has, as it is on its disk. */
  readonly own: Map<string, { network: OverlayNetwork; endpoints: Endpoint[] }>;
  /** What it was told of the endpoints of others, by MAC address, by VNI. */
  readonly told = new Map<number, Map<string, RemoteEndpoint>>();
  /** How often it was told that a MAC address is gone. */
  readonly goneMacs: string[] = [];
  /** How often it was told that everything may be another. */
  resets = 0;
  /** Is told as well. */
  onHosts: (vni: number | null) => void = () => {};
  /** VNIs that links of the host's have. */
  readonly takenVnis = new Set<number>();
  address: string;
  hasTwin: boolean;
  plane: EtcdPlane;
  readonly #options: PlaneHostOptions;

  constructor(id: string, records: R, options: PlaneHostOptions = {}) {
    this.id = id;
    this.records = records;
    this.#options = options;
    this.disk = options.disk ?? new MemoryStore();
    this.own = options.own ?? new Map();
    this.hasTwin = options.hasTwin ?? false;
    this.address = options.address ?? `192.0.2.${id.replace(/\D/g, "")}`;
    this.plane = this.#open();
  }

  /** A process begins, which knows nothing. */
  start(): this {
    this.told.clear();
    this.plane.start({
      onChange: ({ vni, put, removed }) => {
        const told = this.told.get(vni) ?? new Map<string, RemoteEndpoint>();
        this.told.set(vni, told);
        for (const mac of removed) told.delete(mac);
        this.goneMacs.push(...removed);
        for (const remote of put) told.set(remote.mac, remote);
      },
      onHosts: (vni) => {
        this.onHosts(vni);
        if (vni === null) this.resets++;
      },
    });
    return this;
  }

  async restart(): Promise<void> {
    await this.plane.close();
    this.plane = this.#open();
    this.start();
  }

  /** As `docker network create`. @returns the network with its VNI */
  async create(network: OverlayNetwork): Promise<OverlayNetwork> {
    const found = { ...network, vni: await this.plane.joinNetwork(network) };
    this.own.set(network.id, { network: found, endpoints: [] });
    return found;
  }

  /** As `docker network rm`. */
  async remove({ id }: OverlayNetwork): Promise<void> {
    const own = this.own.get(id);
    this.own.delete(id);
    if (own) await this.plane.leaveNetwork(own.network);
  }

  /** As `docker network connect`; taken back if it fails. */
  async connect(networkId: string, endpoint: Endpoint): Promise<void> {
    const own = this.#known(networkId);
    own.endpoints.push(endpoint);
    try {
      await this.plane.claim(own.network, endpoint);
    } catch (error) {
      await this.disconnect(networkId, endpoint);
      throw error;
    }
  }

  async disconnect(networkId: string, endpoint: Endpoint): Promise<void> {
    const own = this.#known(networkId);
    own.endpoints = own.endpoints.filter(({ id }) => id !== endpoint.id);
    await this.plane.release(own.network, endpoint);
  }

  /** What it was told of a network: "10.1.0.2 at 192.0.2.1", sorted. */
  view(vni: number): string[] {
    return [...(this.told.get(vni)?.values() ?? [])]
      .flatMap(({ ips, vtep }) => ips.map((ip) => `${ip} at ${vtep}`))
      .sort();
  }

  #known(networkId: string) {
    const own = this.own.get(networkId);
    if (own === undefined) throw new Error(`${networkId} is unknown`);
    return own;
  }

  #open(): EtcdPlane {
    const { clock = { now: Date.parse("2026-01-01T00:00:00Z") }, hostTtlMs = 86_400_000, timing } = this.#options;
    return new EtcdPlane({
      ...{
        records: this.records,
        disk: this.disk,
        etcd: ["http://10.0.0.1:2379"],
        hostId: this.id,
        hostName: `name-of-${this.id}`,
      },
      local: async () => this.address,
      own: (): Iterable<OwnOverlay> => this.own.values(),
      hasTwin: () => this.hasTwin,
      isFree: async (vni) => !this.takenVnis.has(vni),
      pools: this.#options.pools ?? noPoolHolders,
      ...{ hostTtlMs, log: this.log, now: () => clock.now, timing: { ...quick, ...timing } },
    });
  }
}
