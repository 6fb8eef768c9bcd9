/** Connections between containers of several hosts, each never idle, while something happens. */
import { expect } from "chai";
import type { Container } from "./container.ts";
import { lostSegments, resets } from "./live-traffic.ts";
import { streamDuring } from "./stream.ts";

/** Who talks to the echo port of whom, by which address. */
export interface Connection {
  readonly from: Container;
  readonly to: Container;
  readonly address: string;
}

/** What became of the packets of all connections together. */
export interface Fate {
  /** How many messages the idlest of them has sent and got back in order, which is all. */
  readonly messages: number;
  /** Segments that were sent again, and that the other side had not got the first time: RFC 2883. */
  readonly lost: number;
  /** Segments that were answered by RST. */
  readonly resets: number;
}

/** Each container to the next, the last to the first: by IPv4 and IPv6 in turn. */
export async function aroundThe(containers: readonly Container[], network: string): Promise<Connection[]> {
  const connections: Connection[] = [];
  for (const [index, from] of containers.entries()) {
    const to = containers[(index + 1) % containers.length];
    if (to === undefined) continue;
    const address = index % 2 === 0 ? await to.ipv4(network) : await to.ipv6(network);
    connections.push({ from, to, address });
  }
  return connections;
}

/** @throws Error that says after which message which connection broke */
export async function trafficDuring(connections: readonly Connection[], work: () => Promise<unknown>): Promise<Fate> {
  const places = [...new Set(connections.flatMap(({ from, to }) => [from, to]))];
  const before = await resets(places);
  let lost = 0;
  const lookAfter = async (): Promise<number> => {
    await work();
    lost = await lostSegments(places);
    return Number.POSITIVE_INFINITY;
  };
  const all = connections.reduce<() => Promise<number>>(
    (inner, { from, address }) =>
      async () => {
        let fewest = 0;
        const own = await streamDuring(from, address, async () => {
          fewest = await inner();
        });
        return Math.min(own, fewest);
      },
    lookAfter,
  );
  return { messages: await all(), lost, resets: (await resets(places)) - before };
}

/** @throws AssertionError if a packet of the connections was lost meanwhile; Error if one broke */
export async function undisturbed(connections: readonly Connection[], work: () => Promise<unknown>): Promise<void> {
  const { messages, lost, resets } = await trafficDuring(connections, work);
  expect({ lost, resets }).to.deep.equal({ lost: 0, resets: 0 });
  expect(messages).to.be.greaterThan(0);
}
