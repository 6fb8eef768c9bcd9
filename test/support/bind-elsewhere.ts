import { spawnSync } from "node:child_process";
import type { HostPort } from "../../src/driver/kernel.ts";

/** Whether another program gets the port: "bound", or what socat says. It gives up at once when nobody comes. */
export function bindElsewhere({ protocol, address, port }: HostPort, ...options: string[]): string {
  const isIpv6 = address.includes(":");
  const bind = isIpv6 ? `bind=[${address}],ipv6only=1` : `bind=${address}`;
  const reuse = ["reuseaddr", "reuseport"].map((option) => `${option}=${options.includes(option) ? 1 : 0}`).join();
  const kind = protocol === "tcp" ? "LISTEN" : "RECV";
  const accept = protocol === "tcp" ? ",accept-timeout=0.01" : "";
  const socket = `${protocol}${isIpv6 ? 6 : 4}-${kind}:${port},${bind},${reuse}${accept}`;
  const { status, stderr } = spawnSync("socat", ["-u", "-T0.01", socket, "/dev/null"], { encoding: "utf8" });
  return status === 0 ? "bound" : /[^:]*$/.exec(stderr.trim())?.join().trim() || `exit code ${status}`;
}
