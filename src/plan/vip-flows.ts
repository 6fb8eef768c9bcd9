/** Flows to virtual IPs, which would go on to a task that is gone: of UDP for as long as packets come, of TCP those that it has not answered. */
import { namespaceName } from "../net/names.ts";
import type { ForgetVirtualFlows, VirtualTargets } from "./op.ts";

/**
 * What makes the kernel forget flows to tasks that are gone.
 * @param before where flows could go; undefined where nobody knows, as after the start
 * @param now where they may go on to
 * @returns null for nothing
 */
export function planForgetting(
  network: string,
  before: readonly VirtualTargets[] | undefined,
  now: readonly VirtualTargets[],
): ForgetVirtualFlows | null {
  const known = new Map(now.map(({ vip, targets }) => [vip, new Set(targets)]));
  const isFewer = before?.some(({ vip, targets }) => targets.some((ip) => !known.get(vip)?.has(ip)));
  if (!(isFewer ?? now.length > 0)) return null;
  const gone = (before ?? []).filter(({ vip }) => !known.has(vip)).map(({ vip }) => ({ vip, targets: [] }));
  const namespace = namespaceName(network);
  return { op: "forget-virtual-flows", namespace, virtual: [...now, ...gone] };
}
