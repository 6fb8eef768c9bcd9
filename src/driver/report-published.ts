/** What becomes of a connection to a port of one of this host's addresses. */
import { TsnetError } from "../errors.ts";
import { containsIp, type Ip, parseCidr } from "../net/cidr.ts";
import type { Element } from "../plan/elements.ts";
import { networkElements, portElements } from "../plan/firewall.ts";
import { table } from "../plan/firewall-rules.ts";
import type { Endpoint, GatewayNetwork, PortMapping } from "../plan/network.ts";
import { serving } from "../plan/ports.ts";
import type { Explanation, PortProtocol, Step } from "./report-answers.ts";
import { explainForward } from "./report-forward.ts";
import { type ExplainFacts, isLoopback, type Origin } from "./report-origin.ts";
import { type Answering, answer, formatAddress, missingSteps, problem, short } from "./report-steps.ts";

/** A mapping that has the port, whatever its host address. */
export interface Candidate {
  readonly endpoint: Endpoint;
  readonly network: GatewayNetwork;
  readonly mapping: PortMapping;
}

/** A port that is asked about. */
export interface AskedPort {
  readonly protocol: PortProtocol;
  readonly port: number;
}

/** One question: this port of this address. */
export interface Question extends AskedPort {
  readonly to: Ip;
  readonly origin: Origin;
}

/** All mappings of the records that have this port. */
export function candidatesFor(asked: AskedPort, facts: ExplainFacts): Candidate[] {
  return [...facts.endpoints.values()].flatMap((endpoint) =>
    endpoint.ports
      .filter((mapping) => hasPort(mapping, asked))
      .flatMap((mapping) => {
        const network = facts.networks.get(endpoint.network);
        return network === undefined ? [] : [{ endpoint, network, mapping }];
      }),
  );
}

/** Whether a mapping has a port of the host, on whatever address. */
export const hasPort = (mapping: PortMapping, { protocol, port }: AskedPort): boolean =>
  mapping.protocol === protocol && port >= mapping.hostPort && port < mapping.hostPort + mapping.count;

/** Answers for an address of this host. */
export function explainHostPort(
  question: Question,
  candidates: readonly Candidate[],
  facts: ExplainFacts,
): Explanation {
  const { origin, to } = question;
  const { steps, end } = answer(to, origin);
  const loopback = isLoopback(to) ? loopbackStep(origin, to) : undefined;
  if (loopback !== undefined) {
    steps.push(loopback);
    return end("dropped", `only this host itself reaches ${to.text}`);
  }
  const here = candidates.filter(({ mapping }) => covers(mapping.hostAddress, to));
  const byKernel = to.text === "::1" ? undefined : here.find((candidate) => servingOf(candidate).element);
  if (byKernel !== undefined) return explainTranslated(question, byKernel, facts, { steps, end });
  const byProxy = here.find((candidate) => servingOf(candidate).target !== null);
  if (byProxy !== undefined) return explainProxied(question, byProxy, { steps, end });
  return explainUnpublished(question, { here, candidates }, { steps, end });
}

const servingOf = ({ mapping, endpoint, network }: Candidate): ReturnType<typeof serving> =>
  serving(mapping, endpoint, network);

const covers = (hostAddress: string, { family, text }: Ip): boolean =>
  hostAddress === text || hostAddress === (family === 4 ? "0.0.0.0" : "::");

/** Why nobody but the host reaches the host's loopback. */
function loopbackStep(origin: Origin, { text }: Ip): Step | undefined {
  if (origin.kind === "host") return undefined;
  if (origin.kind === "container") return { at: "container", text: `${text} is the container's own loopback there` };
  return { at: "kernel", text: `a packet to ${text} that comes in by a link is not translated, and dropped` };
}

/** The kernel translates; the rest is the forward hook, unless the host itself connects. */
function explainTranslated(
  question: Question,
  candidate: Candidate,
  facts: ExplainFacts,
  answering: Answering,
): Explanation {
  const { steps, end } = answering;
  const element = elementFor(candidate, question);
  if (element === undefined)
    throw new TsnetError("kernel", `no element serves port ${question.port}: a defect of tsnet`);
  const [set, key, data] = element;
  const at = `${table}, map ${set}`;
  const there = facts.firewall?.elements[set]?.[key];
  if (there !== data) {
    steps.push({ at, text: `${problem(element, there, facts)}; being repaired` });
    if (servingOf(candidate).target !== null) return explainProxied(question, candidate, answering);
    return end("dropped", "until the element is back, the socket that holds the port drops what comes");
  }
  const target = targetOf(element, candidate, question.port);
  steps.push({ at, text: `${key} : ${data} matches: translated to ${target}, ${nameOf(candidate)}` });
  return question.origin.kind === "host"
    ? explainLocal(target, answering)
    : filter(question, candidate, facts, { ...answering, target });
}

function explainLocal(target: string, { steps, end }: Answering): Explanation {
  const text = "connections of the host itself are not forwarded: neither tsnet nor Docker's FORWARD filters them";
  steps.push({ at: `${table}, chain output`, text });
  return end("reaches", `the container, at ${target}`);
}

/** The forward hook: our table, then iptables. */
function filter(
  { origin, to }: Question,
  { network }: Candidate,
  facts: ExplainFacts,
  { steps, end, target }: Answering & { readonly target: string },
): Explanation {
  steps.push(...missingSteps(networkElements(network), facts));
  const { step, drops } = admission(origin, network);
  steps.push(step);
  if (drops) return end("dropped", `by ${step.at}`);
  const marked = origin.kind !== "docker";
  const forward = explainForward(facts.forward, { family: to.family, mark: facts.mark, marked });
  steps.push(...forward.steps);
  if (forward.result === "dropped") return end("dropped", "by FORWARD, until tsnet's rule is there again");
  if (forward.result === "passes") return end("reaches", `the container, at ${target}`);
  return end("may reach", `the container, at ${target}, unless a rule above drops it`);
}

/** Chains `published` and `admitted`: what our own table says to what comes for a published port. */
export function admission(origin: Origin, network: GatewayNetwork): { readonly step: Step; readonly drops: boolean } {
  const at = `${table}, chain admitted`;
  if (origin.network?.internal) {
    return { step: { at: `${table}, chain published`, text: internalText(origin.network) }, drops: true };
  }
  const passes = origin.kind === "docker" ? "accepted, without a mark" : "accepted and marked";
  if (network.publishFrom.length === 0) return { step: { at, text: passes }, drops: false };
  const { isIn, text } = restriction(origin, network);
  return { step: { at, text: isIn ? `${text}: ${passes}` : text }, drops: !isIn };
}

const internalText = ({ id }: GatewayNetwork): string =>
  `network ${short(id)}, where it comes from, is internal: nothing gets out of it`;

/** What tsnet.publish_from says. */
function restriction(
  { address }: Origin,
  { id, publishFrom }: GatewayNetwork,
): { readonly isIn: boolean; readonly text: string } {
  const list = publishFrom.join(", ");
  if (address === null) {
    return { isIn: false, text: `tsnet.publish_from of network ${short(id)} lets in ${list} alone; ask with --from` };
  }
  const isIn = publishFrom.some((cidr) => containsIp(parseCidr(cidr), address));
  return {
    isIn,
    text: `${address.text} is ${isIn ? "" : "not "}in tsnet.publish_from of network ${short(id)}, ${list}`,
  };
}

/** A socket of the plugin: it is a program of the host, to whatever filters these. */
function explainProxied({ origin, port }: Question, candidate: Candidate, { steps, end }: Answering): Explanation {
  const { mapping, network } = candidate;
  const { target } = servingOf(candidate);
  const to = target === null ? "" : formatAddress(target.address, target.port + port - mapping.hostPort);
  const reason = network.publishPolicy === "host" ? " (tsnet.publish_policy=host)" : "";
  const host = formatAddress(mapping.hostAddress, port);
  steps.push({ at: table, text: `no element: it is served by a socket of the plugin on ${host}${reason}` });
  if (origin.network?.internal) {
    const at = `${table}, chain inside`;
    steps.push({ at, text: internalText(origin.network) });
    return end("dropped", `by ${at}`);
  }
  if (origin.kind !== "host") {
    steps.push({
      at: "INPUT",
      text: "the host's own rules decide (iptables INPUT, ufw, firewalld), as for its own services",
    });
  }
  if (network.publishFrom.length > 0 && origin.kind !== "host") {
    const { isIn, text } = restriction(origin, network);
    steps.push({ at: "tsnet's proxy", text });
    if (!isIn) return end("dropped", "the proxy ends connections from elsewhere");
  }
  steps.push({ at: "tsnet's proxy", text: `passed on to ${to}, ${nameOf(candidate)}` });
  if (origin.kind === "host") return end("reaches", `the container, at ${to}`);
  return end("may reach", `the container, at ${to}, if the host's INPUT lets it in`);
}

/** No mapping of ours answers here. */
function explainUnpublished(
  { protocol, port, to }: Question,
  { here, candidates }: { readonly here: readonly Candidate[]; readonly candidates: readonly Candidate[] },
  { steps, end }: Answering,
): Explanation {
  const [unserved] = here;
  if (unserved !== undefined) {
    steps.push({
      at: table,
      text: `published for ${nameOf(unserved)}, which has no address that can serve ${to.text}`,
    });
    return end("dropped", "by inet tsnet-hold: the port is held, and nobody serves it");
  }
  steps.push({
    at: `${table}, chain publish`,
    text: `no element for ${protocol} port ${port} of ${to.text}: not translated`,
  });
  for (const candidate of candidates) {
    const where = formatAddress(candidate.mapping.hostAddress, port);
    steps.push({ at: "records", text: `it is published on ${where} alone, for ${nameOf(candidate)}` });
  }
  const others = "or Docker translates it, if a container on a network of Docker's own publishes it";
  return end("host", `what listens on the host gets it, if the host's INPUT lets it in; ${others}`);
}

const nameOf = ({ endpoint, network }: Candidate): string =>
  `endpoint ${short(endpoint.id)} of network ${short(network.id)}`;

/** The element that serves this port of a mapping. */
function elementFor({ endpoint, network, mapping }: Candidate, { to, port }: Question): Element | undefined {
  const isMap = new RegExp(`^(port|bound|range|boundrange)${to.family}$`);
  return portElements({ ...endpoint, ports: [mapping] }, network).find(
    ([set, key]) => isMap.test(set) && keyHasPort(key, port),
  );
}

/** "10.0.0.1 . tcp . 8000-8010" has 8005. */
function keyHasPort(key: string, port: number): boolean {
  const [first = 0, last = first] = (key.split(" . ").at(-1) ?? "").split("-").map(Number);
  return port >= first && port <= last;
}

/** "172.18.0.2:80" */
function targetOf([, , data]: Element, { mapping }: Candidate, port: number): string {
  const [address = "", containerPort] = data.split(" . ");
  return formatAddress(address, Number(containerPort ?? mapping.containerPort + port - mapping.hostPort));
}
