/** Two containers that talk to each other, and to a client outside, while something happens to the plugin. */
import { expect } from "chai";
import { attempt } from "./commands.ts";
import { Container } from "./container.ts";
import type { Host } from "./host.ts";
import { client } from "./outside.ts";
import { patience } from "./patience.ts";
import { ask, type Place, ping } from "./probe.ts";
import { streamDuring } from "./stream.ts";

/** What became of the packets of two connections, one of them through a published port. */
interface Fate {
  /** How many messages the idler of them has sent and got back in order, which is all. */
  readonly messages: number;
  /** Segments that were sent again, and that the other side had not got the first time: RFC 2883. */
  readonly lost: number;
  /** Segments that were answered by RST. */
  readonly resets: number;
}

const publishedPort = 7007;
const echoPort = 7;

export class LiveTraffic {
  readonly server: Container;
  readonly neighbor: Container;
  readonly #network: string;

  private constructor(network: string, server: Container, neighbor: Container) {
    this.#network = network;
    this.server = server;
    this.neighbor = neighbor;
  }

  /** Starts the two containers in a network; the words are for the docker command that starts the server. */
  static async start(host: Host, network: string, ...words: string[]): Promise<LiveTraffic> {
    const publish = ["-p", `${publishedPort}:${echoPort}`];
    const server = await Container.run(host, { network, serve: true }, ...publish, ...words);
    return new LiveTraffic(network, server, await Container.run(host, { network }));
  }

  /** @throws Error that says after which message which connection broke */
  async during(work: () => Promise<unknown>): Promise<Fate> {
    const { host } = this.server;
    const address = await this.server.ipv4(this.#network);
    const places = [host.outside.client, this.neighbor, this.server];
    const resetsBefore = await resets(places);
    let lost = 0;
    let inside = 0;
    const lookAfter = async () => {
      await work();
      lost = await lostSegments(places);
    };
    const within = async () => {
      inside = await streamDuring(this.neighbor, address, lookAfter);
    };
    const outside = await streamDuring(host.outside.client, host.ipv4, within, publishedPort);
    return { messages: Math.min(inside, outside), lost, resets: (await resets(places)) - resetsBefore };
  }

  /** @throws AssertionError if a packet of the connections was lost meanwhile; Error if one broke */
  async undisturbed(work: () => Promise<unknown>): Promise<void> {
    const { messages, lost, resets } = await this.during(work);
    expect({ lost, resets }).to.deep.equal({ lost: 0, resets: 0 });
    expect(messages).to.be.greaterThan(0);
  }

  /** Other containers, in this network and in another, come, are reached and reach others, and go. @throws Error if not */
  async othersCome(): Promise<void> {
    const { host } = this.server;
    await host.docker("network", "create", "-d", "tsnet", "another");
    const server = await Container.run(host, { network: "another", serve: true }, "-p", "8080:80");
    const neighbor = await Container.run(host, { network: this.#network });
    expect(await ask(host.outside.client, "tcp", host.ipv4, 8080)).to.equal(client.ipv4);
    await ping(server, client.ipv4);
    await ping(neighbor, await this.server.ipv4(this.#network));
    await Promise.all([server.remove(), neighbor.remove()]);
    await host.docker("network", "rm", "another");
  }
}

const read = async (place: Place, script: string): Promise<string> => {
  const { code, stdout, stderr } = await attempt(await place.enter(["sh", "-c", script]));
  if (code !== 0) throw new Error(`${script}: exit code ${code}: ${stderr}`);
  return stdout;
};

/** How long the receiver's word that it has got a segment twice may take, on a machine that has more to do. */
const wordMs = 2_000;

/**
 * Of the connections to the echo port at each end: retransmissions without those that the receiver has called duplicates. Of a segment
 * that was sent again just now nobody can tell yet: its sender hears of the duplicate with the answer, and of a lost one never.
 */
export async function lostSegments(places: readonly Place[]): Promise<number> {
  const end = performance.now() + wordMs * patience;
  for (;;) {
    const sockets = await socketsAt(places);
    const lost = sum(sockets, /\bretrans:\d+\/(\d+)/g) - sum(sockets, /\bdsack_dups:(\d+)/g);
    if (lost === 0) return 0;
    if (performance.now() < end) continue;
    console.log(`segments sent again, and not called duplicates:\n${sockets}\n${await tcpCounters(places)}`);
    return lost;
  }
}

async function socketsAt(places: readonly Place[]): Promise<string> {
  const ports = `( sport = :${echoPort} or dport = :${echoPort} or dport = :${publishedPort} )`;
  const sockets = places.map((place) => read(place, `ss -Hntio state established '${ports}'`));
  return (await Promise.all(sockets)).join("\n");
}

/** What TCP has counted that tells why something was sent again. */
async function tcpCounters(places: readonly Place[]): Promise<string> {
  const counters = places.map((place) =>
    read(place, "nstat -as | grep -E 'Retrans|DSACK|Loss|Timeout|RcvQDrop|Prun|Backlog' || :"),
  );
  return (await Promise.all(counters)).join("\n");
}

const sum = (text: string, count: RegExp): number =>
  [...text.matchAll(count)].reduce((total, [, digits]) => total + Number(digits), 0);

/** OutRsts of /proc/net/snmp, in all namespaces. */
export async function resets(places: readonly Place[]): Promise<number> {
  const counts = await Promise.all(
    places.map(async (place) => {
      const [names = [], values = []] = (await read(place, "cat /proc/net/snmp"))
        .split("\n")
        .filter((line) => line.startsWith("Tcp:"))
        .map((line) => line.split(" "));
      return Number(values[names.indexOf("OutRsts")]);
    }),
  );
  return counts.reduce((one, other) => one + other, 0);
}
