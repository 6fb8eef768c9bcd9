/** An etcd on a test host, in the host's own namespaces: it ends with the host. */
import { attempt } from "./commands.ts";
import type { Host } from "./host.ts";
import type { Daemon } from "./namespace.ts";
import { until } from "./poll.ts";

/** An election takes 1 s, and may have to be repeated; the rest is a slow machine. */
const healthDeadlineMs = 30_000;

/** One that cannot answer does not hold up a test. */
const answerSeconds = 3;

const port = 2379;

/** Where clients of any host find it. */
export const etcdUrl = ({ ipv4 }: Host): string => `http://${ipv4}:${port}`;

/** Starts one that keeps its data in the host's directory. @param args besides the places of data and clients */
export async function launchEtcd(host: Host, args: readonly string[]): Promise<Daemon> {
  const own = [`--data-dir=${host.directory}/etcd`, "--log-level=warn", `--listen-client-urls=http://0.0.0.0:${port}`];
  const command = ["etcd", ...own, `--advertise-client-urls=${etcdUrl(host)}`, ...args];
  return await host.namespace.start(command, `${host.directory}/etcd.log`, {
    ...process.env,
    ...(process.arch === "arm64" ? { ETCD_UNSUPPORTED_ARCH: "arm64" } : {}),
  });
}

/** Starts one that is a cluster by itself. @returns its URL, when it answers */
export async function startEtcd(host: Host): Promise<string> {
  await launchEtcd(host, ["--listen-peer-urls=http://127.0.0.1:0"]);
  await etcdAnswers(host);
  return etcdUrl(host);
}

/** Waits until it answers a read that all of its cluster agree with. */
export async function etcdAnswers(host: Host): Promise<void> {
  await until(`etcd answers on host ${host.number}`, healthDeadlineMs, async () => {
    const answer = await requestEtcd(host, "GET", "/health");
    return JSON.parse(answer).health === "true";
  });
}

const requestScript = `exec 3<>/dev/tcp/127.0.0.1/${port} && cat >&3 && cat <&3`;

/** @returns the body of the answer. @throws Error if there is none */
export async function requestEtcd(host: Host, method: string, path: string, body = ""): Promise<string> {
  const input = [`${method} ${path} HTTP/1.0`, `Content-Length: ${body.length}`, "", body].join("\r\n");
  const command = host.enter(["timeout", `${answerSeconds}`, "bash", "-c", requestScript]);
  const { stdout } = await attempt(command, { input });
  const begin = stdout.indexOf("\r\n\r\n");
  if (begin === -1) throw new Error(`etcd on host ${host.number} does not answer ${path}`);
  return stdout.slice(begin + 4);
}
