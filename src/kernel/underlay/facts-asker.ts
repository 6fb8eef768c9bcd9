import { randomBytes } from "node:crypto";
import {
  decodeAnswer,
  encodeQuestion,
  type FactsAsking,
  factsPort,
  nonceBytes,
  questionBytes,
} from "../../plan/facts-message.ts";
import type { HostFacts } from "../../plan/host-facts.ts";
import { addressFamily, close, inetPton, socket } from "../libc.ts";
import {
  addressBytes,
  encodeSocketAddress,
  epollEvents,
  familyOf,
  protocolNumber,
  setOption,
  socketOption,
  socketType,
  tryRecvfrom,
  trySendto,
} from "../libc-sockets.ts";
import { inNamespace } from "../netlink/in-namespace.ts";
import type { Poller } from "../ports/poller.ts";

/** As often as this is asked again who has not answered: a datagram may be lost, and a host answers so many a second only. */
const againMs = 200;

/** Answers of a thousand hosts at once; the kernel counts some more for each than its length. */
const receiveBufferBytes = 2 << 20;

/** After so many datagrams other calls of this thread have their turn. */
const datagramsAtOnce = 64;

/** A host that is asked. */
interface Asked {
  /** Its struct sockaddr, and the same as text. */
  readonly target: Uint8Array;
  readonly key: string;
  readonly nonce: Uint8Array;
  facts: HostFacts | null;
}

/** Asks other hosts what they are: plan/facts-message.ts. What comes from elsewhere, or does not know the question, is passed over. */
export class FactsAsker {
  readonly #poller: Pick<Poller, "add" | "remove">;
  readonly #running = new Set<() => void>();
  /** One byte more than an answer may have, so that what is longer is seen to be. */
  readonly #answer = new Uint8Array(questionBytes + 1);
  readonly #sender = new Uint8Array(addressBytes);

  constructor(poller: Pick<Poller, "add" | "remove">) {
    this.#poller = poller;
  }

  /**
   * @param path of the namespace
   * @returns what each has told, in their order; null for who has not
   * @throws TsnetError "kernel", for want of a descriptor or of the namespace
   */
  async ask({ addresses, waitMs }: FactsAsking, path: string): Promise<(HostFacts | null)[]> {
    const hosts = addresses.map(askedAt);
    const [first] = hosts;
    if (first === undefined) return [];
    const fd = inNamespace(path, () => openSocket(familyOf(first.target)));
    try {
      await this.#exchange(fd, hosts, waitMs);
    } finally {
      close(fd);
    }
    return hosts.map(({ facts }) => facts);
  }

  /** Ends all that wait. */
  stop(): void {
    for (const end of this.#running) end();
  }

  async #exchange(fd: number, hosts: readonly Asked[], waitMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const silent = new Map(hosts.map((host) => [host.key, host]));
    const ask = (): void => {
      for (const { target, nonce } of silent.values()) trySendto(fd, encodeQuestion(nonce), target);
    };
    const pollId = this.#poller.add(fd, epollEvents.in, () => {
      this.#receive(fd, silent);
      if (silent.size === 0) resolve();
    });
    const timers = [setInterval(ask, againMs), setTimeout(resolve, waitMs)];
    this.#running.add(resolve);
    try {
      ask();
      await promise;
      this.#receive(fd, silent); // where this thread had other things to do
    } finally {
      this.#running.delete(resolve);
      for (const timer of timers) clearTimeout(timer);
      this.#poller.remove(fd, pollId);
    }
  }

  /** @param silent who has not answered yet, by their keys */
  #receive(fd: number, silent: Map<string, Asked>): void {
    for (let n = 0; n < datagramsAtOnce; n++) {
      const length = tryRecvfrom(fd, this.#answer, this.#sender);
      if (length < 0) return; // nothing there
      const host = silent.get(keyOf(this.#sender));
      const answer = decodeAnswer(this.#answer.subarray(0, length));
      if (host === undefined || answer === undefined || Buffer.compare(answer.nonce, host.nonce) !== 0) continue;
      host.facts = answer.facts;
      silent.delete(host.key);
    }
  }
}

function askedAt(address: string): Asked {
  const target = encodeSocketAddress(inetPton(address), factsPort);
  return { target, key: keyOf(target), nonce: randomBytes(nonceBytes), facts: null };
}

/** Family, port and address of a struct sockaddr, without what else is in it. */
const keyOf = (socketAddress: Uint8Array): string =>
  Buffer.from(socketAddress.subarray(0, familyOf(socketAddress) === addressFamily.inet ? 8 : 24)).toString("latin1");

function openSocket(family: number): number {
  const fd = socket(family, socketType.dgram | socketType.nonblock | socketType.cloexec, protocolNumber.udp);
  setOption(fd, socketOption.forceReceiveBuffer, receiveBufferBytes);
  return fd;
}
