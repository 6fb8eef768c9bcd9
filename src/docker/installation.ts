/** How this tsnet is installed. */
import { readFileSync } from "node:fs";
import { hostPath } from "../net/host-path.ts";

/** Where it listens and what it keeps. */
interface Places {
  /** TSNET_SOCKET */
  readonly socket: string;
  /** TSNET_STATE_DIR */
  readonly stateDir: string;
}

/**
 * The ID of the managed plugin that this process is, 64 digits; null if it is none. Its root directory is DATA/plugins/ID/rootfs on
 * the host.
 * @param mounts the text of /proc/self/mountinfo: man 5 proc
 */
export function ownPluginId(mounts: string = readFileSync("/proc/self/mountinfo", "utf8")): string | null {
  return /^\S+ \S+ \S+ \S*\/plugins\/([0-9a-f]{64})\/rootfs \/ /m.exec(mounts)?.[1] ?? null;
}

/** In words for another tsnet, which this one keeps out: "socket /run/docker/plugins/tsnet.sock, state in /var/lib/tsnet, process 123". */
export function describeInstallation({ socket, stateDir }: Places, pluginId: string | null, pid: number): string {
  const what = pluginId === null ? `process ${pid}` : `managed plugin ${pluginId.slice(0, 12)}`;
  return `socket ${hostPath(socket)}, state in ${stateDir}, ${what}`;
}
