/** A service of a swarm, and its tasks, as the manager's API has them. */
import { Container } from "./container.ts";
import type { Host } from "./host.ts";
import { until } from "./poll.ts";
import type { SwarmLab } from "./swarm-lab.ts";

/** A task is placed, its network made, its container started. */
const runDeadlineMs = 60_000;

/** A node, of the API's words those that tests read. */
export interface Node {
  readonly ID: string;
  readonly Description: { readonly Hostname: string };
  readonly Status: { readonly State: string };
  readonly Spec: { readonly Role: string; readonly Availability: string };
  readonly ManagerStatus?: { readonly Leader?: boolean; readonly Addr: string; readonly Reachability: string };
}

/** A task, of the API's words those that tests read. */
export interface Task {
  readonly ID: string;
  readonly NodeID: string;
  readonly Slot?: number;
  readonly DesiredState: string;
  readonly Status: {
    readonly State: string;
    readonly Message?: string;
    readonly Err?: string;
    readonly Timestamp: string;
    readonly ContainerStatus?: { readonly ContainerID: string };
  };
  readonly NetworksAttachments?: readonly {
    readonly Network: { readonly ID: string; readonly Spec: { readonly Name: string } };
    readonly Addresses?: readonly string[];
  }[];
}

/** "10.5.0.9", of a task or of plain container's on a network; "" while it has none. */
export const addressOf = ({ NetworksAttachments = [] }: Task, network: string): string =>
  NetworksAttachments.find(({ Network }) => Network.Spec.Name === network)?.Addresses?.[0]?.split("/")[0] ?? "";

/**
 * A task is healthy when its echo port takes connections: without that, a task gets some before it listens.
 * @param every "500ms": each check is a process that runc starts
 */
export const healthCheck = (every: string): string[] => [
  ...["--health-cmd", "socat -u OPEN:/dev/null TCP4:127.0.0.1:7", "--health-interval", every],
  ...["--health-timeout", "5s", "--health-retries", "10"],
];

/** A container that swarm runs, with the task that it is of. */
export class TaskContainer extends Container {
  readonly task: Task;

  constructor(host: Host, task: Task) {
    super(host, task.Status.ContainerStatus?.ContainerID ?? "");
    this.task = task;
  }
}

export class Service {
  readonly lab: SwarmLab;
  readonly name: string;

  constructor(lab: SwarmLab, name: string) {
    this.lab = lab;
    this.name = name;
  }

  /** All that swarm remembers, those that have ended among them. */
  async tasks(): Promise<Task[]> {
    const filters = encodeURIComponent(JSON.stringify({ service: [this.name] }));
    return await this.lab.manager.dockerd.api("GET", `/tasks?filters=${filters}`);
  }

  /** Those that run, and shall. */
  runningNow = async (): Promise<Task[]> =>
    (await this.tasks()).filter(({ DesiredState, Status }) => DesiredState === "running" && Status.State === "running");

  /**
   * Waits until exactly so many tasks run, all on nodes that are ready, and no other there is to run, or to be stopped.
   * @throws Error with what the others say
   */
  async running(count: number, deadlineMs = runDeadlineMs): Promise<TaskContainer[]> {
    let tasks: Task[] = [];
    const all = until(`service ${this.name} has ${count} tasks`, deadlineMs, async () => {
      tasks = await this.tasks();
      const ready = await this.lab.readyNodes();
      const isHere = ({ NodeID, Status }: Task): boolean => ready.has(NodeID) && isAlive(Status.State);
      const wanted = tasks.filter((task) => task.DesiredState === "running" || isHere(task));
      const run = wanted.every(({ NodeID, Status }) => ready.has(NodeID) && Status.State === "running");
      return wanted.length === count && run && wanted;
    });
    const wanted = await all.catch((cause: Error) => {
      const others = tasks.filter(
        ({ DesiredState, Status }) => DesiredState !== "running" || Status.State !== "running",
      );
      throw new Error(`${cause.message}: of ${tasks.length}, ${others.map(said).join("; ")}`, { cause });
    });
    return await Promise.all(wanted.map(async (task) => new TaskContainer(await this.lab.hostOf(task), task)));
  }

  /** The same, and waits until each listens. */
  async serving(count: number, deadlineMs = runDeadlineMs): Promise<TaskContainer[]> {
    const containers = await this.running(count, deadlineMs);
    await Promise.all(containers.map((container) => container.listens()));
    return containers;
  }

  /** Waits until a task has a state and an error that says this. @returns the error */
  failing = (words: string | RegExp, deadlineMs = runDeadlineMs): Promise<string> =>
    until(`a task of ${this.name} fails with ${words}`, deadlineMs, async () => {
      const errors = (await this.tasks()).map(({ Status: { Err = "" } }) => Err);
      return errors.find((error) => error.match(words) !== null);
    });

  /** `docker service update`; it is not waited for. */
  update = (...args: string[]): Promise<string> =>
    this.lab.docker("service", "update", "--no-resolve-image", "-d", ...args, this.name);

  scale = (count: number): Promise<void> => this.lab.change("service", "scale", "-d", `${this.name}=${count}`);

  remove = (): Promise<string> => this.lab.docker("service", "rm", this.name);

  /** Waits until no host has a container of it any more. */
  async gone(): Promise<void> {
    const filters = encodeURIComponent(JSON.stringify({ label: [`com.docker.swarm.service.name=${this.name}`] }));
    await until(`service ${this.name} has no container`, runDeadlineMs, async () => {
      const path = `/containers/json?all=1&filters=${filters}`;
      const left = await this.lab.each(({ dockerd }) => dockerd.api("GET", path));
      return left.flat().length === 0;
    });
  }

  /** "10.5.0.2", on a network. Swarm gives it after it has taken the service. */
  vip = (network: string): Promise<string> =>
    until(`service ${this.name} has a virtual IP on ${network}`, runDeadlineMs, () => this.vipNow(network));

  /** The same; undefined where it has none, or none yet. */
  async vipNow(network: string): Promise<string | undefined> {
    const { Endpoint } = await this.lab.manager.dockerd.api("GET", `/services/${this.name}`);
    const { Id } = await this.lab.manager.dockerd.api("GET", `/networks/${network}`);
    const found: { NetworkID: string; Addr?: string }[] = Endpoint.VirtualIPs ?? [];
    return found.find(({ NetworkID }) => NetworkID === Id)?.Addr?.split("/")[0] || undefined;
  }
}

/** Of a task that has a container, or is about to have one. */
const isAlive = (state: string): boolean => /^(assigned|accepted|preparing|ready|starting|running)$/.test(state);

const said = ({ Slot, DesiredState, Status: { State, Err = "", Message = "" } }: Task): string =>
  `task ${Slot ?? ""} is ${State}, shall be ${DesiredState}, ${Err || Message}`;
