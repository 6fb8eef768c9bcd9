/** What explanations are made of. */
import type { Element } from "../plan/elements.ts";
import { table } from "../plan/firewall-rules.ts";
import type { ObservedFirewall } from "../plan/observed.ts";
import type { Explanation, Step } from "./report-answers.ts";

/** An explanation that grows. */
export interface Answering {
  readonly steps: Step[];
  /** Its verdict. */
  readonly end: (result: Explanation["verdict"]["result"], why: string) => Explanation;
}

/** Begins an explanation for one address. */
export function answer(to: { readonly text: string }, origin: { readonly text: string }): Answering {
  const steps: Step[] = [{ at: "origin", text: origin.text }];
  return { steps, end: (result, why) => ({ to: to.text, steps, verdict: { result, why } }) };
}

/** Our table as it is in the kernel; undefined if it is not there. */
interface TableFacts {
  readonly firewall: ObservedFirewall | undefined;
}

/** What is wrong with an element whose data in the kernel are `there`. */
export function problem([, key, data]: Element, there: string | undefined, { firewall }: TableFacts): string {
  const wanted = data === "" ? key : `${key} : ${data}`;
  if (firewall === undefined) return "the table is missing in the kernel";
  return there === undefined ? `${wanted} is missing in the kernel` : `${wanted} is wanted, ${there} in the kernel`;
}

/** A step for each element that is not in the kernel as it should be. */
export function missingSteps(elements: readonly Element[], facts: TableFacts): Step[] {
  return elements.flatMap((element) => {
    const [set, key, data] = element;
    const there = facts.firewall?.elements[set]?.[key];
    return there === data
      ? []
      : [{ at: `${table}, ${set}`, text: `${problem(element, there, facts)}; being repaired` }];
  });
}

/** "10.0.0.1:80", "[::1]:80" */
export const formatAddress = (address: string, port: number): string =>
  address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;

/** An ID as Docker abbreviates it. */
export const short = (id: string | undefined): string => id?.slice(0, 12) ?? "";
