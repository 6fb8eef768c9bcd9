/** The thread that talks to the kernel, so that no call of the kernel's ever stalls the main loop. */
import { workerData } from "node:worker_threads";
import { KernelCalls, type KernelSettings } from "./calls.ts";
import type { KernelChange } from "./change.ts";
import { missingPrerequisites } from "./preflight.ts";
import { encodeError } from "./protocol.ts";
import { post, serve } from "./serve.ts";
import { makeSysctlsWritable } from "./sysctl.ts";

function open(): KernelCalls | undefined {
  try {
    const missing = missingPrerequisites();
    if (missing.length > 0) {
      post({ missing: missing.map(encodeError) });
      return undefined;
    }
    makeSysctlsWritable();
    return new KernelCalls(workerData as KernelSettings, (event) => post<readonly KernelChange[]>({ event }));
  } catch (error) {
    post({ failed: encodeError(error) });
    return undefined;
  }
}

serve(open);
