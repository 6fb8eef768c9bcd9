import { explain, hasErrno } from "../../errors.ts";
import { parseHostAddress } from "../../net/cidr.ts";
import { isSwarmNetwork } from "../../plan/gossip.ts";
import { planTxChecksum, type Underlay } from "../../plan/overlay.ts";
import type { DoctorAnswer, DoctorFinding } from "./doctor-answers.ts";
import { addressGone, spoiltChecksums } from "./doctor-findings.ts";
import type { ActiveNetwork, DoctorNeeds } from "./doctor-needs.ts";
import { Examiner, type Subject, type Verdict } from "./examination.ts";
import { PeerBook } from "./peer-book.ts";
import { PeerFacts } from "./peer-facts.ts";
import { ProbeNetwork } from "./probe-network.ts";

/** Each host is looked at so often, with one probe. */
const intervalMs = 15_000;
/** Networks and hosts that come and go are gathered for so long. */
const gatherMs = 300;
/** So long after that, other hosts will have done the same. */
const settledMs = 1_000;
/** So many probes are sent to each host for a report. */
const reportProbes = 10;

/** Looks at the way to each host that has a network of this one, and says what is wrong with it. */
export class Doctor {
  readonly #needs: DoctorNeeds;
  readonly #book: PeerBook;
  readonly #probes: ProbeNetwork;
  readonly #facts: PeerFacts;
  /** Of networks, by ID: the biggest underlay packet since the network is there, as containers that run keep their MTU. */
  #biggest = new Map<string, number>();
  /** What is wrong with this host. */
  #own: readonly DoctorFinding[] = [];
  #spoilsChecksums = false;
  #reporting: Promise<void> | undefined;
  /** Whether the kernel makes the checksums of probes, to see whether they pass then. */
  #isTrying = false;
  #settling: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #settleTimer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(needs: DoctorNeeds) {
    this.#needs = needs;
    this.#book = new PeerBook(needs);
    this.#probes = new ProbeNetwork(needs.kernel);
    this.#facts = new PeerFacts(needs);
  }

  /** What findUnderlay is to know. */
  get probed(): { readonly limits: ReadonlyMap<string, number>; readonly spoilsChecksums: boolean } {
    return { limits: this.#book.limits, spoilsChecksums: this.#spoilsChecksums };
  }

  /** Networks or hosts have come or gone, or this is the start: looks soon, and from then on regularly. */
  lookSoon = (): void => {
    if (this.#isStopped) return;
    // a look may wait for hosts that do not answer; meanwhile others are to be answered, or not any more
    this.#settleTimer ??= setTimeout(() => {
      this.#settleTimer = undefined;
      void this.#settle().then(
        () => this.#schedule(settledMs),
        () => this.#schedule(settledMs),
      );
    }, gatherMs);
  };

  /** Looks no more; what is under way ends with the kernel. Where no network is left, the probes' own goes, too. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#settleTimer);
    await this.#settle().catch((error: unknown) => {
      this.#needs.log.warn({ error: explain(error) }, "the network of the probes could not be put in order at the end");
    });
  }

  /** The network of the probes is there as long as this host has others. */
  #settle(): Promise<void> {
    const settling = this.#settling.then(async () => {
      const active = this.#needs.active();
      const [first] = active;
      if (first === undefined) {
        await this.#facts.silence();
        // other hosts may end theirs, too, and begin again: what is lost until they have answered is no loss of the way
        if (await this.#probes.remove()) this.#book.forget();
        return;
      }
      const underlay = this.#underlayOf(first);
      await this.#probes.ensure(
        underlay,
        this.#subjects(active).map(({ address }) => address),
      );
      await this.#facts.answer(underlay.local);
    });
    this.#settling = settling.catch(() => {});
    return settling;
  }

  #underlayOf = ({ underlay }: ActiveNetwork): Underlay => ({
    ...underlay,
    ...(this.#spoilsChecksums || this.#isTrying ? { withoutTxChecksum: true } : {}),
  });

  /** Sends some probes, asks who has answered, and says what is known then. */
  async report(): Promise<DoctorAnswer> {
    // who asks twice at a time gets the same
    this.#reporting ??= this.#inquire().finally(() => {
      this.#reporting = undefined;
    });
    await this.#reporting;
    const active = this.#needs.active();
    const underlay = active[0]?.underlay ?? (await this.#find(active).catch(() => undefined));
    const spoilt = this.#spoilsChecksums ? [spoiltChecksums] : [];
    const inSwarm = active.some(({ network }) => isSwarmNetwork(network));
    return {
      version: this.#needs.facts.version,
      address: underlay?.local ?? null,
      port: underlay?.port ?? null,
      networks: active.length,
      checksumOffload: active.length === 0 ? null : !this.#spoilsChecksums,
      peers: this.#book.answers().map((peer) => ({ ...peer, version: this.#facts.versionOf(peer.address) })),
      findings: [...this.#own, ...spoilt, ...this.#book.findings(), ...this.#facts.findings(inSwarm)],
      notes: this.#facts.notes(),
    };
  }

  async #inquire(): Promise<void> {
    await this.#look(reportProbes);
    const passable = this.#book.answers().filter(({ state }) => state === "ok" || state === "small-mtu");
    await this.#facts.ask(passable.map(({ address }) => address));
  }

  #schedule(ms: number): void {
    if (this.#isStopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#look(1).then(() => this.#schedule(intervalMs)), ms);
  }

  async #look(times: number): Promise<void> {
    const active = this.#needs.active();
    try {
      const own = await this.#examineSelf(active);
      await this.#settle();
      await (active.length === 0 ? this.#ping(times) : this.#examine(active, times));
      this.#say(own);
    } catch (error) {
      // ENOENT: the last network has gone meanwhile
      if (this.#isStopped || hasErrno(error, "ENOENT")) return;
      this.#say([{ kind: "probes", peer: null, text: `other hosts cannot be probed: ${explain(error)}` }]);
    }
  }

  /** Without a tunnel, only whether they answer who is asked about them. */
  async #ping(times: number): Promise<void> {
    const { kernel, plane, peers, vnis } = this.#needs;
    const hosts = new Set(times > 1 ? [...peers, ...vnis().flatMap((vni) => plane.hostsOf(vni))] : []);
    const began = this.#book.begin(hosts);
    const examiner = new Examiner(kernel, { local: "", port: 0 });
    await Promise.all([...hosts].map(async (host) => this.#book.note(host, await examiner.ping(host), began)));
  }

  async #examine(active: readonly ActiveNetwork[], times: number): Promise<void> {
    const [first] = active;
    if (first === undefined) return;
    const subjects = this.#subjects(active);
    const began = this.#book.begin(new Set(subjects.map(({ address }) => address)));
    const underlay = this.#underlayOf(first);
    const examiner = new Examiner(this.#needs.kernel, underlay);
    const look = async (those: readonly Subject[]): Promise<(readonly [Subject, Verdict])[]> =>
      Promise.all(those.map(async (subject) => [subject, await examiner.examine(subject, times)] as const));
    let verdicts = await look(subjects);
    const suspects = verdicts.filter(([, { state }]) => state === "suspect-checksums").map(([subject]) => subject);
    if (suspects.length > 0 && !this.#spoilsChecksums && !this.#isTrying) {
      const again = new Map(await this.#withoutOffload(active, () => look(suspects)));
      verdicts = verdicts.map(([subject, verdict]) => [subject, again.get(subject) ?? verdict]);
    }
    for (const [subject, verdict] of verdicts) {
      const path = await this.#needs.kernel.observePath(subject.address);
      this.#book.note(subject.address, verdict, began, { ...underlay, wantedBytes: subject.wantedBytes, path });
    }
  }

  /** Hosts that answer ICMP through the tunnel and no UDP: if they do as soon as the kernel makes the checksums, cards spoil them. */
  async #withoutOffload(
    active: readonly ActiveNetwork[],
    look: () => Promise<(readonly [Subject, Verdict])[]>,
  ): Promise<(readonly [Subject, Verdict])[]> {
    const { kernel, log } = this.#needs;
    this.#isTrying = true;
    const trying = this.#settle().then(look);
    const verdicts = await trying.finally(() => {
      this.#isTrying = false;
    });
    const healed = verdicts.filter(([, { state }]) => state !== "suspect-checksums").map(([{ address }]) => address);
    this.#spoilsChecksums = healed.length > 0;
    await this.#settle();
    if (healed.length === 0) return verdicts;
    log.warn(
      { hosts: healed },
      "a network card spoils the checksums of packets in the tunnel: from now on the kernel makes them (tx-checksum-ip-generic off)",
    );
    for (const { network } of active) await kernel.apply([planTxChecksum(network.id, false)]);
    return verdicts;
  }

  /** Each host with the biggest packets that a network sends to it. */
  #subjects(active: readonly ActiveNetwork[]): Subject[] {
    const wanted = new Map<string, number>();
    this.#biggest = new Map(
      active.map(({ network, underlay }) => {
        const bytes = network.mtuBytes ?? underlay.mtuBytes;
        return [network.id, Math.max(bytes, this.#biggest.get(network.id) ?? 0)];
      }),
    );
    for (const { network } of active) {
      const bytes = this.#biggest.get(network.id) ?? 0;
      for (const host of this.#needs.plane.hostsOf(network.vni))
        wanted.set(host, Math.max(bytes, wanted.get(host) ?? 0));
    }
    return [...wanted].map(([address, wantedBytes]) => ({
      ...{ address, wantedBytes, limitBytes: this.#book.limits.get(address) },
    }));
  }

  async #examineSelf(active: readonly ActiveNetwork[]): Promise<DoctorFinding[]> {
    const { kernel } = this.#needs;
    const own = new Set((await kernel.observeAddresses()).map(({ address }) => parseHostAddress(address).ip.text));
    const locals = new Set(active.map(({ underlay }) => underlay.local));
    const findings = [...locals].filter((local) => !own.has(local)).map(addressGone);
    try {
      await this.#find(active);
    } catch (error) {
      findings.push({ kind: "underlay", peer: null, text: explain(error) });
    }
    return findings;
  }

  /** Of a host that has no overlay networks, and is to have none, nothing is wanted. */
  async #find(active: readonly ActiveNetwork[]): Promise<Underlay | undefined> {
    const { find, peers, vnis } = this.#needs;
    return active.length + peers.length + vnis().length > 0 ? await find() : undefined;
  }

  #say(findings: readonly DoctorFinding[]): void {
    const { log } = this.#needs;
    const before = new Set(this.#own.map(({ text }) => text));
    for (const { kind, text } of findings) if (!before.has(text)) log.warn({ kind }, text);
    if (findings.length === 0 && before.size > 0)
      log.info({}, "this host's own side of the tunnel is as it should be again");
    this.#own = findings;
  }
}
