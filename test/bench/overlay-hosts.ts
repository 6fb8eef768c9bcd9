/** Two hosts of one segment with Docker's own overlay, which is a swarm's, and tsnet's, which have an etcd. */
import { spawn } from "node:child_process";
import { exitOf } from "../support/commands.ts";
import { Container } from "../support/container.ts";
import { Host } from "../support/host.ts";
import { loadImage } from "../support/image.ts";
import { EtcdCluster } from "../support/lab-etcd.ts";
import { Outside } from "../support/outside.ts";
import { until } from "../support/poll.ts";
import { createContainer, start } from "./docker-figures.ts";

/** Docker's own stands where other parts have the bridge. */
export const kinds = ["bridge", "tsnet", "direct"] as const;
export type Kind = (typeof kinds)[number];

/** A network of each kind, on both hosts. */
export const networks: Readonly<Record<Kind, string>> = { bridge: "swarm", tsnet: "vxlan", direct: "direct" };
const subnets: Readonly<Record<Exclude<Kind, "bridge">, number>> = { tsnet: 61, direct: 62 };

export interface OverlayHosts extends AsyncDisposable {
  /** Where clients are, and who is the swarm's manager. */
  readonly near: Host;
  readonly far: Host;
  readonly etcd: EtcdCluster;
}

export async function createOverlayHosts(): Promise<OverlayHosts> {
  await using made = new AsyncDisposableStack();
  const outside = made.use(await Outside.create());
  const near = made.use(await Host.create({ outside, number: 1, packaging: "socket" }));
  const far = made.use(await Host.create({ outside, number: 2, packaging: "socket" }));
  const etcd = await EtcdCluster.start([far]);
  for (const host of [near, far]) {
    await host.plugin.start({ TSNET_ETCD_ENDPOINTS: etcd.endpoints, TSNET_HOST_ID: `host${host.number}` });
    await host.dockerd.start();
    await loadImage(host);
  }
  await joinSwarm(near, far);
  await near.docker("network", "create", "-d", "overlay", "--attachable", "--subnet", "10.60.0.0/16", networks.bridge);
  for (const kind of ["tsnet", "direct"] as const) {
    const settings = { network: networks[kind], subnet: subnets[kind] };
    const options = { "tsnet.datapath": kind === "direct" ? "direct" : "vxlan" };
    for (const host of [near, far]) await createOverlay(host, { ...settings, options });
  }
  const all = made.move();
  return { near, far, etcd, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

async function joinSwarm(near: Host, far: Host): Promise<void> {
  await near.docker("swarm", "init", "--advertise-addr", near.ipv4);
  const token = await near.docker("swarm", "join-token", "-q", "worker");
  await far.docker("swarm", "join", "--token", token, `${near.ipv4}:2377`);
}

interface OverlaySettings {
  readonly network: string;
  /** 61 is 10.61.0.0/16. */
  readonly subnet: number;
  readonly options: Readonly<Record<string, string>>;
}

/** A network of mode overlay on a host, which gives out addresses of its own by itself. */
export async function createOverlay(host: Host, { network, subnet, options }: OverlaySettings): Promise<void> {
  const first = `10.${subnet}`;
  const Config = [{ Subnet: `${first}.0.0/16`, IPRange: `${first}.${host.number}.0/24`, Gateway: `${first}.0.1` }];
  const body = { Name: network, Driver: "tsnet", Options: { mode: "overlay", ...options }, IPAM: { Config } };
  await host.dockerd.api("POST", "/networks/create", body);
}

/** A container on a network of a kind. */
export async function runOn(host: Host, network: string): Promise<Container> {
  const id = await createContainer(host, network);
  await start(host, id);
  return new Container(host, id);
}

/** A program in a container's network namespace that listens on a port, until it is disposed of. */
export async function serveOn(
  container: Container,
  port: number,
  command: readonly string[],
): Promise<AsyncDisposable> {
  const [file = "", ...args] = await container.enter(command);
  const server = spawn(file, args, { stdio: ["ignore", "ignore", "inherit"] });
  const listens = async () => (await container.exec(`ss -Hltn 'sport = :${port}'`)).stdout !== "";
  await until("the other end listens", 5000, listens);
  return {
    [Symbol.asyncDispose]: async () => {
      const ended = exitOf(server);
      server.kill("SIGKILL");
      await ended;
    },
  };
}
