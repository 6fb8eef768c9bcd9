/** What becomes of a connection to a container's own address. */
import type { Ip } from "../net/cidr.ts";
import { networkElements, openElements } from "../plan/firewall.ts";
import { table } from "../plan/firewall-rules.ts";
import type { Endpoint, GatewayNetwork, OpenPort } from "../plan/network.ts";
import type { Explanation, Step } from "./report-answers.ts";
import { explainForward } from "./report-forward.ts";
import type { ExplainFacts } from "./report-origin.ts";
import { admission, type Question } from "./report-published.ts";
import { answer, formatAddress, missingSteps, short } from "./report-steps.ts";

/** A chain of ours, what it says, and whether that is the end. */
interface Decision {
  readonly step: Step;
  readonly drops: boolean;
  /** Whether it gets our mark, for FORWARD. */
  readonly marked: boolean;
}

/** Answers for an address of a container. */
export function explainContainerPort(
  question: Question,
  endpoint: Endpoint,
  network: GatewayNetwork,
  facts: ExplainFacts,
): Explanation {
  const { origin, to, port } = question;
  const { steps, end } = answer(to, origin);
  const target = formatAddress(to.text, port);
  if (origin.kind === "host") {
    steps.push({ at: "kernel", text: "the host's own connections are not forwarded: tsnet does not filter them" });
    return end("reaches", `the container, at ${target}`);
  }
  steps.push(...missingSteps([...networkElements(network), ...openElements(endpoint, network)], facts));
  const { step, drops, marked } = decide(question, endpoint, network);
  steps.push(step);
  if (drops) return end("dropped", `by ${step.at}`);
  const forward = explainForward(facts.forward, { family: to.family, mark: facts.mark, marked });
  steps.push(...forward.steps);
  if (forward.result === "dropped") return end("dropped", "by FORWARD, until tsnet's rule is there again");
  if (forward.result === "passes") return end("reaches", `the container, at ${target}`);
  return end("may reach", `the container, at ${target}, unless a rule above drops it`);
}

/** The chain `ours`, from `between` on. */
function decide({ origin, to, protocol, port }: Question, { openPorts }: Endpoint, network: GatewayNetwork): Decision {
  const at = (object: string): string => `${table}, ${object}`;
  const drop = (object: string, text: string): Decision => ({
    step: { at: at(object), text },
    drops: true,
    marked: false,
  });
  const pass = (object: string, text: string): Decision => {
    return { step: { at: at(object), text }, drops: false, marked: origin.kind !== "docker" };
  };
  const id = short(network.id);
  if (origin.network?.id === network.id) {
    return network.icc
      ? pass("map between", `containers of network ${id} may talk to each other`)
      : drop("map between", `containers of network ${id} may not talk to each other (enable_icc=false)`);
  }
  if (origin.network?.internal)
    return drop("set internal", `network ${short(origin.network.id)} is internal: nothing gets out of it`);
  const isTrusted = origin.link !== null && network.trustedLinks.includes(origin.link);
  const mode = network.subnets.find(({ family }) => family === to.family)?.gatewayMode;
  const isPublished = openPorts.some((open) => isOpen(open, protocol, port));
  if (isPublished && (isTrusted || mode === "routed")) {
    const { step, drops } = admission(origin, network);
    const why = isTrusted ? `${origin.link} is in its trusted_host_interfaces` : "its gateway mode is routed";
    return drops
      ? { step, drops, marked: false }
      : pass(`set open${to.family}`, `a published port of network ${id}, and ${why}`);
  }
  if (network.internal) return drop("map into", `network ${id} is internal: nothing gets in`);
  if (mode === "nat-unprotected") {
    return pass("map into", `network ${id} has the gateway mode nat-unprotected: all ports answer`);
  }
  if (mode === "routed") {
    return drop("chain routed", `network ${id} has the gateway mode routed, and this port is not published`);
  }
  return drop("map into", `network ${id} has the gateway mode nat: ports answer at the host's addresses alone`);
}

const isOpen = ({ protocol, port, count }: OpenPort, wanted: Ip["text"], at: number): boolean =>
  protocol === wanted && at >= port && at < port + count;
