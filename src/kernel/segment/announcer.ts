import { explain, hasErrno, TsnetError } from "../../errors.ts";
import { inetPton } from "../libc.ts";
import { inNamespace } from "../netlink/in-namespace.ts";
import { observeSandboxes } from "../observe.ts";
import type { Poller } from "../ports/poller.ts";
import { withSandbox } from "../sandbox-links.ts";
import type { Closer } from "./closer.ts";
import { announceWithinMs } from "./constants.ts";
import { PacketSocket } from "./packet-socket.ts";
import { protocolOf } from "./protocol.ts";
import type { AddressAnnouncement } from "./requests.ts";
import { SandboxLink, type UpLink } from "./sandbox-link.ts";

/** What an announcer works with. */
interface AnnouncerOptions {
  readonly poller: Poller;
  readonly closer: Closer;
}

/** An announcement that waits for its link. */
interface Waiting {
  readonly announcement: AddressAnnouncement;
  /** The first who settles it has decided. */
  readonly result: PromiseWithResolvers<boolean>;
  /** Not there before the sandbox is. */
  link: SandboxLink | undefined;
}

/** Tells segments which MAC address has an address, from links in sandboxes: RFC 5227, 2.3; RFC 4861, 7.2.6. */
export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #waiting = new Set<Waiting>();

  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  /** See Kernel.announceAddresses. */
  async announce(announcement: AddressAnnouncement): Promise<boolean> {
    const waiting: Waiting = { announcement, result: Promise.withResolvers(), link: undefined };
    const timer = setTimeout(() => waiting.result.resolve(false), announceWithinMs);
    this.#waiting.add(waiting);
    try {
      this.#enter(waiting);
      return await waiting.result.promise;
    } catch (error) {
      if (!exists(announcement.sandbox)) return false;
      const { code = "kernel", errno } = error instanceof TsnetError ? error : {};
      const what = `announce ${announcement.addresses.join(" ")} from ${announcement.alias}`;
      throw new TsnetError(code, `${what}: ${explain(error)}`, errno === undefined ? {} : { errno });
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(waiting);
      waiting.link?.close();
    }
  }

  /** To be called when links have left the host's namespace: before Docker 28, their sandboxes are made just before. */
  lookAgain(): void {
    for (const waiting of this.#waiting) {
      try {
        this.#enter(waiting);
      } catch (error) {
        waiting.result.reject(error);
      }
    }
  }

  /** Ends all that wait. */
  stop(): void {
    for (const { result } of this.#waiting) result.resolve(false);
  }

  /** Waits in the sandbox, if it exists. */
  #enter(waiting: Waiting): void {
    const { sandbox, alias } = waiting.announcement;
    if (waiting.link || !exists(sandbox)) return;
    const { poller } = this.#options;
    const onUp = (link: UpLink): void => this.#send(waiting, link);
    const onError = (error: unknown): void => waiting.result.reject(error);
    waiting.link = new SandboxLink({ sandbox, alias, poller, onUp, onError });
    waiting.link.start();
  }

  /** A link that is down or gone again may come back. */
  #send({ announcement: { sandbox, addresses, through }, result }: Waiting, up: UpLink): void {
    const { index, mac } = through === undefined ? up : { index: indexOf(sandbox, through.link), mac: through.mac };
    if (index === undefined) return;
    const socket = inNamespace(sandbox, () => new PacketSocket());
    try {
      for (const address of addresses.map(inetPton)) {
        socket.send(protocolOf(address).encodeAnnouncement(mac, address), index);
      }
      result.resolve(true);
    } catch (error) {
      if (!["ENETDOWN", "ENXIO"].some((errno) => hasErrno(error, errno))) throw error;
    } finally {
      this.#options.closer.close(socket.fd);
    }
  }
}

const indexOf = (sandbox: string, name: string): number | undefined =>
  withSandbox(sandbox, (inside) => inside.getLink({ name })?.index) ?? undefined;

const exists = (sandbox: string): boolean => observeSandboxes([sandbox]).length > 0;
