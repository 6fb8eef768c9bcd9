import { TsnetError } from "../errors.ts";
import type { FactsAnswering, FactsAsking } from "../plan/facts-message.ts";
import type { HostFacts } from "../plan/host-facts.ts";
import type { NameAnswer, NameQuestions } from "../plan/name-questions.ts";
import type { TableName } from "../plan/nft-script.ts";
import type {
  Observed,
  ObservedAddress,
  ObservedCounters,
  ObservedFirewall,
  ObservedForward,
  ObservedLink,
  ObservedNamespace,
  ObservedPath,
  ObservedRoutes,
} from "../plan/observed.ts";
import type { Op, SetSysctl } from "../plan/op.ts";
import type { PathAnswer, PathProbes } from "../plan/path-probe.ts";
import type { KernelCalls, KernelSettings } from "./calls.ts";
import type { KernelChange } from "./change.ts";
import type { WayProbe } from "./direct/way-prober.ts";
import type { VniQuestion } from "./free-vni.ts";
import type { HostPort } from "./host-port.ts";
import { Observer } from "./observer.ts";
import type { PortCalls } from "./ports/calls.ts";
import type { AddressAnnouncement, AddressHolder, AddressProbe } from "./segment/requests.ts";
import { Thread } from "./thread.ts";

/** MiB. A small young generation keeps resident memory low; what a call makes is short-lived. */
const kernelLimits = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 128 };

/** As above; a connection that is passed on takes about 10 KB. */
const portLimits = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 512 };

/** The threads' programs; only tests give others. */
interface Programs {
  readonly kernel?: URL;
  readonly ports?: URL;
}

/** The kernel, as the main thread sees it. Two threads do the work; the one for ports starts with the first port. */
export class KernelClient {
  readonly #settings: KernelSettings;
  readonly #programs: Programs;
  readonly #kernel: Thread<KernelCalls, readonly KernelChange[]>;
  readonly #observer = new Observer();
  #ports: Thread<PortCalls> | undefined;
  #isClosed = false;
  #onChange: (change: KernelChange) => void = () => {};
  #onExit: (error: TsnetError) => void = () => {};

  private constructor(settings: KernelSettings, programs: Programs) {
    this.#settings = settings;
    this.#programs = programs;
    this.#kernel = new Thread({
      ...{ name: "the kernel thread", settings, resourceLimits: kernelLimits },
      program: programs.kernel ?? new URL("./worker.ts", import.meta.url),
      onEvent: (changes) => {
        for (const change of changes) this.#onChange(change);
      },
      onEnd: (error) => this.#onExit(error),
    });
  }

  /**
   * Starts the thread and waits until all its sockets are open.
   * @throws AggregateError of TsnetErrors, one for each thing that the host lacks; TsnetError for what fails besides
   */
  static async open(settings: KernelSettings, programs: Programs = {}): Promise<KernelClient> {
    const client = new KernelClient(settings, programs);
    await client.#kernel.ready();
    return client;
  }

  apply(ops: readonly Op[]): Promise<void> {
    return this.#kernel.call("apply", ops);
  }

  observe(routes: ObservedRoutes = "of bridges and shims"): Promise<Observed> {
    return this.#kernel.call("observe", routes);
  }

  observeRouted(): Promise<string> {
    return this.#kernel.call("observeRouted");
  }

  observeAddresses(): Promise<readonly ObservedAddress[]> {
    return this.#kernel.call("observeAddresses");
  }

  observeLink(name: string): Promise<ObservedLink | undefined> {
    return this.#kernel.call("observeLink", name);
  }

  askNames(questions: NameQuestions): Promise<readonly NameAnswer[]> {
    return this.#kernel.call("askNames", questions);
  }

  observePath(address: string): Promise<ObservedPath | undefined> {
    return this.#kernel.call("observePath", address);
  }

  isVniFree(question: VniQuestion): Promise<boolean> {
    return this.#kernel.call("isVniFree", question);
  }

  observeNamespaces(): Promise<readonly string[]> {
    return this.#kernel.call("observeNamespaces");
  }

  observeNamespace(name: string): Promise<ObservedNamespace | null> {
    return this.#kernel.call("observeNamespace", name);
  }

  repairEntries(name: string, isComplete: boolean): Promise<readonly string[]> {
    return this.#kernel.call("repairEntries", name, isComplete);
  }

  observeSysctls(name: string, keys: readonly SetSysctl["key"][]): Promise<readonly (string | null)[]> {
    return this.#kernel.call("observeSysctls", name, keys);
  }

  repairTable(name: string): Promise<readonly string[]> {
    return this.#kernel.call("repairTable", name);
  }

  repairDirect(names: readonly string[], isComplete: boolean, hasAllRoutes?: boolean): Promise<readonly string[]> {
    return this.#kernel.call("repairDirect", names, isComplete, hasAllRoutes);
  }

  probeWays(probe: WayProbe): Promise<readonly string[]> {
    return this.#kernel.call("probeWays", probe);
  }

  followPaths(hosts: readonly string[], links: readonly string[]): Promise<void> {
    return this.#kernel.call("followPaths", hosts, links);
  }

  observeFirewall(table: TableName): Promise<ObservedFirewall | undefined> {
    return this.#kernel.call("observeFirewall", table);
  }

  observeForward(): Promise<ObservedForward> {
    return this.#kernel.call("observeForward");
  }

  observeEphemeralPorts(): Promise<{ readonly first: number; readonly last: number }> {
    return this.#kernel.call("observeEphemeralPorts");
  }

  observeReservedPorts(): Promise<readonly { readonly first: number; readonly last: number }[]> {
    return this.#kernel.call("observeReservedPorts");
  }

  /** However many there are, nobody waits for it who has a container to start: see Observer. */
  async observeCounters(): Promise<ObservedCounters> {
    const [elements, proxied] = await Promise.all([
      this.#observer.observeCounters(),
      this.#ports?.call("observeProxied") ?? [],
    ]);
    return { elements, proxied };
  }

  observeSandboxes(paths: readonly string[]): Promise<readonly string[]> {
    return this.#kernel.call("observeSandboxes", paths);
  }

  observeSandboxLinks(paths: readonly string[]): Promise<readonly (readonly ObservedLink[] | null)[]> {
    return this.#kernel.call("observeSandboxLinks", paths);
  }

  async reservePorts(ports: readonly HostPort[]): Promise<void> {
    if (this.#isClosed) throw new TsnetError("kernel", "the ports thread is closed");
    this.#ports ??= this.#startPorts();
    await this.#ports.call("reserve", ports);
  }

  async releasePorts(ports: readonly HostPort[]): Promise<void> {
    await this.#ports?.call("release", ports);
  }

  flushRemovedLinks(): Promise<void> {
    return this.#kernel.call("flushRemovedLinks");
  }

  probeAddresses(probe: AddressProbe): Promise<readonly AddressHolder[]> {
    return this.#kernel.call("probeAddresses", probe);
  }

  announceAddresses(announcement: AddressAnnouncement): Promise<boolean> {
    return this.#kernel.call("announceAddresses", announcement);
  }

  follow(names: readonly string[]): Promise<void> {
    return this.#kernel.call("follow", names);
  }

  answerFacts(answering: FactsAnswering | null): Promise<void> {
    return this.#kernel.call("answerFacts", answering);
  }

  askFacts(asking: FactsAsking): Promise<readonly (HostFacts | null)[]> {
    return this.#kernel.call("askFacts", asking);
  }

  probePaths(probes: PathProbes): Promise<readonly PathAnswer[]> {
    return this.#kernel.call("probePaths", probes);
  }

  /** Calls back for each change that was not ours, until the client is closed. The last callback given counts. */
  watch(onChange: (change: KernelChange) => void): void {
    this.#onChange = onChange;
  }

  /** Calls back if a thread ends by itself: nothing can be done any more but to start anew. */
  onExit(onExit: (error: TsnetError) => void): void {
    this.#onExit = onExit;
  }

  /**
   * Waits for the calls that were made before, then closes the threads' sockets and ends them: the ports first, which are never
   * without the table that drops what reaches them. A second call does nothing.
   */
  async close(): Promise<void> {
    this.#onExit = () => {};
    this.#isClosed = true;
    const ports = this.#ports?.close();
    await Promise.all([ports, this.#kernel.close(ports)]);
  }

  #startPorts(): Thread<PortCalls> {
    return new Thread({
      ...{ name: "the ports thread", settings: this.#settings, resourceLimits: portLimits },
      program: this.#programs.ports ?? new URL("./ports/worker.ts", import.meta.url),
      onEnd: (error) => this.#onExit(error),
    });
  }
}
