import { randomInt } from "node:crypto";
import { close, inetNtop, inetPton } from "../libc.ts";
import { epollEvents } from "../libc-sockets.ts";
import { inNamespace } from "../netlink/in-namespace.ts";
import { Rtnetlink } from "../netlink/rtnetlink.ts";
import type { Poller } from "../ports/poller.ts";
import { framesAtOnce } from "../segment/constants.ts";
import { PacketSocket } from "../segment/packet-socket.ts";
import { encodeEchoFrame, replyFilter, senderOf } from "./echo-frame.ts";

/** Who is asked by the short way: see Kernel.probeWays of driver/kernel.ts. */
export interface WayProbe {
  readonly namespace: string;
  /** The port of the bridge that leads to the host's namespace, and the MAC address behind it. */
  readonly port: string;
  readonly gatewayMac: string;
  /** An endpoint of this host. */
  readonly source: { readonly mac: string; readonly ip: string };
  /** Addresses of endpoints of other hosts, of the family of the source. */
  readonly targets: readonly string[];
  /** How long answers are waited for. */
  readonly waitMs: number;
}

/** ETH_P_ALL of include/uapi/linux/if_ether.h: what a bridge takes from its ports is not told to others. */
const allFrames = 3;

/** As often as this is asked again who has not answered. */
const againMs = 200;

/**
 * Asks endpoints of other hosts by packets that take the very way of containers' packets: written to the bridge's port, they come out of
 * the gateway's link in the host's namespace, and its firewall, its routing, the segment with all that it filters, and the other
 * host's firewall decide. The answer comes back by whichever way the other host has chosen, and is seen where it enters the bridge.
 */
export class WayProber {
  readonly #poller: Pick<Poller, "add" | "remove">;
  readonly #running = new Set<() => void>();

  constructor(poller: Pick<Poller, "add" | "remove">) {
    this.#poller = poller;
  }

  /**
   * @param path of the namespace's file
   * @returns those that have answered
   * @throws TsnetError "kernel" for want of descriptors, of the namespace or of the port
   */
  async probe(probe: WayProbe, path: string): Promise<string[]> {
    const link = indexOf(path, probe.port);
    const socket = inNamespace(path, () => new PacketSocket());
    try {
      return await this.#ask(probe, socket, link);
    } finally {
      close(socket.fd);
    }
  }

  /** Ends all that wait. */
  stop(): void {
    for (const end of this.#running) end();
  }

  async #ask(probe: WayProbe, socket: PacketSocket, link: number): Promise<string[]> {
    const { gatewayMac, source, targets, waitMs } = probe;
    const id = randomInt(1, 0xffff);
    const asked = new Map(targets.map((target) => [inetNtop(inetPton(target)), target]));
    const answered = new Set<string>();
    const isIpv6 = source.ip.includes(":");
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // what a timer throws would end the thread; the port goes with the network
    const ask = (): void => {
      try {
        for (const target of targets) {
          if (!answered.has(target)) socket.send(encodeEchoFrame({ source, gatewayMac, target, id }), link);
        }
      } catch (error) {
        reject(error);
      }
    };
    const look = (): void => {
      for (let n = 0; n < framesAtOnce; n++) {
        const frame = socket.receive()?.frame;
        if (frame === undefined) break;
        const target = asked.get(senderOf(frame, isIpv6));
        if (target !== undefined) answered.add(target);
      }
      if (answered.size === asked.size) resolve();
    };
    socket.filter(replyFilter(isIpv6, id));
    const pollId = this.#poller.add(socket.fd, epollEvents.in, look);
    const timers = [setInterval(ask, againMs), setTimeout(resolve, waitMs)];
    this.#running.add(resolve);
    try {
      socket.listen(allFrames);
      ask();
      await promise;
      look(); // where this thread had other things to do
    } finally {
      this.#running.delete(resolve);
      for (const timer of timers) clearTimeout(timer);
      this.#poller.remove(socket.fd, pollId);
    }
    return [...answered];
  }
}

function indexOf(path: string, name: string): number {
  const rtnetlink = new Rtnetlink(path);
  try {
    return rtnetlink.getLink({ name })?.index ?? 0;
  } finally {
    rtnetlink.close();
  }
}
