/** Many questions from one place at the same time, so that those that get no answer cost their silence once. */
import { run } from "./commands.ts";
import { answerSeconds, type Place, shorten, silenceSeconds } from "./probe.ts";

/** What a client tries. */
export interface Question {
  /** In words, unique in its list. */
  readonly what: string;
  readonly protocol: "tcp" | "udp" | "icmp";
  readonly address: string;
  readonly port: number;
  /** What is to come of it: no answer, any answer, or this one. What is to be answered is waited for longer. */
  readonly expected: boolean | string;
}

/** Asks all of process.argv[1] at once, and prints what came back, in order: the first line, or "" for nothing. */
const askScript = `
  const { createSocket } = require("node:dgram");
  const { execFile } = require("node:child_process");
  const { connect, isIPv6 } = require("node:net");
  const ask = {
    tcp: ({ address, port }, done) => {
      const socket = connect({ host: address, port }, () => socket.write("ask\\n"));
      socket.once("data", done);
      socket.once("error", () => done(""));
      socket.once("close", () => done(""));
      return () => socket.destroy();
    },
    udp: ({ address, port }, done) => {
      const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
      socket.once("message", done);
      socket.once("error", () => done(""));
      socket.send("ask\\n", port, address, (error) => error && done(""));
      return () => socket.close();
    },
    icmp: ({ address, ms }, done) => {
      const words = ["ping", "-c", "1", "-W", String(Math.ceil(ms / 1000)), address];
      const child = execFile("busybox", words, (error) => done(error ? "" : "echo"));
      return () => child.kill();
    },
  };
  const answer = (question) => new Promise((resolve) => {
    const done = (data) => { clearTimeout(timer); end(); resolve(String(data).trim()); };
    const timer = setTimeout(done, question.ms, "");
    let end = () => {};
    end = ask[question.protocol](question, (data) => setImmediate(done, data));
  });
  Promise.all(JSON.parse(process.argv[1]).map(answer)).then((all) => {
    console.log(JSON.stringify(all));
    process.exit();
  });`;

/**
 * Asks servers of the test image.
 * @returns for each question in order what was answered: as whom the server saw the client, "ask" from the echo port, "echo" from
 * ping, "" for nothing
 */
export async function survey(from: Place, questions: readonly Question[]): Promise<string[]> {
  const asked = questions.map(({ protocol, address, port, expected }) => {
    const ms = (expected ? answerSeconds : silenceSeconds) * 1000;
    return { protocol, address, port, ms };
  });
  const output = await run(await from.enter([process.execPath, "-e", askScript, JSON.stringify(asked)]));
  const answers: string[] = JSON.parse(output);
  return answers.map(shorten);
}

/** What the questions of several places should get, and what they did get: sorted lists of those that were answered. */
export interface Findings {
  readonly expected: readonly string[];
  readonly seen: readonly string[];
}

export async function surveyAll(places: readonly (readonly [Place, readonly Question[]])[]): Promise<Findings> {
  const surveys = await Promise.all(places.map(([from, questions]) => survey(from, questions)));
  const questions = places.flatMap(([, list]) => list);
  const expected = questions.filter((question) => question.expected).map(({ what }) => what);
  const seen = surveys.flat().flatMap((answer, index) => describeAnswer(questions[index], answer));
  return { expected: expected.toSorted(), seen: seen.toSorted() };
}

/** Its words, and what was wrong with the answer; nothing without one. */
function describeAnswer(question: Question | undefined, answer: string): string[] {
  if (question === undefined || answer === "") return [];
  const { what, expected } = question;
  return [typeof expected === "boolean" || answer === expected ? what : `${what}: answer ${answer}, not ${expected}`];
}
