/** How the way to another host is: by probes through the tunnel, and past it where those fail. */
import { isSameFamily } from "../../net/cidr.ts";
import type { Underlay } from "../../plan/overlay.ts";
import type { PathAnswer, PathProbe } from "../../plan/path-probe.ts";
import { leastMtuBytes, overheadOf, probeNamespace, probePort, sizesBetween } from "../../plan/probe.ts";
import type { Kernel } from "../kernel.ts";
import type { PeerState } from "./doctor-answers.ts";

/** How long an answer is waited for: many times what a packet takes around the world. */
const waitMs = 700;

/** More than a host keeps silent that has said already that a port is closed. */
const sayAgainMs = 1_100;

/** So many probes must be lost in a row before a host counts as gone. */
const leastTries = 3;

/** Each size is tried so often when the biggest is looked for, as one may be lost for other reasons. */
const triesPerSize = 2;

export interface Subject {
  /** The other host's tunnel address. */
  readonly address: string;
  /** What the networks here would send to it: whole IP packets between the hosts. */
  readonly wantedBytes: number;
  /** The biggest that has passed before, if it was less than the route promises. */
  readonly limitBytes: number | undefined;
}

export interface Verdict {
  readonly state: PeerState | "suspect-checksums";
  readonly routeMtuBytes: number | null;
  readonly verifiedMtuBytes: number | null;
  /** Milliseconds of each probe of a size that should have passed; null for a lost one. */
  readonly probes: readonly (number | null)[];
}

interface Try {
  readonly bytes: number;
  readonly ms: number | null;
}

export class Examiner {
  readonly #kernel: Pick<Kernel, "observePath" | "probePaths">;
  readonly #underlay: Pick<Underlay, "local" | "port">;

  constructor(kernel: Pick<Kernel, "observePath" | "probePaths">, underlay: Pick<Underlay, "local" | "port">) {
    this.#kernel = kernel;
    this.#underlay = underlay;
  }

  /** @param times how many probes */
  async examine(subject: Subject, times: number): Promise<Verdict> {
    const { address } = subject;
    const nothing = { routeMtuBytes: null, verifiedMtuBytes: null, probes: [] };
    if (!isSameFamily(address, this.#underlay.local)) return { ...nothing, state: "other-family" };
    const tries: Try[] = [];
    for (let n = 0; n < Math.max(times, leastTries); n++) {
      const hasAnswered = tries.some(({ ms }) => ms !== null);
      if (hasAnswered ? n >= times : n >= leastTries) break;
      const route = await this.#routeMtu(address);
      if (route === null) return { ...nothing, state: "no-route" };
      tries.push(await this.#try(address, Math.min(subject.wantedBytes, route, subject.limitBytes ?? route)));
    }
    const passed = tries.filter(({ ms }) => ms !== null).map(({ bytes }) => bytes);
    if (passed.length === 0) return await this.#diagnose(subject);
    return await this.#pass(subject, Math.max(...passed), tries);
  }

  /** Some have passed: so big is what passes, unless the limit of before is none any more. */
  async #pass({ address, wantedBytes }: Subject, passed: number, tries: readonly Try[]): Promise<Verdict> {
    const routeMtuBytes = await this.#routeMtu(address);
    const promised = Math.min(wantedBytes, routeMtuBytes ?? wantedBytes);
    const isMore = passed < promised && (await this.#passes(address, promised));
    const verifiedMtuBytes = isMore ? promised : passed;
    return {
      state: verifiedMtuBytes < wantedBytes ? "small-mtu" : "ok",
      ...{ routeMtuBytes, verifiedMtuBytes },
      probes: tries.filter(({ bytes }) => bytes <= verifiedMtuBytes).map(({ ms }) => ms),
    };
  }

  /** None has passed: why? */
  async #diagnose(subject: Subject): Promise<Verdict> {
    const { address, wantedBytes } = subject;
    const { local, port } = this.#underlay;
    const small = leastMtuBytes(local);
    const bytes = small - overheadOf(local);
    const [udp, echo] = await Promise.all([
      this.#any(probeNamespace, { kind: "udp", address, port: probePort, bytes }),
      this.#any(probeNamespace, { kind: "echo", address, port: 0, bytes }),
    ]);
    const routeMtuBytes = await this.#routeMtu(address);
    const verdict = { routeMtuBytes, verifiedMtuBytes: null, probes: [] };
    if (udp) {
      const fails = Math.min(wantedBytes, routeMtuBytes ?? wantedBytes);
      const verifiedMtuBytes = await this.#biggest(address, small, fails + 1);
      return { ...verdict, state: verifiedMtuBytes < wantedBytes ? "small-mtu" : "ok", verifiedMtuBytes };
    }
    if (echo) return { ...verdict, state: "suspect-checksums" };
    return { ...verdict, state: await this.#pastTheTunnel(address, port) };
  }

  /** What the host itself says. */
  async #pastTheTunnel(address: string, port: number): Promise<PeerState> {
    const bytes = leastMtuBytes(this.#underlay.local);
    const [closed, echo] = await Promise.all([
      this.#isClosed(address, port, bytes),
      this.#any(null, { kind: "echo", address, port: 0, bytes }),
    ]);
    if (closed) return "port-closed";
    return echo ? "port-filtered" : "unreachable";
  }

  /** A host says so once a second only, also to what came through the tunnel before: icmp_ratelimit in ip-sysctl.rst. */
  async #isClosed(address: string, port: number, bytes: number): Promise<boolean> {
    const probes: PathProbe[] = [{ kind: "udp", address, port, bytes }];
    for (let n = 0; n < leastTries; n++) {
      const source = this.#underlay.local;
      const [answer] = await this.#kernel.probePaths({ namespace: null, source, probes, waitMs: sayAgainMs });
      if (answer?.outcome === "answered") return true;
    }
    return false;
  }

  /** For a host without a tunnel: whether the other answers at all. */
  async ping(address: string): Promise<Verdict> {
    const routeMtuBytes = await this.#routeMtu(address);
    if (routeMtuBytes === null) return { state: "no-route", routeMtuBytes, verifiedMtuBytes: null, probes: [] };
    const bytes = leastMtuBytes(address);
    const { outcome, ms } = await this.#send(null, { kind: "echo", address, port: 0, bytes });
    return { state: "idle", routeMtuBytes, verifiedMtuBytes: null, probes: [outcome === "answered" ? ms : null] };
  }

  /** Whether a packet of this size passes, as whole packets between the hosts. */
  async #passes(address: string, bytes: number): Promise<boolean> {
    const probe: PathProbe = { ...probeOf(address, bytes, this.#underlay.local) };
    return await this.#any(probeNamespace, probe);
  }

  /** @param fails one that does not pass */
  async #biggest(address: string, passes: number, fails: number): Promise<number> {
    let [low, high] = [passes, fails];
    for (;;) {
      const sizes = sizesBetween(low, high);
      if (sizes.length === 0) return low;
      const passed = await Promise.all(sizes.map((bytes) => this.#passes(address, bytes)));
      const best = sizes.findLast((_, n) => passed[n]);
      high = sizes.find((bytes) => bytes > (best ?? low)) ?? high;
      low = best ?? low;
    }
  }

  async #try(address: string, bytes: number): Promise<Try> {
    const { outcome, ms } = await this.#send(probeNamespace, probeOf(address, bytes, this.#underlay.local));
    return { bytes, ms: outcome === "answered" ? ms : null };
  }

  async #any(namespace: string | null, probe: PathProbe): Promise<boolean> {
    const source = namespace === null ? this.#underlay.local : null;
    const probes = Array.from({ length: triesPerSize }, () => probe);
    const answers = await this.#kernel.probePaths({ namespace, source, probes, waitMs });
    return answers.some(({ outcome }) => outcome === "answered");
  }

  async #send(namespace: string | null, probe: PathProbe): Promise<PathAnswer> {
    const [answer] = await this.#kernel.probePaths({ namespace, source: null, probes: [probe], waitMs });
    return answer ?? { outcome: "silent", ms: 0 };
  }

  async #routeMtu(address: string): Promise<number | null> {
    return (await this.#kernel.observePath(address))?.mtuBytes ?? null;
  }
}

/** A datagram of a container's, which becomes a packet of this size between the hosts. */
const probeOf = (address: string, bytes: number, local: string): PathProbe => ({
  ...{ kind: "udp", address, port: probePort },
  bytes: bytes - overheadOf(local),
});
