import { randomInt } from "node:crypto";
import { constants } from "node:os";
import { TsnetError } from "../../errors.ts";
import type { NameAnswer, NameQuestions } from "../../plan/name-questions.ts";
import { addressFamily, close, describeErrno, errnoName, inetPton, socket } from "../libc.ts";
import {
  EAGAIN,
  encodeSocketAddress,
  epollEvents,
  protocolNumber,
  setOption,
  socketOption,
  socketType,
  tryConnect,
  tryRecv,
  trySend,
} from "../libc-sockets.ts";
import { inNamespace } from "../netlink/in-namespace.ts";
import type { Poller } from "../ports/poller.ts";
import { answerBytes, answerId, decodeAnswer, encodeQuestion } from "./message.ts";

/** Docker's name server, in each container on a network that is not Docker's default one. moby: daemon/libnetwork, resolverIPSandbox. */
const server = encodeSocketAddress(inetPton("127.0.0.11"), 53);

/**
 * So many questions are sent at once, and then so many each time the pause is over: with an answer of 60 addresses to each, 64 at once
 * are more than a usual socket's 208 KiB take, seen with 20.10 and 28.5. That none of them is answered holds up no other.
 */
const questionsAtOnce = 32;
const pauseMs = 10;

const receiveBufferBytes = 4 << 20;

/** IDs have 16 bits. */
const idCount = 0x1_0000;

/** After so many answers other calls of this thread have their turn. */
const answersAtOnce = 64;

/** Questions that wait for their answers. */
interface Running {
  readonly fd: number;
  /** The poller's. */
  readonly pollId: number;
  readonly names: readonly string[];
  /** The ID of the first question; the others' follow. */
  readonly firstId: number;
  readonly answers: (NameAnswer | undefined)[];
  readonly result: PromiseWithResolvers<NameAnswer[]>;
  sent: number;
  answered: number;
  readonly timers: Set<NodeJS.Timeout>;
}

const silent: NameAnswer = { outcome: "silent", addresses: [] };

/**
 * Asks Docker's name server from within containers, by sockets of their network namespaces, which no socket outlives. Whoever may send raw
 * packets in a container can answer in its place: he is on the network that is asked for, and could do the same to its frames.
 */
export class NameClient {
  readonly #poller: Pick<Poller, "add" | "remove">;
  readonly #running = new Set<Running>();
  readonly #buffer = Buffer.allocUnsafeSlow(answerBytes);

  constructor(poller: Pick<Poller, "add" | "remove">) {
    this.#poller = poller;
  }

  /**
   * Sends all questions, and waits.
   * @returns what came of each, in their order
   * @throws TsnetError "kernel", with errno ENOENT for a container that is gone, ECONNREFUSED where there is no such server
   */
  async ask({ sandbox, names, waitMs }: NameQuestions): Promise<NameAnswer[]> {
    if (names.length === 0) return [];
    if (names.length > idCount) throw new RangeError(`${names.length} questions at once`);
    const running = this.#open(sandbox, names);
    try {
      this.#in(running, waitMs, () => this.#end(running));
      this.#send(running);
      return await running.result.promise;
    } catch (error) {
      this.#close(running);
      throw error;
    }
  }

  /** Ends all that wait. */
  stop(): void {
    for (const running of this.#running) this.#end(running);
  }

  #open(sandbox: string, names: readonly string[]): Running {
    const type = socketType.dgram | socketType.nonblock | socketType.cloexec;
    const fd = inNamespace(sandbox, () => socket(addressFamily.inet, type, protocolNumber.udp));
    try {
      setOption(fd, socketOption.forceReceiveBuffer, receiveBufferBytes);
      const connected = tryConnect(fd, server);
      if (connected < 0) throw errorOf(-connected);
      const running: Running = {
        ...{ fd, names, firstId: randomInt(idCount), sent: 0, answered: 0, timers: new Set() },
        answers: names.map(() => undefined),
        result: Promise.withResolvers(),
        pollId: this.#poller.add(fd, epollEvents.in, () => this.#receive(running)),
      };
      this.#running.add(running);
      return running;
    } catch (error) {
      close(fd);
      throw error;
    }
  }

  /** The next questions, as many as the socket takes. */
  #send(running: Running): void {
    const { fd, names, firstId } = running;
    for (let n = 0; n < questionsAtOnce; n++) {
      const name = names[running.sent];
      if (name === undefined) return;
      const result = trySend(fd, encodeQuestion((firstId + running.sent) % idCount, name));
      if (result === -EAGAIN || result === -constants.errno.ENOBUFS) break;
      if (result < 0) {
        this.#fail(running, -result);
        return;
      }
      running.sent++;
    }
    if (running.sent < names.length) this.#in(running, pauseMs, () => this.#send(running));
  }

  #receive(running: Running): void {
    for (let n = 0; n < answersAtOnce; n++) {
      const length = tryRecv(running.fd, this.#buffer);
      if (length === -EAGAIN) return;
      if (length < 0) this.#fail(running, -length);
      else this.#take(running, this.#buffer.subarray(0, length));
      if (!this.#running.has(running)) return;
    }
  }

  /** The first answer to a question counts; what is none is passed over. */
  #take(running: Running, message: Buffer): void {
    const id = answerId(message);
    if (id === undefined) return;
    const index = (id - running.firstId + idCount) % idCount;
    const name = index < running.sent ? running.names[index] : undefined;
    if (name === undefined || running.answers[index] !== undefined) return;
    const answer = decodeAnswer(message, name);
    if (answer === undefined) return;
    running.answers[index] = answer;
    running.answered++;
    if (running.answered === running.names.length) this.#end(running);
  }

  /** What the kernel says of the socket counts while nobody has answered: afterwards the container is on its way out. */
  #fail(running: Running, errno: number): void {
    if (running.answered === 0) running.result.reject(errorOf(errno)); // the first who settles it has decided
    this.#end(running);
  }

  #end(running: Running): void {
    this.#close(running);
    running.result.resolve(running.answers.map((answer) => answer ?? silent));
  }

  #close(running: Running): void {
    if (!this.#running.delete(running)) return;
    for (const timer of running.timers) clearTimeout(timer);
    this.#poller.remove(running.fd, running.pollId);
    close(running.fd);
  }

  #in(running: Running, ms: number, work: () => void): void {
    const timer = setTimeout(() => {
      running.timers.delete(timer);
      work();
    }, ms);
    running.timers.add(timer);
  }
}

const errorOf = (errno: number): TsnetError =>
  new TsnetError("kernel", `Docker's name server at 127.0.0.11: ${describeErrno(errno)}`, { errno: errnoName(errno) });
