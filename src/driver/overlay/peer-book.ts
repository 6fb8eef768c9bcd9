import type { Log } from "../log.ts";
import type { DoctorFinding, WayAnswer } from "./doctor-answers.ts";
import { type FindingContext, findingOf } from "./doctor-findings.ts";
import type { Verdict } from "./examination.ts";
import { PeerHistory } from "./peer-history.ts";

interface PeerBookNeeds {
  readonly log: Log;
  readonly now: () => number;
}

/** What is known of another host. */
interface Peer {
  readonly history: PeerHistory;
  verdict: Verdict;
  lastSeenMs: number | null;
  /** By the book's count, since when it has answered; undefined as long as it has not, and when it does no more. */
  thereSince: number | undefined;
  finding: DoctorFinding | undefined;
  /** So often in a row the same was found. */
  times: number;
  /** What was told of it last. */
  told: DoctorFinding["kind"] | undefined;
}

/** What is known of the ways to other hosts. What is new is told in the log. */
export class PeerBook {
  readonly #needs: PeerBookNeeds;
  /** By tunnel address. */
  readonly #peers = new Map<string, Peer>();
  /** The biggest packet that has passed to a host, where that is less than its route promises. */
  readonly limits = new Map<string, number>();
  /** Counts what happens, as clocks may be set back. */
  #count = 0;
  #forgottenAt = 0;

  constructor(needs: PeerBookNeeds) {
    this.#needs = needs;
  }

  /**
   * It is looked at these hosts from now on, at others no more: they are forgotten. Two looks may be under way at a time.
   * @returns what tells this look from others, for `note`
   */
  begin(addresses: ReadonlySet<string>): number {
    for (const address of this.#peers.keys()) {
      if (addresses.has(address)) continue;
      this.#peers.delete(address);
      this.limits.delete(address);
    }
    return ++this.#count;
  }

  /** Forgets all, and what looks under way will note: the network that led to the hosts has ended. */
  forget(): void {
    this.#forgottenAt = this.begin(new Set());
  }

  /**
   * @param look by which it was found
   * @param context undefined where nothing is expected of the host
   */
  note(address: string, verdict: Verdict, look: number, context?: FindingContext): void {
    if (look < this.#forgottenAt) return;
    const peer = this.#peerAt(address, verdict);
    const { thereSince } = peer;
    const wasThere = thereSince !== undefined && thereSince < look;
    // of a host that was not there yet, what is lost before its first answer is no loss of the way
    const first = wasThere ? 0 : verdict.probes.findIndex((ms) => ms !== null);
    for (const ms of verdict.probes.slice(Math.max(first, 0))) peer.history.record(ms);
    const isSeen = verdict.verifiedMtuBytes !== null || verdict.probes.some((ms) => ms !== null);
    if (isSeen) peer.lastSeenMs = this.#needs.now();
    peer.thereSince = verdict.verifiedMtuBytes === null ? undefined : (thereSince ?? ++this.#count);
    peer.verdict = verdict;
    this.#setLimit(address, verdict);
    const finding = context && findingOf(answerOf(address, peer), context);
    peer.times = finding === undefined || finding.kind !== peer.finding?.kind ? 1 : peer.times + 1;
    peer.finding = finding;
    this.#tell(address, peer);
  }

  answers(): WayAnswer[] {
    return [...this.#peers].map(([address, peer]) => answerOf(address, peer));
  }

  findings(): DoctorFinding[] {
    return [...this.#peers.values()].flatMap(({ finding }) => finding ?? []);
  }

  #peerAt(address: string, verdict: Verdict): Peer {
    const known = this.#peers.get(address);
    // what has become of packets without a tunnel says nothing about those with one
    if (known && (known.verdict.state === "idle") === (verdict.state === "idle")) return known;
    const nothing = { lastSeenMs: null, thereSince: undefined, finding: undefined, times: 0, told: undefined };
    const peer: Peer = { history: new PeerHistory(), verdict, ...nothing };
    this.#peers.set(address, peer);
    return peer;
  }

  #setLimit(address: string, { routeMtuBytes, verifiedMtuBytes, state }: Verdict): void {
    const isLess = state === "small-mtu" && verifiedMtuBytes !== null && verifiedMtuBytes < (routeMtuBytes ?? 0);
    if (isLess) this.limits.set(address, verifiedMtuBytes);
    else if (verifiedMtuBytes !== null) this.limits.delete(address);
  }

  /** Once for each thing that is wrong, when it is found for the second time in a row: hosts start and end their networks, too. */
  #tell(host: string, peer: Peer): void {
    const { log } = this.#needs;
    const { finding, told, times } = peer;
    if (finding === undefined) {
      if (told !== undefined) log.info({ host }, "the way to another host is as it should be again");
      peer.told = undefined;
    } else if (finding.kind !== told && times > 1) {
      log.warn({ host, kind: finding.kind }, finding.text);
      peer.told = finding.kind;
    }
  }
}

function answerOf(address: string, { history, verdict, lastSeenMs }: Peer): WayAnswer {
  const { state, routeMtuBytes, verifiedMtuBytes } = verdict;
  const isThere = verifiedMtuBytes !== null || state === "idle";
  return {
    address,
    state: state === "suspect-checksums" ? "damaged" : state,
    roundTripMs: isThere ? history.roundTripMs : null,
    ...{ routeMtuBytes, verifiedMtuBytes },
    loss: history.probes === 0 ? null : isThere ? history.lost / history.probes : 1,
    probes: history.probes,
    lastSeen: lastSeenMs === null ? null : new Date(lastSeenMs).toISOString(),
  };
}
