/**
 * How hosts ask each other for host-facts.ts, by UDP in the network of the probes (probe.ts). Whoever can send to a host's VXLAN port can
 * ask there, in anybody's name: so a question is longer than any answer, and an answer repeats what only who has asked can know.
 */
import { factsBytes, type HostFacts, parseFacts } from "./host-facts.ts";

/** What a host answers, and where. */
export interface FactsAnswering {
  /** The network namespace, by name, and an address of its own in it. */
  readonly namespace: string;
  readonly address: string;
  /** Of formatFacts. */
  readonly facts: string;
}

/** Who is asked. */
export interface FactsAsking {
  /** As above. */
  readonly namespace: string;
  /** Of one family. */
  readonly addresses: readonly string[];
  /** How long answers are waited for. */
  readonly waitMs: number;
}

/** Where a host answers in its namespace of the probes, which nobody else is in. */
export const factsPort = 7348;

/** The magic, the nonce, and zeros; it passes wherever RFC 791 is kept to. */
export const questionBytes = 480;
export const nonceBytes = 16;
const magicBytes = 8;
const headBytes = magicBytes + nonceBytes;
const magics = { question: "tsnet-q1", answer: "tsnet-a1" } as const;

/** @param nonce as random as can be: who does not see the question must not guess it */
export function encodeQuestion(nonce: Uint8Array): Uint8Array {
  const message = Buffer.alloc(questionBytes);
  message.write(magics.question, "latin1");
  message.set(nonce, magicBytes);
  return message;
}

/** @returns its nonce; undefined for what is no question, or shorter than an answer may be */
export function decodeQuestion(message: Uint8Array): Uint8Array | undefined {
  return message.length >= questionBytes && has(message, magics.question) ? nonceOf(message) : undefined;
}

/** @param facts of formatFacts */
export function encodeAnswer(nonce: Uint8Array, facts: string): Uint8Array {
  return Buffer.concat([Buffer.from(magics.answer, "latin1"), nonce, Buffer.from(facts, "latin1")]);
}

/** @returns undefined for what is no answer */
export function decodeAnswer(
  message: Uint8Array,
): { readonly nonce: Uint8Array; readonly facts: HostFacts } | undefined {
  if (message.length < headBytes || message.length > headBytes + factsBytes || !has(message, magics.answer))
    return undefined;
  const facts = parseFacts(Buffer.from(message.subarray(headBytes)).toString("latin1"));
  return facts && { nonce: nonceOf(message), facts };
}

const has = (message: Uint8Array, magic: string): boolean =>
  Buffer.from(message.subarray(0, magicBytes)).toString("latin1") === magic;

/** A copy: the message may be overwritten by the next, and slice() of a Buffer makes none. */
const nonceOf = (message: Uint8Array): Uint8Array => Uint8Array.from(message.subarray(magicBytes, headBytes));
