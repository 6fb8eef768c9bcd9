import { explain, TsnetError } from "../../errors.ts";
import type { ObservedLink } from "../../plan/observed.ts";
import { inetPton } from "../libc.ts";
import type { Rtnetlink } from "../netlink/rtnetlink.ts";
import type { Poller } from "../ports/poller.ts";
import type { Closer } from "./closer.ts";
import { probePausesMs } from "./constants.ts";
import { hexOf } from "./ethernet.ts";
import { type Interest, Listener } from "./listener.ts";
import { protocolOf, type SegmentProtocol, type Statement } from "./protocol.ts";
import type { AddressHolder, AddressProbe } from "./requests.ts";

/** What a prober works with. */
interface ProberOptions {
  readonly rtnetlink: Rtnetlink;
  readonly poller: Poller;
  readonly closer: Closer;
}

/** The addresses of one protocol. */
interface Part extends Interest {
  readonly listener: Listener;
  readonly frames: readonly Buffer[];
}

/** A probe under way. */
interface Running {
  /** Where the frames leave. */
  readonly link: ObservedLink;
  /** Where they are answered: this link and others. */
  readonly listensOn: readonly ObservedLink[];
  /** As they were given, by their bytes. */
  readonly addresses: ReadonlyMap<string, string>;
  readonly parts: readonly Part[];
  /** The first who settles it has decided. */
  readonly result: PromiseWithResolvers<readonly AddressHolder[]>;
  timer: NodeJS.Timeout | undefined;
}

/** Asks segments who has an address: RFC 5227, RFC 4862. */
export class Prober {
  readonly #options: ProberOptions;
  readonly #listeners = new Map<SegmentProtocol, Listener>();
  readonly #running = new Set<Running>();

  constructor(options: ProberOptions) {
    this.#options = options;
  }

  /** See Kernel.probeAddresses. */
  async probe(probe: AddressProbe): Promise<readonly AddressHolder[]> {
    if (probe.addresses.length === 0) return [];
    try {
      return await this.#run(this.#prepare(probe));
    } catch (error) {
      const { code = "kernel", errno } = error instanceof TsnetError ? error : {};
      const message = `probe ${probe.addresses.join(" ")} on ${probe.link}: ${explain(error)}`;
      throw new TsnetError(code, message, errno === undefined ? {} : { errno });
    }
  }

  /** Ends all probes: they fail. */
  stop(): void {
    for (const { result } of this.#running) result.reject(new TsnetError("kernel", "tsnet stops"));
  }

  #prepare({ link: name, alsoOn, addresses: texts }: AddressProbe): Running {
    const link = this.#require(name);
    const listensOn = alsoOn === null ? [link] : [link, this.#require(alsoOn)];
    const addresses = texts.map(inetPton);
    return {
      ...{ link, listensOn, timer: undefined, result: Promise.withResolvers() },
      addresses: new Map(texts.map((text) => [hexOf(inetPton(text)), text])),
      parts: [...new Set(addresses.map(protocolOf))].map((protocol): Part => {
        const own = addresses.filter((address) => protocolOf(address) === protocol);
        const frames = own.map((address) => protocol.encodeProbe(link.mac, address));
        const links = listensOn.map(({ index }) => index);
        return { listener: this.#listenerOf(protocol), addresses: own, links, frames };
      }),
    };
  }

  async #run(running: Running): Promise<readonly AddressHolder[]> {
    this.#running.add(running);
    try {
      for (const part of running.parts) part.listener.add(part);
      this.#ask(running, 0);
      return await running.result.promise;
    } finally {
      clearTimeout(running.timer);
      this.#running.delete(running);
      for (const part of running.parts) part.listener.remove(part);
    }
  }

  /** Sends the probes for the n-th time, and waits. */
  #ask(running: Running, n: number): void {
    const pauseMs = probePausesMs[n];
    if (pauseMs === undefined) {
      this.#end(running);
      return;
    }
    for (const { listener, frames } of running.parts) {
      for (const frame of frames) listener.send(frame, running.link.index);
    }
    running.timer = setTimeout(() => {
      try {
        this.#ask(running, n + 1);
      } catch (error) {
        running.result.reject(error);
      }
    }, pauseMs);
  }

  /** Nobody has answered; but what is queued is read first, and with a link gone nobody was heard. */
  #end({ parts, listensOn, result }: Running): void {
    for (const { listener } of parts) listener.read();
    for (const { name } of listensOn) this.#require(name);
    result.resolve([]);
  }

  #hear({ address, mac, isProbe }: Statement, link: number): void {
    for (const { addresses, listensOn, link: own, result } of this.#running) {
      const asked = addresses.get(address);
      if (asked === undefined || !listensOn.some(({ index }) => index === link)) continue;
      // the links on one ipvlan parent have one MAC address, and hear each other's probes
      if (!isProbe || mac !== own.mac) result.resolve([{ address: asked, mac }]);
    }
  }

  #listenerOf(protocol: SegmentProtocol): Listener {
    const known = this.#listeners.get(protocol);
    if (known) return known;
    const onStatement = (statement: Statement, link: number): void => this.#hear(statement, link);
    const listener = new Listener({ ...this.#options, protocol, onStatement });
    this.#listeners.set(protocol, listener);
    return listener;
  }

  #require(name: string): ObservedLink {
    const link = this.#options.rtnetlink.getLink({ name });
    if (!link) throw new TsnetError("kernel", `the link ${name} does not exist`, { errno: "ENODEV" });
    if (!link.up) throw new TsnetError("kernel", `the link ${name} is down`, { errno: "ENETDOWN" });
    if (!link.carrier) throw new TsnetError("kernel", `the link ${name} has no carrier`, { errno: "ENETDOWN" });
    return link;
  }
}
