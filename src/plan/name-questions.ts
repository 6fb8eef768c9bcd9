/** What Docker's name server is asked from within a container, and what comes of it. */

/** Questions for addresses of IPv4, asked at the same time. */
export interface NameQuestions {
  /** The file of the container's network namespace: SandboxKey of Join. */
  readonly sandbox: string;
  /** "tasks.web.backend": see task-names.ts for what can be asked for. */
  readonly names: readonly string[];
  /** How long answers are waited for. */
  readonly waitMs: number;
}

/** What came of a question. */
export interface NameAnswer {
  /**
   * "answered", by all there is; "truncated", as there was more; "malformed"; "silent"; or the name of a code of RFC 1035, 4.1.1:
   * "SERVFAIL", "NXDOMAIN".
   */
  readonly outcome: string;
  /** "10.5.0.9"; none unless it was answered. */
  readonly addresses: readonly string[];
}
