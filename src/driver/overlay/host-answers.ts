/** What the admin API answers about the hosts that share etcd. */

export interface HostsAnswer {
  readonly hosts: readonly HostAnswer[];
}

export interface HostAnswer {
  readonly id: string;
  /** What people call it; null if etcd has lost it. */
  readonly name: string | null;
  /** Its tunnel address; null if etcd has lost it. */
  readonly address: string | null;
  /** Its last sign of life, ISO 8601; null if etcd has lost it. */
  readonly lastSeen: string | null;
  /** How many overlay networks it has, and endpoints of them. */
  readonly networks: number;
  readonly endpoints: number;
  /** How many addresses it holds in pools that hosts share, without gateways and auxiliary addresses. */
  readonly addresses: number;
  /** Whether it is the one that answers. */
  readonly isThis: boolean;
}

export interface HostRemoval {
  readonly id: string;
  readonly name: string | null;
  /** How many endpoints it had. */
  readonly endpoints: number;
  /** How many addresses it has given up in pools that hosts share. */
  readonly addresses: number;
}
