/** A real etcd on loopback, with files of its own. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EtcdSettings } from "../../src/store/etcd-store.ts";
import { exitOf, run, startLogged } from "./commands.ts";
import { type Certificates, makeCertificates } from "./etcd-certificates.ts";
import { until } from "./poll.ts";

/** It starts in 0.3 s; the rest is a slow machine. */
const startDeadlineMs = 20_000;

export interface EtcdServerOptions {
  /** HTTPS, and only for those who have a certificate of the same CA. */
  readonly tls?: boolean;
  /** More arguments, such as "--max-txn-ops=16". */
  readonly args?: readonly string[];
}

export class EtcdServer implements AsyncDisposable {
  /** "http://127.0.0.1:41234" */
  readonly url: string;
  readonly certificates: Certificates | undefined;
  readonly #directory: string;
  readonly #peerUrl: string;
  readonly #args: readonly string[];
  #child: ChildProcess | undefined;

  private constructor(directory: string, ports: readonly number[], options: EtcdServerOptions) {
    this.#directory = directory;
    this.url = `${options.tls ? "https" : "http"}://127.0.0.1:${ports[0]}`;
    this.#peerUrl = `http://127.0.0.1:${ports[1]}`;
    this.#args = options.args ?? [];
    this.certificates = options.tls ? makeCertificates(directory) : undefined;
  }

  /** Starts one that is empty. */
  static async start(options: EtcdServerOptions = {}): Promise<EtcdServer> {
    const directory = mkdtempSync(join(tmpdir(), "tsnet-etcd-"));
    const server = new EtcdServer(directory, await freePorts(2), options);
    try {
      await server.start();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** How our store gets at it. */
  settings(more: Partial<EtcdSettings> = {}): EtcdSettings {
    const { ca = null, clientCert = null, clientKey = null } = this.certificates ?? {};
    const access = { cacert: ca, cert: clientCert, key: clientKey, user: null, password: null };
    return { endpoints: [this.url], prefix: "/tsnet/", ...access, ...more };
  }

  /** Starts it with the data that it had, on the same ports. Resolves when it answers. */
  async start(): Promise<void> {
    const log = join(this.#directory, "log");
    const child = startLogged(["setpriv", "--pdeathsig", "KILL", "etcd", ...this.#arguments()], log, {
      ...process.env,
      ...(process.arch === "arm64" ? { ETCD_UNSUPPORTED_ARCH: "arm64" } : {}),
    });
    this.#child = child;
    await until(`etcd answers at ${this.url}`, startDeadlineMs, async () => {
      if (child.exitCode !== null) throw new Error(`etcd has ended: ${readFileSync(log, "utf8")}`);
      return await this.isHealthy();
    });
  }

  /** Whether it answers a read that all of its cluster agrees with. */
  async isHealthy(): Promise<boolean> {
    if (this.certificates) return await isHealthyWith(this.url, this.certificates);
    const answer = await fetch(`${this.url}/health`);
    return ((await answer.json()) as { health: string }).health === "true";
  }

  /** As a power cut, but for what is on the disk. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** As the service manager ends it. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  async restart(): Promise<void> {
    await this.kill();
    await this.start();
  }

  /** Its data as they are now, for `restore`: it is stopped meanwhile. */
  async backUp(): Promise<void> {
    await this.stop();
    cpSync(this.#data, `${this.#data}.backup`, { recursive: true });
    await this.start();
  }

  /** As somebody who puts the data of a backup in the place of what it has. */
  async restore(): Promise<void> {
    await this.stop();
    rmSync(this.#data, { recursive: true });
    cpSync(`${this.#data}.backup`, this.#data, { recursive: true });
    await this.start();
  }

  /** As somebody who makes a new one in its place. */
  async makeAnew(): Promise<void> {
    await this.stop();
    rmSync(this.#data, { recursive: true });
    await this.start();
  }

  get #data(): string {
    return join(this.#directory, "data");
  }

  /** It stays, and its connections too, but it answers nothing until it is resumed. */
  pause(): void {
    this.#child?.kill("SIGSTOP");
  }

  resume(): void {
    this.#child?.kill("SIGCONT");
  }

  /** A call of its JSON API, without anything of ours. Only over HTTP. */
  async call(path: string, body: object, token?: string): Promise<Record<string, unknown>> {
    const headers = token === undefined ? {} : { authorization: token };
    const answer = await fetch(`${this.url}${path}`, { method: "POST", body: JSON.stringify(body), headers });
    const result = (await answer.json()) as Record<string, unknown>;
    if (!answer.ok) throw new Error(`${path}: ${JSON.stringify(result)}`);
    return result;
  }

  /** Makes it forget its history up to now. */
  async compact(): Promise<void> {
    const { header } = (await this.call("/v3/kv/range", { key: btoa("/") })) as { header: { revision: string } };
    await this.call("/v3/kv/compaction", { revision: header.revision, physical: true });
  }

  /** Adds a user who may read and write below the prefix, and root; from now on etcd asks who one is. */
  async enableUsers(name: string, password: string, prefix: string): Promise<void> {
    const range = { key: btoa(prefix), range_end: btoa(`${prefix.slice(0, -1)}0`) };
    await this.call("/v3/auth/role/add", { name: "writer" });
    await this.call("/v3/auth/role/grant", { name: "writer", perm: { permType: "READWRITE", ...range } });
    await this.call("/v3/auth/user/add", { name: "root", password: `${password}-root` });
    await this.call("/v3/auth/user/grant", { user: "root", role: "root" });
    await this.call("/v3/auth/user/add", { name, password });
    await this.call("/v3/auth/user/grant", { user: name, role: "writer" });
    await this.call("/v3/auth/enable", {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end("SIGKILL");
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (!this.#child) return;
    this.#child.kill(signal);
    await exitOf(this.#child);
    this.#child = undefined;
  }

  #arguments(): string[] {
    const { certificates: c } = this;
    const tls = c
      ? [`--cert-file=${c.serverCert}`, `--key-file=${c.serverKey}`, "--client-cert-auth", `--trusted-ca-file=${c.ca}`]
      : [];
    const data = ["--name=test", `--data-dir=${this.#data}`, "--log-level=warn"];
    const client = [`--listen-client-urls=${this.url}`, `--advertise-client-urls=${this.url}`];
    const peer = [`--listen-peer-urls=${this.#peerUrl}`, `--initial-advertise-peer-urls=${this.#peerUrl}`];
    return [...data, ...client, ...peer, `--initial-cluster=test=${this.#peerUrl}`, ...tls, ...this.#args];
  }
}

/** Ports of 127.0.0.1 that nobody listens on. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

async function isHealthyWith(url: string, { ca, clientCert, clientKey }: Certificates): Promise<boolean> {
  const words = ["openssl", "s_client", "-quiet", "-connect", new URL(url).host, "-CAfile", ca];
  const answer = await run([...words, "-cert", clientCert, "-key", clientKey], {
    input: "GET /health HTTP/1.0\r\n\r\n",
  });
  return answer.includes('"health":"true"');
}
