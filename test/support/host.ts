/**
 * A Docker host made of namespaces: its own links, firewall, processes, /run and control groups, the machine's programs, and private
 * copies on write of /etc, /opt and /var/lib. Forwarding is off at first, as on a new machine, so that dockerd turns it on and sets
 * the policy of FORWARD to DROP.
 */
import { cpSync, mkdirSync, rmSync, statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import type { Outcome } from "./commands.ts";
import { attempt, describeFailure, run } from "./commands.ts";
import { Dockerd } from "./dockerd.ts";
import { loadImage } from "./image.ts";
import { ManagedPlugin } from "./managed-plugin.ts";
import { Namespace } from "./namespace.ts";
import { Outside, router, type Segment, segments } from "./outside.ts";
import { driver, type Packaging, type Plugin, packaging as packagingOfRun } from "./plugin.ts";
import { makeDirectory, newName, removeDirectory } from "./scratch.ts";
import { SocketPlugin } from "./socket-plugin.ts";

/** Runs as pid 1 in the new namespaces. */
const bootScript = `
  hostname "$1"
  echo 0 >/proc/sys/net/ipv4/ip_forward
  echo 0 >/proc/sys/net/ipv6/conf/all/forwarding
  mount -t proc proc /proc
  mount -t sysfs sysfs /sys
  if [ "$(grep -c . /proc/self/cgroup)" = 1 ]; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
  else
    mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
    while IFS=: read -r id controllers path; do
      case $controllers in
        "") dir=unified options= type=cgroup2 ;;
        name=*) dir=\${controllers#name=} options="-o none,$controllers" type=cgroup ;;
        *) dir=$controllers options="-o $controllers" type=cgroup ;;
      esac
      mkdir "/sys/fs/cgroup/$dir"
      mount -t $type $options cgroup "/sys/fs/cgroup/$dir"
    done </proc/self/cgroup
  fi
  mount -t tmpfs -o mode=755 tmpfs /run
  for dir in /etc /opt /var/lib; do
    upper=/run/overlay$dir
    mkdir -p $upper/upper $upper/work
    mount -t overlay -o lowerdir=$dir,upperdir=$upper/upper,workdir=$upper/work overlay $dir
  done
  rm -rf /etc/docker /etc/resolv.conf
  echo "nameserver ${router.ipv4}" >/etc/resolv.conf
  ip link set lo up
  mount --make-rshared /`;

export interface HostOptions {
  /** The network around it; by default it gets one of its own. */
  readonly outside?: Outside;
  /** From 1 to 250: its address in that network. */
  readonly number?: number;
  /** Of that network; "near" by default. */
  readonly segment?: Segment;
  /** A shell script that runs on the new host before anything is started there. */
  readonly prepare?: string;
  /** Of the plugin, where `start` starts it. */
  readonly settings?: NodeJS.ProcessEnv;
  /** By default that of the run. */
  readonly packaging?: Packaging;
}

/** What a host consists of. */
interface Made {
  readonly outside: Outside;
  readonly namespace: Namespace;
  readonly directory: string;
  readonly place: HostPlace;
  readonly ownsOutside: boolean;
  readonly packaging: Packaging;
}

interface HostPlace {
  readonly number: number;
  readonly segment: Segment;
}

export class Host implements AsyncDisposable {
  readonly outside: Outside;
  /** What survives a reboot: Docker's data, the plugin's state, the logs. */
  readonly directory: string;
  readonly ipv4: string;
  readonly ipv6: string;
  /** Its address's last part, and of the router's port: outside.ts. */
  readonly number: number;
  /** The plugin and the daemon that were started last. */
  plugin: Plugin;
  dockerd: Dockerd;
  #namespace: Namespace;
  readonly #place: HostPlace;
  readonly #ownsOutside: boolean;

  private constructor({ outside, namespace, directory, place, ownsOutside, packaging }: Made) {
    this.outside = outside;
    this.directory = directory;
    const { number, segment } = place;
    this.number = number;
    this.ipv4 = segments[segment].ipv4(number);
    this.ipv6 = segments[segment].ipv6(number);
    this.#namespace = namespace;
    this.#place = place;
    this.#ownsOutside = ownsOutside;
    this.plugin = packaging === "managed" ? new ManagedPlugin(this) : new SocketPlugin(this);
    this.dockerd = new Dockerd(this);
  }

  static async create(options: HostOptions = {}): Promise<Host> {
    const { outside, number = 1, segment = "near", prepare = "", packaging = packagingOfRun } = options;
    const place = { number, segment };
    await using made = new AsyncDisposableStack();
    const around = outside ?? made.use(await Outside.create());
    const name = newName();
    const directory = makeDirectory(name);
    made.defer(() => removeDirectory(directory));
    const namespace = made.use(await boot(name, place, around));
    mkdirSync(`${directory}/cli`);
    await namespace.sh(prepare);
    made.move();
    const ownsOutside = outside === undefined;
    return new Host({ outside: around, namespace, directory, place, ownsOutside, packaging });
  }

  /** A host with the plugin and dockerd running, and the test image loaded. */
  static async start(dockerdFlags: readonly string[] = [], options: HostOptions = {}): Promise<Host> {
    await using made = new AsyncDisposableStack();
    const host = made.use(await Host.create(options));
    if (driver === "tsnet") await host.plugin.start(options.settings);
    await host.dockerd.start(dockerdFlags);
    await loadImage(host);
    made.move();
    return host;
  }

  get namespace(): Namespace {
    return this.#namespace;
  }

  /** The daemon's socket, reachable from outside the host. */
  get socket(): string {
    return `${this.directory}/docker.sock`;
  }

  /** A path of the host's own file system, as this process reaches it. */
  path = (inside: string): string => `/proc/${this.#namespace.pid}/root${inside}`;

  /** Runs a shell script on the host. @throws Error if it fails */
  sh = (script: string, input = ""): Promise<string> => this.#namespace.sh(script, input);

  /** A command line that runs in the host's network namespace. */
  enter = (command: readonly string[]): string[] => this.#namespace.enter(command);

  /** Runs a shell script in the host's network namespace; a failing exit code is an answer. */
  exec = (script: string): Promise<Outcome> => this.#namespace.exec(script);

  ip: Namespace["ip"] = (args) => this.#namespace.ip(args);
  bridge: Namespace["bridge"] = (args) => this.#namespace.bridge(args);
  nft: Namespace["nft"] = (args) => this.#namespace.nft(args);
  /** `iptables ARGS`, line by line. */
  iptables = async (args: string): Promise<string[]> => (await this.sh(`iptables -w ${args}`)).split("\n");

  /** Runs the docker command against this host's daemon. @throws Error with Docker's words, if it fails */
  docker = (...args: string[]): Promise<string> => run(this.#dockerCommand(args), { env: this.dockerEnvironment() });

  /** The same; a failing exit code is an answer. */
  tryDocker = (...args: string[]): Promise<Outcome> =>
    attempt(this.#dockerCommand(args), { env: this.dockerEnvironment() });

  /** @returns Docker's words. @throws Error if the command succeeds */
  async dockerError(...args: string[]): Promise<string> {
    const outcome = await this.tryDocker(...args);
    if (outcome.code === 0)
      throw new Error(`succeeded, and should not: ${describeFailure(["docker", ...args], outcome)}`);
    return outcome.stderr.trim();
  }

  /** The machine's own command, not a newer one of somebody's PATH: that may refuse an older daemon's API. */
  #dockerCommand = (args: readonly string[]): string[] => ["/usr/bin/docker", "-H", `unix://${this.socket}`, ...args];

  /** Neither reads nor writes the user's own settings of the docker command. */
  dockerEnvironment = (): NodeJS.ProcessEnv => ({ PATH: process.env["PATH"], DOCKER_CONFIG: `${this.directory}/cli` });

  /** The plugin's records of a kind, by ID, as another program reads them from a copy: the plugin keeps others out of its own. */
  // biome-ignore lint/suspicious/noExplicitAny: records are JSON; each test says what it reads
  records(kind: "network" | "endpoint" | "pool" | "lease"): Map<string, any> {
    const copy = copyDatabase(this.plugin.stateDirectory, `${this.directory}/records`);
    using database = new DatabaseSync(copy);
    const rows = database.prepare("SELECT id, value FROM record WHERE kind = ?").all(kind);
    return new Map(rows.map(({ id, value }) => [String(id), JSON.parse(String(value))]));
  }

  /** Power cut and boot: what is on disk stays, the kernel starts empty. Plugin and dockerd are not started. */
  async reboot(): Promise<void> {
    await this.#namespace.kill();
    rmSync(this.socket, { force: true });
    this.#namespace = await boot(newName(), this.#place, this.outside);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#namespace.kill();
    removeDirectory(this.directory);
    if (this.#ownsOutside) await this.outside[Symbol.asyncDispose]();
  }
}

/**
 * Copies the database with its write-ahead log. A checkpoint in between would tear the copy: then it is made again.
 * @returns the copy's path
 */
function copyDatabase(from: string, to: string): string {
  for (let tries = 0; tries < 10; tries++) {
    rmSync(to, { recursive: true, force: true });
    const before = statSync(`${from}/tsnet.db`).mtimeMs;
    cpSync(from, to, { recursive: true });
    if (statSync(`${from}/tsnet.db`).mtimeMs === before) return `${to}/tsnet.db`;
  }
  throw new Error(`${from}/tsnet.db changes all the time`);
}

async function boot(name: string, { number, segment }: HostPlace, outside: Outside): Promise<Namespace> {
  await using made = new AsyncDisposableStack();
  const namespace = made.use(await Namespace.create(name, bootScript, [`host${number}`]));
  await outside.connect(namespace, number, segment);
  made.move();
  return namespace;
}
