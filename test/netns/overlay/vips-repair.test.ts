/** Virtual IPs that somebody breaks, and those of a plugin that is started again: with real packets. */
import { expect } from "chai";
import { absentMs } from "../../../src/driver/swarm/absent-services.ts";
import { bridgeName, hostVethName, namespaceName } from "../../../src/net/names.ts";
import { planOverlay } from "../../../src/plan/overlay.ts";
import { ensurePlaces, remotePlace } from "../../../src/plan/overlay-places.ts";
import { run } from "../../support/commands.ts";
import { expectNoLeftovers } from "../../support/netns.ts";
import { until } from "../../support/poll.ts";
import { idOf } from "../../support/values.ts";
import { type LabContainer, VipLab, vipNetwork } from "../../support/vip-lab.ts";
import { askMany, Talkers } from "../../support/vip-traffic.ts";

const vip = "10.5.0.200";
const web = (...tasks: number[]) => ({ name: "web", vip, tasks });
const bridge = bridgeName(vipNetwork.id);

describe("virtual IPs, broken and mended", () => {
  let lab: VipLab;
  let client: LabContainer;
  let task: LabContainer;
  expectNoLeftovers(() => lab[Symbol.asyncDispose]());
  beforeEach(async () => {
    lab = await VipLab.start(2);
    client = await lab.add(1, 2, false);
    task = await lab.add(1, 11);
    await lab.add(2, 12);
    await lab.serve(web(11, 12));
  });
  const inside = async (command: string): Promise<string> =>
    run(await lab.host(1).namespace.enter(["sh", "-c", command]));
  /** All that there is for virtual IPs. */
  const state = (): Promise<string> =>
    inside(
      "nft list ruleset; ip -4 -br addr; ip neigh; ip -4 route; ip -d link show type bridge | grep -o 'nf_call_iptables .'; bridge -d link | grep -o 'hairpin o[nf]*'; sysctl -a 2>/dev/null | grep -E 'ip_forward |send_redirects|rp_filter|arp_ignore|icmp_ratelimit' | grep -v arp_filter",
    );
  const works = async (): Promise<void> => {
    for (const from of [client, task]) {
      const { by, failures } = await askMany(from, "tcp", vip, { count: 40 });
      expect({ tasks: Object.keys(by).length, failures }).to.deep.equal({ tasks: 2, failures: {} });
    }
  };

  const port = hostVethName(idOf("e11e"));
  /** What the kernel tells of, and what it does not. */
  const damages: readonly (readonly [what: string, command: string, isTold: boolean, reason: RegExp])[] = [
    ["the table is flushed", "nft flush ruleset", true, /table ip tsnet-vip is gone/],
    ["slots are flushed", "nft flush map ip tsnet-vip slots", true, /table ip tsnet-vip was changed/],
    ["a rule is added", "nft insert rule ip tsnet-vip prerouting drop", true, /table ip tsnet-vip was changed/],
    ["the address is gone", `ip addr del ${vip}/32 dev ${bridge}`, true, /address 10.5.0.200 is gone/],
    ["the route is gone", `ip route del 10.5.0.0/24`, true, /route to 10.5.0.0\/24 is gone/],
    ["the bridge does not filter", `ip link set ${bridge} type bridge nf_call_iptables 0`, true, /do not pass tables/],
    ["a port sends nothing back", `bridge link set dev ${port} hairpin off`, true, /sends nothing back/],
    ["nothing is forwarded", "sysctl -w net.ipv4.ip_forward=0", true, /ip_forward is 0/],
    ["the reverse path is checked", `sysctl -w net.ipv4.conf.${bridge}.rp_filter=1`, true, /rp_filter is 1/],
    ["ARP is not answered", `sysctl -w net.ipv4.conf.${bridge}.arp_ignore=8`, false, /arp_ignore is 8/],
    ["redirects are sent", "sysctl -w net.ipv4.conf.all.send_redirects=1", false, /send_redirects is 1/],
    ["an address is added", `ip addr add 10.5.0.201/32 dev ${bridge}`, false, /address 10.5.0.201 is nobody's/],
  ];
  for (const [what, command, isTold, reason] of damages) {
    it(`are mended when ${what}${isTold ? ", at once" : ""}`, async () => {
      const host = lab.host(1);
      const before = await state();
      const reasons: string[] = [];
      const repair = async (): Promise<void> => void reasons.push(...(await host.services.repair()));
      if (isTold) host.kernel.watch(({ what }) => what === "namespace" && void repair());
      await inside(command);
      if (isTold) await until("it is mended", 1000, () => reasons.length > 0);
      else await repair();
      expect(reasons.join()).to.match(reason);
      await host.services.idle();
      expect(await state()).to.equal(before);
      expect(await host.services.repair()).to.deep.equal([]);
      await works();
    });
  }

  it("are not told of by our own work", async () => {
    const told: string[] = [];
    lab.host(1).kernel.watch(({ what }) => told.push(what));
    for (const tasks of [[11], [12], [], [11, 12]])
      await lab.serve(web(...tasks), { ...web(12), name: "b", vip: "10.5.0.201" });
    await lab.serve(web(11, 12));
    await inside("nft flush map ip tsnet-vip slots");
    await until("that is told", 2000, () => told.length > 0);
    expect(told).to.deep.equal(["namespace"]);
  });

  it("go on while the plugin is started again: no connection breaks, none is refused, and the table is not made anew", async () => {
    const handles = (): Promise<string> => inside("nft -a list table ip tsnet-vip; ip -4 -br addr; ip -4 route");
    const before = await handles();
    await using talkers = await Talkers.start(client, vip, 8);
    let isOver = false;
    const asking = (async () => {
      const failures: object[] = [];
      while (!isOver) failures.push((await askMany(client, "tcp", vip, { count: 2000, seconds: 1 })).failures);
      return failures;
    })();
    for (let n = 0; n < 3; n++) await lab.host(1).restart();
    isOver = true;
    expect((await asking).every((failures) => Object.keys(failures).length === 0)).to.equal(true);
    expect((await talkers.end()).broken).to.equal(0);
    expect(await handles()).to.equal(before);
  });

  it("stay as they are until something is told of the network, and then lose what is there no more for long", async () => {
    const before = await state();
    const gossip = lab.gossip;
    lab.gossip = undefined;
    await lab.host(1).restart();
    expect(await lab.host(1).services.repair()).to.deep.equal([]);
    expect(await state()).to.equal(before);
    await works();
    lab.gossip = gossip === undefined ? undefined : { ...gossip, services: [] };
    await lab.update();
    lab.nowMs += absentMs;
    await lab.update();
    expect(await inside(`nft list ruleset; ip -4 route; ip -4 -br addr show ${bridge}`)).not.to.match(/10\.5\.0\./);
  });

  it("are there again in a namespace that was made anew", async () => {
    const host = lab.host(1);
    for (const number of [2, 11]) await lab.remove(number);
    const namespace = namespaceName(vipNetwork.id);
    await host.kernel.apply([{ op: "remove-namespace", name: namespace }, ...planOverlay(vipNetwork, host.underlay)]);
    await host.kernel.apply([
      ensurePlaces(
        vipNetwork,
        lab.remotesOf(host).map((one) => remotePlace(vipNetwork, one)),
      ),
    ]);
    host.services.renew(vipNetwork.id);
    await host.services.idle();
    client = await lab.add(1, 3, false);
    task = await lab.add(1, 13);
    await lab.serve(web(12, 13));
    await works();
  });

  it("leave neighbors as they are when the last of them goes", async () => {
    const neighbors = (): Promise<string> => inside("ip neigh | sort");
    const before = await neighbors();
    await lab.serve();
    expect(await neighbors()).to.equal(before);
    expect(before).to.include("10.5.0.12 ");
    expect((await askMany(client, "tcp", "10.5.0.12", { count: 1 })).failures).to.deep.equal({});
  });
});
