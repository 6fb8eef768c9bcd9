import type { DockerView } from "./docker-view.ts";

/** pino's loggers fit. */
interface Log {
  warn(fields: object, message: string): void;
}

/** What Docker alone can say. */
const lost = [
  "subnets are chosen without regard to the networks of other drivers",
  "an address that may be a container's of another driver's network is not given back by itself",
  'nobody looks whether another plugin hides "-d tsnet"',
  "a manager of a swarm keeps what it has said of networks until the swarm's leader says that they are gone",
  "a node keeps a network of a swarm that Docker does not name again after a power cut, and a manager what it has given out as leader",
  "the other nodes of a swarm are those of TSNET_PEERS, or those that Docker has told of by itself; their containers are found by flooding",
  "services have no virtual IPs",
];

type Asked = Pick<
  DockerView,
  "start" | "stop" | "networks" | "refresh" | "containersIn" | "has" | "swarmRole" | "swarmAddresses"
>;

/** Docker is not to be asked: TSNET_DOCKER_SOCKET=none. */
export class NoDockerView implements Asked {
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  start(): void {
    this.#log.warn({ lost }, "TSNET_DOCKER_SOCKET=none: Docker is asked for nothing, and some things do not work");
  }

  async stop(): Promise<void> {}

  networks(): null {
    return null;
  }

  async refresh(): Promise<null> {
    return null;
  }

  async containersIn(): Promise<null> {
    return null;
  }

  async has(): Promise<null> {
    return null;
  }

  async swarmRole(): Promise<null> {
    return null;
  }

  async swarmAddresses(): Promise<null> {
    return null;
  }
}
