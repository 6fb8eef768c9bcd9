/** What a node of a swarm has heard, as a test has it. */
import type { SwarmGossip, SwarmNodes } from "../../src/driver/overlay/swarm-needs.ts";
import type { GossipNetwork, GossipTask } from "../../src/plan/gossip.ts";

/** A network of a swarm, by its first digits. */
export const swarmIdOf = (digits: string): string => digits.padEnd(25, "0");

/** @param tasks the endpoints of the service "web", by address */
export const gossipOf = (peers: readonly string[], tasks: Readonly<Record<string, string>> = {}): GossipNetwork => ({
  peers,
  services: [
    {
      ...{ name: "web", vip: "10.5.0.200" },
      tasks: Object.entries(tasks).map(([ip, endpoint]): GossipTask => ({ name: `web.${endpoint}`, endpoint, ip })),
    },
  ],
});

/** Tells what is followed, in a later turn; a process that begins has heard nothing. */
export class FakeGossip implements SwarmGossip {
  /** What Docker knows, by network ID. */
  readonly docker = new Map<string, GossipNetwork>();
  readonly heard = new Map<string, GossipNetwork>();
  followed: readonly string[] = [];
  address: string | null = "192.0.2.1";
  isIn = true;
  isAsked = true;
  #listener: (id: string) => void = () => {};

  network = (id: string): GossipNetwork | undefined => this.heard.get(id);
  nodeAddress = (): string | null => this.address;
  isSwarm = (): boolean => this.isIn;
  hasAnswered = (): boolean => this.isAsked;

  onChange(listener: (id: string) => void): void {
    this.#listener = listener;
  }

  follow(ids: Iterable<string>): void {
    const before = this.followed;
    this.followed = [...ids];
    for (const id of before) {
      if (!this.followed.includes(id) && this.heard.delete(id)) this.#listener(id);
    }
    for (const id of this.followed) if (!before.includes(id)) setImmediate(() => this.#hear(id));
  }

  /** Docker knows something else. */
  put(id: string, gossip: GossipNetwork): void {
    this.docker.set(id, gossip);
    this.#hear(id);
  }

  /** Of this node there is something else to know. */
  tellOfNode(): void {
    this.#listener("");
  }

  /** A process begins. */
  begin(): this {
    this.heard.clear();
    this.followed = [];
    this.#listener = () => {};
    return this;
  }

  #hear(id: string): void {
    const gossip = this.docker.get(id);
    if (gossip === undefined || !this.followed.includes(id)) return;
    this.heard.set(id, gossip);
    this.#listener(id);
  }
}

/** What Docker has told of nodes. */
export class FakeNodes implements SwarmNodes {
  others: readonly string[] = [];
  own: string | null = null;
  readonly gone = new Set<string>();
  #listener = (): void => {};

  isGone = (address: string): boolean => this.gone.has(address);
  addresses = (): readonly string[] => this.others;
  self = (): string | null => this.own;

  onChange(listener: () => void): void {
    this.#listener = listener;
  }

  tell(): void {
    this.#listener();
  }
}
