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

  constructor(needs: PeerBookNeeds) {
    this.#needs = needs;
  }

  /** Forgets all others. */
  keep(addresses: ReadonlySet<string>): void {
    for (const address of this.#peers.keys()) {
      if (addresses.has(address)) continue;
      this.#peers.delete(address);
      this.limits.delete(address);
    }
  }

  /** @param context undefined where nothing is expected of the host */
  note(address: string, verdict: Verdict, context?: FindingContext): void {
    const peer = this.#peerAt(address, verdict);
    // of a host that was not there yet, what is lost before its first answer is no loss of the way
    const first = peer.verdict.verifiedMtuBytes === null ? verdict.probes.findIndex((ms) => ms !== null) : 0;
    for (const ms of verdict.probes.slice(Math.max(first, 0))) peer.history.record(ms);
    const isSeen = verdict.verifiedMtuBytes !== null || verdict.probes.some((ms) => ms !== null);
    if (isSeen) peer.lastSeenMs = this.#needs.now();
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
    if (known) return known;
    const unseen: Verdict = { ...verdict, verifiedMtuBytes: null };
    const peer: Peer = {
      ...{
        history: new PeerHistory(),
        verdict: unseen,
        lastSeenMs: null,
        finding: undefined,
        times: 0,
        told: undefined,
      },
    };
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
