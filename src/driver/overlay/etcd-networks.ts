/** Which networks there are: this host finds the one that others have, or makes its own known. */
import { TsnetError } from "../../errors.ts";
import { vniOf } from "../../net/vni.ts";
import type { OverlayNetwork } from "../../plan/network.ts";
import { type Lost, lost } from "../ipam/attempts.ts";
import { newGrant } from "../ipam/grants.ts";
import type { RecordChange, RecordCondition } from "../records.ts";
import type { EtcdHosts, EtcdHostsNeeds } from "./etcd-hosts.ts";
import { refuseTakenVni } from "./free-vni.ts";
import { findNetwork, gatewaysOf, type KnownNetworks, refuseDifference, subnetsOf } from "./network-agreement.ts";
import {
  isNetworkId,
  type NetworkRecord,
  parseNetworkRecord,
  parsePlaceRecord,
  placeId,
  readNetworkRecord,
} from "./shared-records.ts";

export interface EtcdNetworksNeeds extends EtcdHostsNeeds {
  readonly hosts: EtcdHosts;
}

/** Of all networks together: another value with each that is new, so that two hosts cannot make one at the same time. */
const version = { kind: "space", id: "tsnet-overlay" } as const;

/** All networks, and what a commit depends on. */
interface Read {
  /** But for what this host alone has, and has no more: nobody has told etcd yet. */
  readonly known: KnownNetworks;
  /** The VNIs of records that cannot be understood. The feed has said it. */
  readonly unreadable: ReadonlySet<number>;
  /** The records as they came, by ID. */
  readonly values: ReadonlyMap<string, unknown>;
  readonly version: RecordCondition["is"];
}

export class EtcdNetworks {
  readonly #needs: EtcdNetworksNeeds;
  /** By ID: those that this host has joined, and has perhaps not recorded yet. */
  readonly #joining = new Set<string>();

  constructor(needs: EtcdNetworksNeeds) {
    this.#needs = needs;
  }

  /** Whether networks are being made that this host has not recorded yet. */
  get isJoining(): boolean {
    return this.#joining.size > 0;
  }

  /** Whether this is a network of this host's. */
  has(id: string): boolean {
    const isOwn = [...this.#needs.own()].some(({ network }) => network.id === id);
    if (isOwn) this.#joining.delete(id);
    return isOwn || this.#joining.has(id);
  }

  /** @see ControlPlane.joinNetwork */
  async join(network: OverlayNetwork): Promise<number> {
    const { attempts, hosts } = this.#needs;
    this.#joining.add(network.id);
    try {
      return await attempts.run(async () => {
        await hosts.announce();
        return this.#join(network);
      });
    } catch (error) {
      this.#joining.delete(network.id);
      throw error;
    }
  }

  /** @throws TsnetError "store" */
  async leave({ id, vni }: Pick<OverlayNetwork, "id" | "vni">): Promise<void> {
    this.#joining.delete(id);
    await this.#needs.hosts.leave(vni, this.#needs.hostId, id);
  }

  /**
   * Puts a network of this host's back that etcd has lost.
   * @throws TsnetError "conflict" if the VNI is another network's now
   */
  async putBack(network: OverlayNetwork): Promise<void> {
    await this.#needs.attempts.run(async () => {
      const read = await this.#read();
      const record = read.known.get(network.vni);
      if (record) refuseDifference(network, network.vni, record, this.#call);
      return this.#put(network, network.vni, read);
    });
  }

  /** Whether its VNI is another network's, as far as this host has heard. */
  isTaken(network: OverlayNetwork): boolean {
    const record = this.#needs.feed.networks.get(network.vni);
    if (record === undefined || record.hosts[this.#needs.hostId] === network.id) return false;
    try {
      refuseDifference(network, network.vni, record, this.#call);
      return false;
    } catch {
      return true;
    }
  }

  async #join(network: OverlayNetwork): Promise<number | Lost> {
    const read = await this.#read();
    const { known } = read;
    const found = findNetwork(network, known, this.#call);
    if (found !== undefined) {
      if (known.get(found)?.hosts[this.#needs.hostId] !== network.id) await refuseTakenVni(found, this.#needs.isFree);
      return this.#put(network, found, read);
    }
    const subnets = subnetsOf(network);
    for (let attempt = 0; ; attempt++) {
      const vni = vniOf(subnets, attempt);
      if (known.has(vni) || read.unreadable.has(vni) || !(await this.#needs.isFree(vni))) continue;
      return this.#put(network, vni, read);
    }
  }

  async #put(network: OverlayNetwork, vni: number, read: Read): Promise<number | Lost> {
    const { records, hostId } = this.#needs;
    const known = read.known.get(vni);
    const other = known?.hosts[hostId];
    if (other === network.id) return vni;
    if (other !== undefined && this.has(other)) {
      const what = `network ${other} of this host is the network with VNI ${vni} already`;
      throw new TsnetError("conflict", `${what}: use that one, or give another --subnet and tsnet.vni`);
    }
    const id = `${vni}`;
    const subnets = known?.subnets ?? subnetsOf(network);
    const gateways = known?.gateways ?? gatewaysOf(network);
    const hosts = { ...known?.hosts, [hostId]: network.id };
    const value = { subnets, ...(gateways.length === 0 ? {} : { gateways }), hosts };
    const before = read.values.get(id) as object | undefined;
    if (before !== undefined) parseNetworkRecord(id, before); // what cannot be understood is not overwritten
    const changes: RecordChange[] = [{ put: "overlay", id, value }];
    const conditions: RecordCondition[] = [{ kind: "overlay", id, is: before ?? "absent" }];
    if (known && !known.gateways) conditions.push(...(await this.#freeGateways(vni, gateways)));
    if (known === undefined) {
      changes.push({ put: version.kind, id: version.id, value: { version: newGrant() } });
      conditions.push({ ...version, is: read.version });
    }
    return (await records.commitIf(changes, conditions)) ? vni : lost;
  }

  /** The version first: what is added after it was read changes it. */
  async #read(): Promise<Read> {
    const { records } = this.#needs;
    const found = (await records.get(version.kind, version.id)) as object | undefined;
    const values = new Map([...(await records.list("overlay"))].filter(([id]) => isNetworkId(id)));
    const known = new Map<number, NetworkRecord>();
    const unreadable = new Set<number>();
    for (const [id, value] of values) {
      const record = readNetworkRecord(value);
      if (record === undefined) unreadable.add(Number(id));
      else if (!this.#isLeft(record)) known.set(Number(id), record);
    }
    return { known, unreadable, values, version: found ?? "absent" };
  }

  #isLeft = ({ hosts }: NetworkRecord): boolean =>
    Object.entries(hosts).every(([host, id]) => host === this.#needs.hostId && !this.has(id));

  /**
   * The address of a gateway may be an endpoint's where nobody had gateways.
   * @returns what must still be so when they are recorded
   * @throws TsnetError "conflict" that names the endpoint and its host
   */
  async #freeGateways(vni: number, gateways: readonly string[]): Promise<RecordCondition[]> {
    const { records, feed } = this.#needs;
    for (const ip of gateways) {
      const id = placeId(vni, ip);
      const value = await records.get("place", id);
      if (value === undefined) continue;
      const { endpoint, host } = parsePlaceRecord(id, value);
      const whose = `is the address of endpoint ${endpoint.slice(0, 12)} on host ${feed.hosts.call(host)}`;
      throw new TsnetError("conflict", `the gateway ${ip} of VNI ${vni} ${whose}: give another --gateway`);
    }
    return gateways.map((ip): RecordCondition => ({ kind: "place", id: placeId(vni, ip), is: "absent" }));
  }

  #call = ({ hosts }: NetworkRecord): string =>
    Object.keys(hosts)
      .map((host) => this.#needs.feed.hosts.call(host))
      .join(", ");
}
