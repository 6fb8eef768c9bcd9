import {
  decodeQuestion,
  encodeAnswer,
  type FactsAnswering,
  factsPort,
  questionBytes,
} from "../../plan/facts-message.ts";
import { addressFamily, bindBytes, close, inetPton, socket } from "../libc.ts";
import {
  addressBytes,
  encodeSocketAddress,
  epollEvents,
  protocolNumber,
  socketType,
  tryRecvfrom,
  trySendto,
} from "../libc-sockets.ts";
import { inNamespace } from "../netlink/in-namespace.ts";
import type { Poller } from "../ports/poller.ts";
import { Budget } from "./budget.ts";

/** So many datagrams are looked at, and answered: a hundred in any second. What is more waits in the socket, where the kernel drops the rest. */
const datagrams = { atOnce: 10, perSecond: 90 };
const pauseMs = 50;

interface Answering extends FactsAnswering {
  readonly fd: number;
  /** The poller's; undefined in a pause. */
  pollId: number | undefined;
}

/**
 * Tells other hosts what this one is: plan/facts-message.ts. Anybody may ask who can send to this host's VXLAN port: whatever he sends
 * costs this thread no more than a hundred datagrams a second, brings no more bytes than it had, and is said nowhere.
 */
export class FactsResponder {
  readonly #poller: Pick<Poller, "add" | "remove">;
  readonly #budget = new Budget(datagrams);
  readonly #question = new Uint8Array(questionBytes);
  readonly #sender = new Uint8Array(addressBytes);
  #answering: Answering | undefined;
  #pause: NodeJS.Timeout | undefined;

  constructor(poller: Pick<Poller, "add" | "remove">) {
    this.#poller = poller;
  }

  /**
   * From now on this, and nothing else, is answered there; the same again changes nothing.
   * @param path of the namespace, which lives on without its file until `close`
   * @throws TsnetError "kernel", for want of descriptors, of the namespace or of the address; then nothing is answered
   */
  answer(wanted: FactsAnswering, path: string): void {
    if (this.#answering !== undefined && isSame(this.#answering, wanted)) return;
    this.close();
    const fd = inNamespace(path, () => openSocket(wanted.address));
    const answering = { ...wanted, fd, pollId: undefined };
    try {
      this.#listen(answering);
    } catch (error) {
      close(fd);
      throw error;
    }
    this.#answering = answering;
  }

  /** Answers nothing any more. */
  close(): void {
    const answering = this.#answering;
    if (answering === undefined) return;
    this.#answering = undefined;
    clearTimeout(this.#pause);
    this.#unlisten(answering);
    close(answering.fd);
  }

  #listen(answering: Answering): void {
    answering.pollId = this.#poller.add(answering.fd, epollEvents.in, () => this.#receive(answering));
  }

  #unlisten(answering: Answering): void {
    if (answering.pollId !== undefined) this.#poller.remove(answering.fd, answering.pollId);
    answering.pollId = undefined;
  }

  #receive(answering: Answering): void {
    const { fd, facts } = answering;
    while (!this.#budget.isSpent) {
      const length = tryRecvfrom(fd, this.#question, this.#sender);
      if (length < 0) return; // nothing there
      this.#budget.spend();
      const nonce = decodeQuestion(this.#question.subarray(0, length));
      if (nonce !== undefined) trySendto(fd, encodeAnswer(nonce, facts), this.#sender);
    }
    this.#unlisten(answering);
    this.#pause = setTimeout(() => this.#resume(answering), pauseMs);
  }

  /** Where that fails, the next `answer` opens a socket anew. */
  #resume(answering: Answering): void {
    try {
      this.#listen(answering);
    } catch {
      this.close();
    }
  }
}

const isSame = (one: FactsAnswering, other: FactsAnswering): boolean =>
  one.namespace === other.namespace && one.address === other.address && one.facts === other.facts;

function openSocket(text: string): number {
  const address = inetPton(text);
  const family = address.length === 4 ? addressFamily.inet : addressFamily.inet6;
  const fd = socket(family, socketType.dgram | socketType.nonblock | socketType.cloexec, protocolNumber.udp);
  try {
    bindBytes(fd, encodeSocketAddress(address, factsPort));
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}
