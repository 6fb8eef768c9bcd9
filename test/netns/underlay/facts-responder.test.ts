/** Who answers other hosts, where descriptors cannot be waited for. */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { expect } from "chai";
import { TsnetError } from "../../../src/errors.ts";
import { Poller } from "../../../src/kernel/ports/poller.ts";
import { FactsResponder } from "../../../src/kernel/underlay/facts-responder.ts";
import { encodeAnswer, encodeQuestion, factsPort, nonceBytes } from "../../../src/plan/facts-message.ts";
import { formatFacts } from "../../../src/plan/host-facts.ts";
import { openSockets } from "../../support/open-files.ts";
import { until } from "../../support/poll.ts";

const nonce = new Uint8Array(nonceBytes);
const question = encodeQuestion(nonce);
const facts = formatFacts({ name: "web-1", version: "0.2.0", settings: {} });
const wanted = { namespace: "here", address: "127.0.0.1", facts };
const path = "/proc/thread-self/ns/net";
const soonMs = 5_000;

describe("who tells other hosts what this one is", () => {
  let poller: Poller;
  let isRefusing: boolean;
  let responder: FactsResponder;
  let client: Socket;
  let before: number;

  beforeEach(async () => {
    poller = new Poller();
    isRefusing = false;
    const add: Poller["add"] = (...words) => {
      if (isRefusing) throw new TsnetError("kernel", "epoll_ctl: ENOSPC");
      return poller.add(...words);
    };
    responder = new FactsResponder({ add, remove: (fd, id) => poller.remove(fd, id) });
    client = createSocket("udp4");
    client.bind(0, wanted.address);
    await once(client, "listening");
    before = openSockets();
  });
  afterEach(async () => {
    responder.close();
    await poller.close();
    client.close();
  });

  const ask = (): void => client.send(question, factsPort, wanted.address);
  const isAnswered = async (): Promise<void> => {
    const answer = once(client, "message", { signal: AbortSignal.timeout(soonMs) });
    ask();
    expect((await answer)[0]).to.deep.equal(Buffer.from(encodeAnswer(nonce, facts)));
  };

  it("keeps no socket where that fails, and answers when it is told to again", async () => {
    isRefusing = true;
    expect(() => responder.answer(wanted, path)).to.throw("ENOSPC");
    expect(openSockets()).to.equal(before);
    isRefusing = false;
    responder.answer(wanted, path);
    expect(openSockets()).to.equal(before + 1);
    await isAnswered();
  });

  it("keeps no socket where that fails after a pause, and answers when it is told to again", async () => {
    responder.answer(wanted, path);
    await isAnswered();
    isRefusing = true;
    for (let n = 0; n < 50; n++) ask();
    await until("it has given up", soonMs, () => openSockets() === before);
    isRefusing = false;
    client.removeAllListeners("message");
    responder.answer(wanted, path);
    expect(openSockets()).to.equal(before + 1);
    await isAnswered();
  });
});
