/** What `GET /v1/services` answers: plain values that survive JSON, for programs. The command `tsnet` prints them. */

export interface TaskAnswer {
  /** "web.1.k3v…"; of a plain container, its name. */
  readonly name: string;
  /** "10.5.0.9" */
  readonly address: string;
  /** Whether it runs on this node. */
  readonly isHere: boolean;
  /**
   * "draining": it gets no new connections, since it is about to be stopped. "unknown": nor does it, since this node does not know how to
   * reach it, or not yet.
   */
  readonly state: "active" | "draining" | "unknown";
  /** Open ones that containers of this node have to it by the virtual IP; null where there is none, or that is not known. */
  readonly connections: number | null;
}

export interface ServiceAnswer {
  /** Full ID. */
  readonly network: string;
  readonly name: string;
  /** "10.5.0.4"; null with endpoint mode dnsrr. */
  readonly vip: string | null;
  /** As of a task; those to tasks that are gone are among them. */
  readonly connections: number | null;
  readonly tasks: readonly TaskAnswer[];
}

/** GET /v1/services */
export interface ServicesAnswer {
  readonly services: readonly ServiceAnswer[];
}
