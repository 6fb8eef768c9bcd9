import type { Sources } from "./sources.ts";

/** Where what arrives at a port is passed on to, and for whom. */
export interface Destination {
  /** struct sockaddr. */
  readonly target: Uint8Array;
  readonly sources: Sources;
}

/** A port that is passed on, with its socket. */
export interface ProxiedPort {
  /** TCP connections, or UDP clients, that were passed on. */
  readonly connections: number;
  /** Payload of both directions. */
  readonly bytes: number;
  /** Ends all that is passed on at once, and closes the socket. */
  close(): void;
}
