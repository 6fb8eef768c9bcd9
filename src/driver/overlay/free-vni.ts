import { setTimeout as pause } from "node:timers/promises";
import { TsnetError } from "../../errors.ts";

/** A VXLAN link that was just deleted holds its VNI until the kernel is through with it. */
const attempts = 20;
const pauseMs = 50;

/** @throws TsnetError "conflict" if a VXLAN link of this host has this VNI */
export async function refuseTakenVni(vni: number, isFree: (vni: number) => Promise<boolean>): Promise<void> {
  for (let n = 0; n < attempts; n++) {
    if (await isFree(vni)) return;
    await pause(pauseMs);
  }
  const who = "another program, Docker's own overlay among them, may have hidden it in a network namespace";
  const remedy = "remove that link, or choose another VNI with tsnet.vni, on all hosts the same";
  throw new TsnetError("conflict", `VNI ${vni} is in use on this host by a VXLAN link (${who}): ${remedy}`);
}
