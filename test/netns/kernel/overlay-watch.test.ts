import { expect } from "chai";
import type { Kernel, KernelChange } from "../../../src/driver/kernel.ts";
import { KernelClient } from "../../../src/kernel/kernel-client.ts";
import { planInnerVeth, planOverlay, planOverlayRemoval } from "../../../src/plan/overlay.ts";
import { ensurePlaces, remotePlace } from "../../../src/plan/overlay-places.ts";
import { ip } from "../../support/netns.ts";
import {
  bridge,
  endpoint,
  entries,
  inside,
  names,
  network,
  remote,
  underlay,
  useOverlay,
} from "../../support/overlay-links.ts";
import { until } from "../../support/poll.ts";

const { namespace, vxlan } = names;

describe("KernelClient.watch, of an overlay network", () => {
  useOverlay(async () => {
    await kernel.apply(planOverlayRemoval(network));
    await client.close();
  });
  let client: KernelClient;
  let kernel: Kernel;
  let changes: KernelChange[];
  beforeEach(async () => {
    changes = [];
    client = await KernelClient.open({ mark: 0x01000000 });
    kernel = client;
    kernel.watch((change) => changes.push(change));
    await kernel.apply([
      ...planOverlay(network, underlay),
      ...planInnerVeth(network, endpoint, underlay),
      ensurePlaces(network, [remotePlace(network, remote(1))]),
    ]);
  });
  const told = (what: string): Promise<boolean> =>
    until(what, 2000, () => changes.some((change) => change.what === "namespace" && change.name === namespace));

  it("tells that an entry was poisoned, a link deleted, the file removed, and each can be mended", async () => {
    const before = entries();
    for (const poison of [
      () => bridge(`fdb replace ${remote(1).mac} dev ${vxlan} dst 9.9.9.9 self permanent`),
      () => inside(`link del ${vxlan}`),
      () => ip(`netns del ${namespace}`),
    ]) {
      changes = [];
      poison();
      await told("a change in the namespace");
      await kernel.apply(planOverlay(network, underlay));
      await kernel.repairEntries(namespace, true);
      expect(entries()).to.deep.equal(before);
    }
  });

  it("shows the namespace with its ports, whether it is pinned, and none that is gone", async () => {
    const flags = { learning: false, suppress: true, flood: true };
    const observed = await kernel.observeNamespace(namespace);
    expect(observed?.isPinned).to.equal(true);
    expect(observed?.links.find(({ name }) => name === vxlan)).to.deep.include({ flags, mtuBytes: 1450, up: true });
    bridge(`link set dev ${vxlan} mcast_flood off`);
    ip(`netns del ${namespace}`);
    const changed = await kernel.observeNamespace(namespace);
    expect(changed?.isPinned).to.equal(false);
    expect(changed?.links.find(({ name }) => name === vxlan)).to.deep.include({ flags: { ...flags, flood: null } });
    expect(await kernel.observeNamespace("tsnet-00000000000")).to.equal(null);
    expect(await kernel.repairEntries("tsnet-00000000000", true)).to.deep.equal([]);
  });
});
