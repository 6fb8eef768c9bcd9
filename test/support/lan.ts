/** What the tests of networks on a link of the host have in common: modes macvlan and ipvlan. */
import { type Outcome, run } from "./commands.ts";
import type { Container } from "./container.ts";
import type { Host } from "./host.ts";
import { Namespace } from "./namespace.ts";
import { type Outside, router } from "./outside.ts";
import { driver } from "./plugin.ts";
import { newName } from "./scratch.ts";

export type LanMode = "macvlan" | "ipvlan";

/** `-d` of a network of this mode; `TEST_TSNET_DRIVER=macvlan` shows what Docker's own does. */
export const lanDriver = (mode: LanMode = "macvlan"): string[] =>
  driver === "tsnet" ? ["-d", "tsnet", "-o", `mode=${mode}`] : ["-d", mode];

export const onParent = (name: string): string[] => ["-o", `parent=${name}`];

/** The subnet of the hosts and the router, and of it what containers get: each host has a part of its own. */
export const hostSubnet = (number = 1): string[] => [
  ...["--subnet", "192.168.77.0/24", "--ip-range", `192.168.77.${32 * number}/27`, "--gateway", router.ipv4],
];
export const hostSubnet6 = (number = 1): string[] => [
  ...["--ipv6", "--subnet", "fd00:77::/64", "--ip-range", `fd00:77::${number}:0/112`, "--gateway", router.ipv6],
];

/** Whether the host's Docker is of this major version or later. */
export const isSince = async (host: Host, major: number): Promise<boolean> =>
  Number.parseInt(await host.docker("version", "--format", "{{.Server.Version}}"), 10) >= major;

/** Makes a network in the subnet of the hosts, on eth0. @returns its ID */
export const createLan = (host: Host, name: string, ...args: string[]): Promise<string> =>
  host.docker("network", "create", ...lanDriver(), ...onParent("eth0"), ...hostSubnet(), ...args, name);

/** Connects a host to the switch a second time, as `name`, without an address. It goes with the host, or by `ip link del`. */
export async function addUplink({ router }: Outside, host: Host, name: string): Promise<void> {
  const script = `
    ip link add port-${name} type veth peer name ${name} netns ${host.namespace.pid}
    ip link set port-${name} master br0 up`;
  await run(router.enter(["bash", "-ec", script])); // with process numbers as they are here
  await host.sh(`ip link set ${name} up`);
}

/** The default routes of a container: "via 192.168.77.254", or "on the link". */
export async function defaultRoutes(container: Container): Promise<string[]> {
  const routes: { dst: string; gateway?: string }[] = [
    ...(await container.ip("route")),
    ...(await container.ip("-6 route")),
  ];
  return routes
    .filter(({ dst }) => dst === "default")
    .map(({ gateway }) => (gateway ? `via ${gateway}` : "on the link"));
}

/** A machine on the segment that Docker knows nothing of; its MAC is told. */
export class Stranger implements AsyncDisposable {
  readonly namespace: Namespace;
  readonly mac: string;

  private constructor(namespace: Namespace, mac: string) {
    this.namespace = namespace;
    this.mac = mac;
  }

  /** @param number its address in the hosts' network, not one of a host */
  static async connect(outside: Outside, number: number): Promise<Stranger> {
    await using made = new AsyncDisposableStack();
    const namespace = made.use(await Namespace.create(newName(), "ip link set lo up"));
    await outside.connect(namespace, number);
    const [{ address }] = await namespace.ip("link show dev eth0");
    made.move();
    return new Stranger(namespace, address);
  }

  enter = (command: readonly string[]): string[] => this.namespace.enter(command);
  exec = (script: string): Promise<Outcome> => this.namespace.exec(script);

  /** It leaves the segment at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.namespace.exec("ip link del eth0");
    await this.namespace.kill();
  }
}
