/** A process that is started gets none of the sockets that tsnet has: what they hold, such as tsnet-hold, would live as long as it does. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readlinkSync } from "node:fs";
import { pid } from "node:process";
import { expect } from "chai";
import { KernelClient } from "../../../src/kernel/kernel-client.ts";
import { addressFamily, close, process, socket } from "../../../src/kernel/libc.ts";
import { netlinkNetfilter } from "../../../src/kernel/netlink/constants.ts";
import { Nft } from "../../../src/kernel/nft.ts";
import { directTable } from "../../../src/plan/direct.ts";
import type { InnerOp } from "../../../src/plan/op.ts";
import { planInnerVeth, planOverlay, planOverlayRemoval } from "../../../src/plan/overlay.ts";
import { ensurePlaces, remotePlace } from "../../../src/plan/overlay-places.ts";
import { vipElements, vipTable } from "../../../src/plan/vip-table.ts";
import { endpoint, names, network, remote, underlay, useOverlay } from "../../support/overlay-links.ts";
import { mark, passed } from "../../support/proxied.ts";

/** SOCK_RAW | SOCK_NONBLOCK, as libnftables has it: nothing keeps a child process from getting it. */
const rawSocket = 0o4003;
const dup2 = process.func("int dup2(int fd, int other)");

/** What a process has open besides its standard streams: by number, "socket:[4711]". */
const openIn = (of: number | undefined): Map<number, string> =>
  new Map(
    readdirSync(`/proc/${of}/fd`).flatMap((fd) => {
      try {
        return Number(fd) > 2 ? [[Number(fd), readlinkSync(`/proc/${of}/fd/${fd}`)]] : [];
      } catch {
        return []; // that of the listing itself
      }
    }),
  );

/** What a process that is started now gets. */
async function left(): Promise<string[]> {
  const child = spawn("cat", { stdio: ["pipe", "pipe", "ignore"] });
  const ended = once(child, "close");
  try {
    child.stdin.write("\n");
    await once(child.stdout, "data");
    return [...openIn(child.pid).values()];
  } finally {
    child.kill();
    await ended;
  }
}

describe("a process that tsnet starts", () => {
  useOverlay();
  let before: string[];
  beforeEach(async () => {
    before = await left();
  });
  const gets = async (): Promise<string[]> => (await left()).filter((one) => !before.includes(one));

  it("gets nothing of what the kernel thread has open, in the host's namespace and in those of networks", async () => {
    const kernel = await KernelClient.open({ mark });
    const inside = (...ops: readonly InnerOp[]): Promise<void> =>
      kernel.apply([{ op: "in-namespace", namespace: names.namespace, ops }]);
    try {
      await kernel.apply([...planOverlay(network, underlay), ...planInnerVeth(network, endpoint, underlay)]);
      await kernel.apply([ensurePlaces(network, [remotePlace(network, remote(1))])]);
      const elements = vipElements([{ vip: "10.1.0.200", slots: ["10.1.0.2"] }], []);
      await inside({ op: "set-table", table: vipTable, elements });
      const add = { direct4: { "02:42:0a:01:00:03 . 10.1.0.3": "" } };
      await inside({ op: "change-direct", table: directTable(network), remove: {}, add });
      await kernel.apply([{ op: "forget-virtual-flows", namespace: names.namespace, virtual: [] }]);
      await kernel.reservePorts([passed()]);
      const probes = [{ kind: "udp" as const, address: "127.0.0.1", port: 9, bytes: 100 }];
      const probing = kernel.probePaths({ namespace: null, source: null, probes, waitMs: 500 });
      const own = [...openIn(pid).values()].filter((one) => one.startsWith("socket:"));
      expect(own.length).to.be.greaterThan(12);
      expect(await gets()).to.deep.equal([]);
      await probing;
      await kernel.apply(planOverlayRemoval(network));
    } finally {
      await kernel.close();
    }
  });

  it("gets no socket of nft either that libnftables has opened anew, under the number that it had", async () => {
    const had = new Set(openIn(pid).values());
    const nft = new Nft();
    const [number = expect.fail()] = [...openIn(pid)].flatMap(([fd, what]) => (had.has(what) ? [] : [fd]));
    const anew = socket(addressFamily.netlink, rawSocket, netlinkNetfilter);
    try {
      dup2(anew, number);
      close(anew);
      expect(await gets()).to.have.length(1);
      nft.run("list tables inet");
      expect(await gets()).to.deep.equal([]);
      expect(nft.portId).to.be.greaterThan(0);
    } finally {
      nft.close();
    }
  });
});
