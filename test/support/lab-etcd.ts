/** etcd with a member on each host, in the host's own namespaces: what happens to the host happens to its member. */
import { randomBytes } from "node:crypto";
import type { Host } from "./host.ts";
import { etcdAnswers, etcdUrl, launchEtcd, requestEtcd } from "./host-etcd.ts";
import type { Daemon } from "./namespace.ts";
import { readProcess } from "./processes.ts";

const peerPort = 2380;

export class EtcdCluster {
  readonly #hosts: readonly Host[];
  readonly #token = randomBytes(4).toString("hex");
  readonly #members = new Map<Host, Daemon>();

  private constructor(hosts: readonly Host[]) {
    this.#hosts = hosts;
  }

  /** Starts an empty one. Resolves when each member answers reads that the others agree with. */
  static async start(hosts: readonly Host[]): Promise<EtcdCluster> {
    const cluster = new EtcdCluster(hosts);
    await Promise.all(hosts.map((host) => cluster.#launch(host)));
    await cluster.isWhole();
    return cluster;
  }

  /** "http://192.168.77.1:2379,…": what TSNET_ETCD_ENDPOINTS is set to. */
  get endpoints(): string {
    return this.#hosts.map(etcdUrl).join(",");
  }

  /** Starts a host's member with the data that it had; after a reboot of the host, too. Resolves when it agrees with the others. */
  async restart(host: Host): Promise<void> {
    await this.kill(host);
    await this.#launch(host);
    await etcdAnswers(host);
  }

  /** Kills the member of one host, and waits until the others agree again. */
  async lose(host: Host): Promise<void> {
    await this.kill(host);
    await this.agreesWithout(host);
  }

  /** Waits until the members of the other hosts agree: if the one that they miss was the leader, they have to elect another. */
  async agreesWithout(host: Host): Promise<void> {
    await Promise.all(this.#hosts.filter((other) => other !== host).map((other) => etcdAnswers(other)));
  }

  /** SIGKILL. One that has ended is killed already. */
  async kill(host: Host): Promise<void> {
    const member = this.#members.get(host);
    this.#members.delete(host);
    if (member === undefined) return;
    if ((await Promise.race([member.ended, "runs"])) === "runs") process.kill(member.pid, "SIGKILL");
    await member.ended;
  }

  /** Starts a host's member if it does not run, as after a reboot. */
  async revive(host: Host): Promise<void> {
    const member = this.#members.get(host);
    if (member === undefined || readProcess(member.pid) === undefined) await this.#launch(host);
  }

  /** Starts the members that do not run, and waits until all answer. */
  async heal(): Promise<void> {
    await Promise.all(this.#hosts.map((host) => this.revive(host)));
    await this.isWhole();
  }

  /** Waits until each member answers a read that the others agree with. */
  async isWhole(): Promise<void> {
    await Promise.all(this.#hosts.map((host) => etcdAnswers(host)));
  }

  /** The keys that begin so, as the member of the first host knows them: "/tsnet/place/8388700/10.5.0.2". */
  async keys(prefix: string): Promise<string[]> {
    const [first] = this.#hosts;
    if (first === undefined) return [];
    const end = `${prefix.slice(0, -1)}${String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)}`;
    const body = JSON.stringify({ key: btoa(prefix), range_end: btoa(end), keys_only: true });
    const answer: { kvs?: { key: string }[] } = JSON.parse(await requestEtcd(first, "POST", "/v3/kv/range", body));
    return (answer.kvs ?? []).map(({ key }) => atob(key));
  }

  async #launch(host: Host): Promise<void> {
    this.#members.set(host, await launchEtcd(host, this.#arguments(host)));
  }

  #arguments(host: Host): string[] {
    return [
      `--name=${nameOf(host)}`,
      ...[`--listen-peer-urls=${peerUrl(host)}`, `--initial-advertise-peer-urls=${peerUrl(host)}`],
      `--initial-cluster=${this.#hosts.map((one) => `${nameOf(one)}=${peerUrl(one)}`).join(",")}`,
      `--initial-cluster-token=${this.#token}`,
    ];
  }
}

const nameOf = ({ number }: Host): string => `host${number}`;
const peerUrl = ({ ipv4 }: Host): string => `http://${ipv4}:${peerPort}`;
