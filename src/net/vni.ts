import { createHash } from "node:crypto";

/** RFC 7348: 24 bits. 0 is left out, as Docker and others do. */
export const largestVni = 2 ** 24 - 1;

/** Those that tsnet chooses begin here: Docker's own overlay counts up from 4096. */
export const firstChosenVni = 2 ** 23;

/** That of tsnet's own probes between hosts. */
export const probeVni = largestVni - 1;

/** @throws Error that says what was expected */
export function parseVni(text: string): number {
  const vni = /^\d{1,8}$/.test(text) ? Number(text) : 0;
  if (vni === probeVni) throw new Error("tsnet itself has this VNI, to probe the way to other hosts: take another one");
  if (vni >= 1 && vni <= largestVni) return vni;
  throw new Error(`expected a VNI from 1 to ${largestVni}`);
}

/**
 * The VNI of a network that nobody gave one: of its subnets, so that hosts that know nothing of each other agree.
 * @param attempt 0, and on where that one is taken
 */
export function vniOf(subnets: readonly string[], attempt = 0): number {
  const digest = createHash("sha256")
    .update(`tsnet vni ${[...subnets].sort().join(" ")} ${attempt}`)
    .digest();
  return firstChosenVni + (digest.readUInt32BE() % (probeVni - firstChosenVni));
}
