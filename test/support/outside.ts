/**
 * The network around test hosts: a router with bridges that the hosts' uplinks are ports of, one for each segment, and behind the
 * router, in a subnet of its own, a client that stands for the rest of the world. Nothing of it reaches the machine's own network.
 */
import type { Outcome } from "./commands.ts";
import { serverSockets, serveScript } from "./image.ts";
import { Namespace } from "./namespace.ts";
import { until } from "./poll.ts";
import { newName } from "./scratch.ts";

const serveDeadlineMs = 10_000;

/** The hosts' network; host N has the address N. */
export const hostNetwork = { ipv4: (n: number) => `192.168.77.${n}`, ipv6: (n: number) => `fd00:77::${n}` };

/** A second one: hosts of the one reach those of the other through the router. */
export const farNetwork = { ipv4: (n: number) => `192.168.88.${n}`, ipv6: (n: number) => `fd00:88::${n}` };

/** Each segment's bridge in the router, and its addresses. */
export const segments = {
  near: { bridge: "br0", mac: "02:00:00:00:77:fe", ...hostNetwork },
  far: { bridge: "br1", mac: "02:00:00:00:88:fe", ...farNetwork },
} as const;
export type Segment = keyof typeof segments;

/** The router's port that a host is connected to. */
export const portOf = (number: number): string => `port${number}`;

/** The router's address in the hosts' network. No resolver listens there, and it says so at once. */
const routerNumber = 254;
export const router = { ipv4: hostNetwork.ipv4(routerNumber), ipv6: hostNetwork.ipv6(routerNumber) };

/** The client outside. */
export const client = { ipv4: "203.0.113.10", ipv6: "2001:db8:113::10" };
const clientGateway = { ipv4: "203.0.113.1", ipv6: "2001:db8:113::1" };

/** The bridge has an address of its own: otherwise it has that of a port, and another when a host is booted, which nobody is told. */
const switchScript = ({ bridge, mac, ipv4, ipv6 }: (typeof segments)[Segment]): string => `
  ip link add ${bridge} address ${mac} type bridge
  ip link set ${bridge} up
  ip addr add ${ipv4(routerNumber)}/24 dev ${bridge}
  ip addr add ${ipv6(routerNumber)}/64 dev ${bridge} nodad`;

/** icmp_ratelimit 0: an unreachable resolver is answered for each packet, so that lookups fail at once instead of in 5 s. */
const routerScript = `
  sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.icmp_ratelimit=0 net.ipv4.icmp_msgs_per_sec=100000
  ip link set lo up
  ${Object.values(segments).map(switchScript).join("\n")}
  ip route add unreachable default`;

const clientScript = `ip link set lo up`;

/** Run in the router's network namespace; $1 is the client's pid 1. */
const wireClient = (pid: number): string => `
  set -e
  ip link add client type veth peer name eth0 netns ${pid}
  ip addr add ${clientGateway.ipv4}/24 dev client
  ip addr add ${clientGateway.ipv6}/64 dev client nodad
  ip link set client up`;

const clientAddresses = `
  set -e
  ip addr add ${client.ipv4}/24 dev eth0
  ip addr add ${client.ipv6}/64 dev eth0 nodad
  ip link set eth0 up
  ip route add default via ${clientGateway.ipv4}
  ip -6 route add default via ${clientGateway.ipv6}`;

export class Outside implements AsyncDisposable {
  readonly router: Namespace;
  readonly client: Namespace;

  private constructor(router: Namespace, client: Namespace) {
    this.router = router;
    this.client = client;
  }

  static async create(): Promise<Outside> {
    await using made = new AsyncDisposableStack();
    const router = made.use(await Namespace.create(newName(), routerScript));
    const client = made.use(await Namespace.create(newName(), clientScript));
    await must(router.exec(wireClient(client.pid)));
    await must(client.exec(clientAddresses));
    made.move();
    return new Outside(router, client);
  }

  /**
   * Connects a host's network namespace, as eth0 with the address `number`; the same number again replaces the earlier link, in
   * whichever segment that is.
   */
  async connect(host: Namespace, number: number, segment: Segment = "near"): Promise<void> {
    const { bridge, ipv4, ipv6 } = segments[segment];
    const port = portOf(number);
    await must(
      this.router.exec(`
      set -e
      ip link del ${port} 2>/dev/null || true
      ip link add ${port} type veth peer name eth0 netns ${host.pid}
      ip link set ${port} master ${bridge} up`),
    );
    await must(
      host.exec(`
      set -e
      ip addr add ${ipv4(number)}/24 dev eth0
      ip addr add ${ipv6(number)}/64 dev eth0 nodad
      ip link set eth0 up
      ip route add default via ${ipv4(routerNumber)}
      ip -6 route add default via ${ipv6(routerNumber)}`),
    );
  }

  /** Starts the server of the test image in the world outside, and waits until it listens. */
  async serve(): Promise<void> {
    await this.client.start(["sh", "-c", serveScript], "/dev/null", process.env);
    await until("the server outside listens", serveDeadlineMs, async () => {
      const { stdout } = await this.client.exec("ss -Hltun 'sport = :80 or sport = :7'");
      return stdout.split("\n").filter(Boolean).length === serverSockets;
    });
  }

  /** Lets the world reach a subnet behind a host directly, as a neighbor with a route of his own could. */
  async route(subnet: string, number: number): Promise<void> {
    const family = subnet.includes(":") ? "ipv6" : "ipv4";
    await must(this.router.exec(`ip route replace ${subnet} via ${hostNetwork[family](number)}`));
  }

  /**
   * Makes the router send what is for 127.0.0.1 to a host, as a hostile neighbor could. Its own table of local addresses is asked
   * later than ours, and 127.0.0.1 is taken as a sender.
   */
  async routeLoopback(number: number): Promise<void> {
    await must(
      this.router.exec(`
      set -e
      sysctl -qw net.ipv4.conf.br0.route_localnet=1
      ip rule add pref 32000 lookup local
      ip rule del pref 0
      ip rule add pref 100 to 127.0.0.1 iif lo lookup 100
      ip route add 127.0.0.1 via ${hostNetwork.ipv4(number)} dev br0 table 100`),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.router.kill(), this.client.kill()]);
  }
}

async function must(done: Promise<Outcome>): Promise<void> {
  const { code, stderr } = await done;
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
}
