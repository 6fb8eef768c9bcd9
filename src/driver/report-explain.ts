/** Why a published port answers, or not: the records against the kernel, in the order in which a packet meets the rules. */
import { TsnetError } from "../errors.ts";
import { type Family, type Ip, parseIp } from "../net/cidr.ts";
import type { ExplainAnswer, Explanation, PortProtocol } from "./report-answers.ts";
import { explainContainerPort } from "./report-direct.ts";
import {
  type ExplainFacts,
  endpointAt,
  hostAddresses,
  isLoopback,
  mainAddress,
  type Origin,
  originOf,
} from "./report-origin.ts";
import { type Candidate, candidatesFor, explainHostPort } from "./report-published.ts";
import { answer } from "./report-steps.ts";

/** What is asked. */
export interface ExplainQuery {
  readonly protocol: PortProtocol;
  readonly port: number;
  /** The client; null for any address outside. */
  readonly from: Ip | null;
  /** An address of this host or of a container; null for those that the port is published on. */
  readonly to: Ip | null;
}

/**
 * Answers for each address that was asked for.
 * @throws TsnetError "invalid" if `to` is neither an address of this host nor of a container, or of the other family than `from`
 */
export function explainPort(query: ExplainQuery, facts: ExplainFacts): ExplainAnswer {
  const { protocol, port, from, to } = query;
  if (from !== null && to !== null && from.family !== to.family) {
    throw new TsnetError("invalid", `from=${from.text} and to=${to.text}: expected two addresses of one family`);
  }
  const origin = originOf(from, facts);
  const candidates = candidatesFor(query, facts);
  const explain = (address: Ip): Explanation => {
    const question = { protocol, port, to: address, origin };
    if (isLoopback(address) || hostAddresses(facts).has(address.text)) {
      return explainHostPort(question, candidates, facts);
    }
    const endpoint = endpointAt(address, facts.endpoints);
    const network = endpoint && facts.networks.get(endpoint.network);
    if (endpoint === undefined || network === undefined) {
      if (to === null) return explainLost(address, origin);
      throw new TsnetError(
        "invalid",
        `to=${address.text}: no link of this host has this address, and no container of tsnet`,
      );
    }
    return explainContainerPort(question, endpoint, network, facts);
  };
  const answers = (to === null ? destinations(origin, candidates, facts) : [to]).map(explain);
  return { protocol, port, from: from?.text ?? null, answers };
}

/** An address that a port is published on, and that the host had then. */
function explainLost(address: Ip, origin: Origin): Explanation {
  const { steps, end } = answer(address, origin);
  steps.push({ at: "kernel", text: "what comes for an address of nobody's here is not translated" });
  return end("dropped", `no link of this host has ${address.text}`);
}

/** The host addresses to explain where none was named: those of the mappings, or the host's main one if there are none. */
function destinations(origin: Origin, candidates: readonly Candidate[], facts: ExplainFacts): Ip[] {
  const families: readonly Family[] = origin.address === null ? [4, 6] : [origin.address.family];
  const own = origin.kind === "host" ? origin.address?.text : undefined;
  const anyOf = (family: Family): string => own ?? mainAddress(family, facts) ?? (family === 4 ? "127.0.0.1" : "::1");
  const published = candidates.map(({ mapping }) => mapping.hostAddress);
  const wanted = published.length > 0 ? published : ["0.0.0.0"];
  const addresses = families.flatMap((family) => {
    const mine = wanted.filter((address) => address.includes(":") === (family === 6));
    return mine.map((address) => (address === "0.0.0.0" || address === "::" ? anyOf(family) : address));
  });
  const found = [...new Set(addresses)];
  return (found.length > 0 ? found : families.slice(0, 1).map(anyOf)).map(parseIp);
}
