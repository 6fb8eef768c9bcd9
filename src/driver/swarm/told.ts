import type { VirtualTargets } from "../../plan/op.ts";
import type { VirtualIp } from "../../plan/vip-table.ts";
import type { VipsFound } from "../../plan/vips.ts";
import { AbsentServices } from "./absent-services.ts";
import { ServicesSaid } from "./services-said.ts";
import { Trouble, type TroubleNeeds } from "./trouble.ts";

/** What the kernel has been told of a network's services. */
export class Told {
  /** What there is besides the table; null where nobody knows, as after the start. */
  found: VipsFound | null = null;
  /** Whether all is known that an earlier process can have known. */
  isReady = false;
  virtual: readonly VirtualIp[] = [];
  /** Where flows may go on to; undefined where the kernel may remember others. */
  targets: readonly VirtualTargets[] | undefined;
  readonly absent = new AbsentServices();
  readonly said: ServicesSaid;
  readonly trouble: Trouble;

  constructor(needs: TroubleNeeds) {
    this.said = new ServicesSaid(needs.network, needs.log);
    this.trouble = new Trouble(needs);
  }
}
