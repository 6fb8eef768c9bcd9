/** What `--ipam-opt` says of a pool. */
export interface PoolOptions {
  /** `tsnet.sticky`: who comes back within `stickyTtlMs` gets the same address again. */
  readonly sticky: boolean;
  /** `tsnet.sticky_ttl`, 24 h by default. */
  readonly stickyTtlMs: number;
  /** `tsnet.quarantine`: how long a released address rests before somebody else gets it; 0 by default. */
  readonly quarantineMs: number;
  /** `tsnet.shared`: several hosts give out its addresses, by way of etcd. */
  readonly shared: boolean;
}

export const defaultPoolOptions: PoolOptions = {
  sticky: false,
  stickyTtlMs: 24 * 60 * 60 * 1000,
  quarantineMs: 0,
  shared: false,
};
