/** What an earlier process has left of the short way, where the control plane has told all that it knows, and one host is not heard of. */
import { expect } from "chai";
import { Direct } from "../../../src/driver/overlay/direct.ts";
import { KernelClient } from "../../../src/kernel/kernel-client.ts";
import { namespaceName } from "../../../src/net/names.ts";
import { localElements, planDirectEndpoint, type Way } from "../../../src/plan/direct.ts";
import { compareDirect, planDirectChange } from "../../../src/plan/direct-change.ts";
import { planOverlay, planOverlayRemoval } from "../../../src/plan/overlay.ts";
import type { PlacedEndpoint } from "../../../src/plan/overlay-places.ts";
import { makeNeighbor, sh } from "../../support/direct-neighbor.ts";
import { expectNoLeftovers, ip, ipJson } from "../../support/netns.ts";
import { until } from "../../support/poll.ts";
import { endpointOf, idOf, overlayOf } from "../../support/values.ts";

const mark = 0x0100_0000;
const table = 7631726;
const soonMs = 2_000;
const lost = "192.168.77.9";
const neighbor = "192.168.77.2";
const local = "192.168.77.1";
const network = overlayOf({ "tsnet.vni": "4242", "tsnet.datapath": "direct" }, { id: idOf("d2") });
const endpoint = endpointOf({ network: network.id, mac: "02:42:0a:05:00:0a", addresses: ["10.5.0.10/24"] });
const namespace = namespaceName(network.id);
const macOf = (n: number): string => `02:42:0a:05:00:${n.toString(16).padStart(2, "0")}`;
const remoteOf = (n: number, vtep: string): PlacedEndpoint => ({ mac: macOf(n), ips: [`10.5.0.${n}`], vtep });

describe("the short way that an earlier process has left to a host that is not heard of", () => {
  let kernel: KernelClient;
  let direct: Direct;
  let remotes: PlacedEndpoint[] = [];

  expectNoLeftovers(async () => {
    await direct.stop();
    await kernel.apply(planOverlayRemoval(network));
    await kernel.repairDirect([], true);
    await kernel.close();
    ip("netns delete peer");
    await until("links are gone", soonMs, () => !ip("link show").includes("up0"));
  });
  beforeEach(async () => {
    makeNeighbor();
    kernel = await KernelClient.open({ mark });
    await kernel.apply(planOverlay(network, { local, port: 4789, mtuBytes: 1500, knowsPlaces: true }));
    const way: Way = { isDirect: true, link: "up0", via4: lost, via6: null };
    const left = [10, 20, 30].map((n) => remoteOf(n, lost));
    const endpoints = new Map(left.map((one) => [one.mac, planDirectEndpoint(one, way, () => true)]));
    const before = { local: localElements([endpointOf({ addresses: ["10.5.0.11/24"] })]), endpoints };
    await kernel.apply(planDirectChange(network, compareDirect({ local: [], endpoints: new Map() }, before)));
    await kernel.close();
    kernel = await KernelClient.open({ mark });
    const plane = {
      ...{ knowsPlaces: true, isTold: () => true, isComplete: () => false },
      remotes: () => remotes,
      remote: (_: number, mac: string) => remotes.find((one) => one.mac === mac),
      hostsOf: () => [...new Set(remotes.flatMap(({ vtep }) => vtep ?? []))],
    };
    const say = (): void => {};
    const log = { debug: say, info: say, warn: say, error: say };
    const firewall = { setDirect: async () => {} };
    direct = new Direct({ kernel, plane, firewall, log, recorded: () => [network] }, () => [
      { network, local, endpoints: [endpoint] },
    ]);
  });

  const turnedOver = (n: number): boolean => sh(namespace, "nft list ruleset").includes(`${macOf(n)} . 10.5.0.${n}`);
  const routes = (): Record<string, string> =>
    Object.fromEntries(ipJson(`route show table ${table}`).map(({ dst, gateway }) => [dst, gateway]));

  it("is left where nothing is known of an endpoint, and mended where it has moved, or is here now", async () => {
    expect([10, 20, 30].map(turnedOver)).to.deep.equal([true, true, true]);
    expect(routes()).to.deep.equal({ "10.5.0.10": lost, "10.5.0.20": lost, "10.5.0.30": lost });
    remotes = [remoteOf(20, neighbor)];
    await direct.repair();
    expect([10, 20, 30].map(turnedOver)).to.deep.equal([false, true, false]);
    expect(routes()).to.deep.equal({ "10.5.0.20": neighbor, "10.5.0.30": lost });
    expect(ip("rule")).to.include(`iif lo lookup ${table}`);
  });

  it("is not taken where nobody is heard of, but for the route by which it comes", async () => {
    remotes = [];
    await direct.repair();
    expect(sh(namespace, "nft list ruleset")).to.equal("");
    expect(routes()).to.deep.equal({ "10.5.0.20": lost, "10.5.0.30": lost });
  });
});
