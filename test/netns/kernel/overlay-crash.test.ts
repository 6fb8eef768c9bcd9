import { expect } from "chai";
import { TsnetError } from "../../../src/errors.ts";
import { Addresses } from "../../../src/kernel/addresses.ts";
import { apply, type Targets } from "../../../src/kernel/apply.ts";
import { Links } from "../../../src/kernel/links.ts";
import { Namespaces } from "../../../src/kernel/namespaces.ts";
import { Rtnetlink } from "../../../src/kernel/netlink/rtnetlink.ts";
import { NetlinkSocket } from "../../../src/kernel/netlink/socket.ts";
import { OverlayLinks } from "../../../src/kernel/overlay-links.ts";
import { OwnLinks } from "../../../src/kernel/own-links.ts";
import type { Op } from "../../../src/plan/op.ts";
import { planInnerVeth, planInnerVethRemoval, planOverlay, planOverlayRemoval } from "../../../src/plan/overlay.ts";
import { ip, ipJson } from "../../support/netns.ts";
import { endpoint, entries, insideJson, network, underlay, useOverlay } from "../../support/overlay-links.ts";

const all = [...planOverlay(network, underlay), ...planInnerVeth(network, endpoint, underlay)];
const removal = [...planInnerVethRemoval(network, endpoint, null), ...planOverlayRemoval(network)];

/** Executes operations as a process does that ends then, also if it fails. */
async function asProcess(ops: readonly Op[]): Promise<void> {
  const rtnetlink = new Rtnetlink();
  const own = new OwnLinks(rtnetlink);
  const namespaces = new Namespaces("/run/netns");
  const overlay = new OverlayLinks(own, namespaces);
  // the operations of an overlay network need no others
  const targets = {
    own,
    links: new Links(own),
    addresses: new Addresses(own),
    namespaces,
    overlay,
  } as unknown as Targets;
  try {
    await apply(ops, targets);
  } finally {
    namespaces.close();
    rtnetlink.close();
  }
}

/** Has netlink do so many requests, and nothing any more. @returns whether that was enough for `work` */
async function dyingAfter(requests: number, work: () => Promise<void>): Promise<boolean> {
  const { request, requestAll } = NetlinkSocket.prototype;
  let left = requests;
  const count = (): void => {
    if (left === 0) throw new TsnetError("kernel", "dead", { errno: "EIO" });
    left -= 1;
  };
  NetlinkSocket.prototype.request = function (...args) {
    count();
    request.apply(this, args);
  };
  NetlinkSocket.prototype.requestAll = function (...args) {
    count();
    Reflect.apply(requestAll, this, args);
  };
  try {
    await work();
    return true;
  } catch (error) {
    expect(String(error)).to.include("dead");
    return false;
  } finally {
    Object.assign(NetlinkSocket.prototype, { request, requestAll });
  }
}

/** What there is, without what the kernel chooses. */
const state = (): unknown => ({
  entries: entries(),
  links: [...insideJson("link show"), ...ipJson("link show")]
    .map(({ ifname, mtu, master, flags, ifalias, group, linkinfo }) => [
      ...[ifname, mtu, master ?? "", flags.includes("UP"), ifalias ?? "", group],
      ...[linkinfo?.info_slave_data?.learning ?? "", linkinfo?.info_slave_data?.neigh_suppress ?? ""],
    ])
    .toSorted(),
});

describe("a process that dies at any request about an overlay network", () => {
  useOverlay();

  it("leaves what the next one completes, or removes", async () => {
    await asProcess(all);
    const wanted = state();
    await asProcess(removal);
    let requests = 0;
    for (let isDone = false; !isDone; requests++) {
      isDone = await dyingAfter(requests, () => asProcess(all));
      await asProcess(all);
      expect(state(), `after ${requests} requests`).to.deep.equal(wanted);
      await asProcess(removal);
      isDone = await dyingAfter(requests, () => asProcess(all));
      await asProcess(removal);
      expect(ip("netns list"), `after ${requests} requests`).to.equal("");
      expect(ipJson("link show").filter(({ ifname }) => ifname.startsWith("ts"))).to.deep.equal([]);
    }
    expect(requests).to.be.greaterThan(20);
  });

  it("while it removes one, leaves what the next one removes", async () => {
    let requests = 0;
    for (let isDone = false; !isDone; requests++) {
      await asProcess(all);
      isDone = await dyingAfter(requests, () => asProcess(removal));
      await asProcess(removal);
      expect(ip("netns list"), `after ${requests} requests`).to.equal("");
      expect(ipJson("link show").filter(({ ifname }) => ifname.startsWith("ts"))).to.deep.equal([]);
    }
    expect(requests).to.be.greaterThan(4);
  });
});
