/** What is compared together, and after which change. */
import type { KernelChange } from "./kernel.ts";

/** "sandboxes": the links that containers have on parents. "overlays": what is in all namespaces of ours; "in tsnet-…": in one. */
export type Part = "links" | "sandboxes" | "firewall" | "forward" | "endpoints" | "overlays" | `in ${string}`;

export const everything: readonly Part[] = ["links", "sandboxes", "firewall", "forward", "endpoints", "overlays"];

const byChange: Readonly<Record<Exclude<KernelChange["what"], "link" | "namespace">, readonly Part[]>> = {
  addresses: ["links"],
  paths: ["overlays"],
  firewall: ["firewall"],
  forward: ["forward"],
  everything,
};

/** What has to be compared after a change. */
export const partsOf = (change: Exclude<KernelChange, { readonly what: "link" }>): readonly Part[] =>
  change.what === "namespace" ? [`in ${change.name}`] : byChange[change.what];

/** The names of the namespaces that are compared one by one. */
export const namespacesOf = (parts: ReadonlySet<Part>): Set<string> =>
  new Set([...parts].flatMap((part) => (part.startsWith("in ") ? [part.slice(3)] : [])));
