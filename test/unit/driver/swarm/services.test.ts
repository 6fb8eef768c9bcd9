import { expect } from "chai";
import { readServices } from "../../../../src/driver/swarm/service-tasks.ts";
import { hostVethName } from "../../../../src/net/names.ts";
import { planInnerVeth, planOverlay } from "../../../../src/plan/overlay.ts";
import {
  ServiceHost as Host,
  namespace,
  network,
  own,
  remote,
  service,
  underlay,
  vip,
} from "../../../support/service-host.ts";
import { endpointOf, idOf } from "../../../support/values.ts";

describe("virtual IPs of services", () => {
  let host: Host;
  beforeEach(async () => {
    host = await Host.start();
  });
  afterEach(() => host.services.stop());

  it("have the slots of tasks that can be reached, and do not drain", async () => {
    host.draining.add("web 10.5.0.11");
    await host.tell(service("web", vip, 9, 10, 11, 77), service("dns", null, 12), service("", null, 12));
    expect(host.slots).to.deep.equal(["10.5.0.9", "10.5.0.10"]);
    expect(host.table?.["services"]).to.deep.equal({ [vip]: "goto pick2" });
    expect(host.addresses).to.deep.equal(["192.0.0.8/32", `${vip}/32`]);
    expect(host.world.links.find(hostVethName(own.id), namespace)?.hairpin).to.equal(true);
    const task = (n: number, state: string) => ({ name: `web.${n}`, ip: `10.5.0.${n}`, isHere: n === 9, state });
    expect(host.services.list()).to.deep.equal([
      {
        ...{ network: network.id, service: "web", vip },
        tasks: [task(9, "active"), task(10, "active"), task(11, "draining"), task(77, "unknown")],
      },
      {
        ...{ network: network.id, service: "dns", vip: null },
        tasks: [{ ...task(12, "active"), name: "dns.12" }],
      },
    ]);
  });

  it("change with tasks, of which those that stay keep their slots", async () => {
    await host.tell(service("web", vip, 9, 10, 11, 12));
    await host.tell(service("web", vip, 9, 11, 12));
    expect(host.slots).to.deep.equal(["10.5.0.9", "10.5.0.12", "10.5.0.11"]);
    host.draining.add("web 10.5.0.9");
    await host.update();
    expect(host.slots).to.deep.equal(["10.5.0.11", "10.5.0.12"]);
    await host.tell(service("web", vip));
    expect(host.table).to.deep.equal({ vips: { [vip]: "" } });
  });

  it("lead to tasks that drain where no other is left", async () => {
    for (const n of [9, 10]) host.draining.add(`web 10.5.0.${n}`);
    await host.tell(service("web", vip, 9, 10, 77));
    expect(host.slots).to.deep.equal(["10.5.0.9", "10.5.0.10"]);
    await host.tell(service("web", vip, 9, 10, 11));
    expect(host.slots).to.deep.equal(["10.5.0.11"]);
  });

  describe("that Docker lists no more, as their last task is gone,", () => {
    const refused = { vips: { [vip]: "" } };
    const nothing = [null, ["192.0.0.8/32"]];
    beforeEach(() => host.tell(service("web", vip, 9, 10)));

    it("are refused, for ten minutes from then on, and are served again with their next task", async () => {
      expect(await host.pass(60)).to.deep.equal([]);
      await host.tell();
      expect([host.table, host.addresses]).to.deep.equal([refused, ["192.0.0.8/32", `${vip}/32`]]);
      expect(await host.pass(9)).to.deep.equal([]);
      await host.tell(service("web", vip, 10));
      expect(host.slots).to.deep.equal(["10.5.0.10"]);
      await host.tell();
      expect(await host.pass(9.9)).to.deep.equal([]);
      expect(host.table).to.deep.equal(refused);
      expect(await host.pass(0.1)).to.deep.equal([]);
      expect([host.table, host.addresses]).to.deep.equal(nothing);
    });

    it("lose their UDP flows", async () => {
      host.vips.flows = [{ vip, target: "10.5.0.10" }];
      await host.tell();
      expect(host.vips.flows).to.deep.equal([]);
    });

    const here = endpointOf({
      id: idOf("e2"),
      network: network.id,
      addresses: [`${vip}/24`],
      mac: "02:42:0a:05:00:c8",
    });
    const takers: Record<string, () => unknown> = {
      "another service": () => host.tell(service("b", vip, 11)),
      "a task elsewhere": () => host.tell(service("b", null, 200)),
      "a container here": () => {
        host.endpoints = [own, here];
        return host.update();
      },
      "a container elsewhere": () => {
        host.remotes = [...host.remotes, remote(200)];
        return host.update();
      },
    };
    for (const [who, take] of Object.entries(takers))
      it(`are forgotten when ${who} has the address`, async () => {
        await host.tell();
        await take();
        expect(host.table?.["vips"]).to.deep.equal(who === "another service" ? { [vip]: "" } : undefined);
        Object.assign(host, { endpoints: [own], remotes: [10, 11, 12].map(remote) });
        await host.tell();
        expect([host.table?.["vips"] !== undefined, host.log.lines]).to.deep.equal([who === "another service", []]);
      });

    it("are no address that a service, a container or the gateway has", () => {
      const gossip = { peers: [], services: [service("web", vip, 11), service("dns", null, 12)] };
      const remotes = new Set(["10.5.0.13"]);
      const { isSpare } = readServices({ network, endpoints: [own], remotes, gossip, isDraining: () => false });
      const addresses = [200, 11, 12, 13, 9, 1, 14].map((n) => `10.5.0.${n}`);
      expect(addresses.filter(isSpare)).to.deep.equal(["10.5.0.14"]);
    });

    it("are forgotten when the service has another address, or none", async () => {
      for (const address of ["10.5.0.201", null]) {
        await host.tell(service("web", vip, 9, 10));
        await host.tell();
        expect(host.table).to.deep.equal(refused);
        await host.tell(service("web", address, 10));
        expect(Object.keys(host.table?.["vips"] ?? {})).to.deep.equal(address === null ? [] : [address]);
      }
    });

    it("are refused while an earlier process was told of them, and ten minutes more", async () => {
      await host.restart();
      expect(host.slots).to.deep.equal(["10.5.0.9", "10.5.0.10"]);
      host.vips.flows = [{ vip, target: "10.5.0.10" }];
      host.gossip = { peers: [], services: [] };
      await host.restart();
      expect([host.table, host.addresses]).to.deep.equal([refused, ["192.0.0.8/32", `${vip}/32`]]);
      expect(host.vips.flows).to.deep.equal([]);
      await host.pass(9);
      expect(host.table).to.deep.equal(refused);
      await host.pass(1);
      expect([host.table, host.addresses]).to.deep.equal(nothing);
    });
  });

  it("lose UDP flows to tasks that are gone; those to a task that drains go on", async () => {
    await host.tell(service("web", vip, 10, 11), service("b", "10.5.0.201", 12));
    const flow = (n: number, of = vip) => ({ vip: of, target: `10.5.0.${n}` });
    host.vips.flows = [flow(10), flow(11), flow(12, "10.5.0.201")];
    host.draining.add("web 10.5.0.10");
    await host.update();
    expect(host.vips.flows).to.have.length(3);
    await host.tell(service("web", vip, 11), service("b", "10.5.0.201", 12));
    expect(host.vips.flows).to.deep.equal([flow(11), flow(12, "10.5.0.201")]);
    await host.tell(service("web", vip, 11));
    expect(host.vips.flows).to.deep.equal([flow(11)]);
  });

  it("are said to be left out, once, where an address can be no service's", async () => {
    const bad = [service("a", "10.5.0.9", 10), service("b", "10.9.9.9", 10), service("c", "10.5.0.1", 10)];
    for (let n = 0; n < 3; n++) await host.tell(...bad, service("d", vip, 10), service("e", vip, 11));
    expect(host.log.lines).to.have.length(4);
    expect(host.log.lines.join("\n")).to.match(
      /since a container has it .*"service":"a"(.|\n)*none of the network's subnets(.|\n)*gateway(.|\n)*the service d has it/,
    );
    expect(Object.keys(host.table?.["vips"] ?? {})).to.deep.equal([vip]);
    await host.tell(service("d", vip, 10));
    await host.tell(service("a", "10.5.0.9", 10));
    expect(host.log.lines).to.have.length(5);
  });

  it("of more than 1024 tasks lead to the first 1024, and that is said once", async () => {
    const many = Array.from({ length: 1030 }, (_, n) => `10.5.${1 + (n >> 8)}.${n & 255}`);
    host.remotes = many.map((ip, n) => ({ mac: `m${n}`, ips: [ip], vtep: "192.0.2.2" }));
    const tasks = many.map((ip, n) => ({ name: `web.${n}`, endpoint: `e${n}`, ip }));
    for (let n = 0; n < 2; n++) await host.tell({ name: "web", vip, tasks });
    expect(host.slots).to.have.members(many.slice(0, 1024));
    expect(host.log.lines).to.have.length(1);
  });

  it("stay as an earlier process has left them until all is told", async () => {
    await host.tell(service("web", vip, 9, 10), service("b", "10.5.0.201", 12));
    const before = [host.table, host.addresses];
    const { gossip } = host;
    host.gossip = undefined;
    await host.restart();
    expect(await host.services.repair()).to.deep.equal([]);
    expect([host.table, host.addresses]).to.deep.equal(before);
    Object.assign(host, { gossip, isTold: false, remotes: [] });
    await host.update();
    expect(await host.services.repair()).to.deep.equal([]);
    expect([host.table, host.addresses], "remote tasks are not known yet").to.deep.equal(before);
    host.isTold = true;
    host.remotes = [10, 11, 12].map(remote);
    await host.tell(service("web", vip, 9, 10));
    expect(host.slots).to.deep.equal(["10.5.0.9", "10.5.0.10"]);
    await host.pass(10);
    expect(host.addresses, "b is gone").to.deep.equal(["192.0.0.8/32", `${vip}/32`]);
    // from now on, whoever is not known any more is gone
    Object.assign(host, { isTold: false, remotes: [] });
    await host.update();
    expect(host.slots).to.deep.equal(["10.5.0.9"]);
  });

  it("are mended, and what was wrong is said; what is asked for the first time is not wrong", async () => {
    await host.tell(service("web", vip, 9, 10));
    expect(await host.services.repair()).to.deep.equal([]);
    host.vips.table = { ...host.table, slots: {} };
    host.vips.sysctls.set("net/ipv4/ip_forward", "0");
    Object.assign(host.world.links.find(hostVethName(own.id), namespace) ?? {}, { hairpin: false });
    expect(await host.services.repair(new Set(["tsnet-other"]))).to.deep.equal([]);
    expect(await host.services.repair(new Set([namespace]))).to.deep.equal(
      ["net/ipv4/ip_forward is 0", `port ${hostVethName(own.id)} sends nothing back`].map(
        (reason) => `virtual IPs of network ${network.id}: ${reason}`,
      ),
    );
    expect(host.slots).to.deep.equal(["10.5.0.9", "10.5.0.10"]);
    expect(await host.services.repair()).to.deep.equal([]);
  });

  for (const kind of ["before", "after"] as const) {
    it(`are as they should be with the next comparison when a step of a change has failed, ${kind} its effect`, async () => {
      let isHit = true;
      for (let at = 1; isHit; at++) {
        const one = await Host.start();
        await one.tell(service("web", vip, 9, 10));
        one.vips.flows = [{ vip, target: "10.5.0.10" }];
        void one.faults.arm({ kind, at, errno: "EIO" });
        await one.tell(service("web", "10.5.0.201", 11));
        isHit = one.faults.hit;
        expect(one.log.lines.length).to.equal(isHit ? 1 : 0);
        one.faults.disarm();
        await one.services.repair();
        const { links } = one.world;
        const hairpin = links.find(hostVethName(own.id), namespace)?.hairpin;
        const found = [one.slots, one.vips.flows, one.addresses, hairpin];
        expect(found, `step ${at}`).to.deep.equal([["10.5.0.11"], [], ["192.0.0.8/32", "10.5.0.201/32"], false]);
        await one.services.stop();
      }
    });
  }

  it("are forgotten with their network, and made in its new namespace", async () => {
    await host.tell(service("web", vip, 9, 10));
    host.isActive = false;
    await host.kernel.apply([{ op: "remove-namespace", name: namespace }]);
    host.services.forget(network.id);
    await host.update();
    expect(host.services.list()).to.deep.equal([]);
    await host.kernel.apply([...planOverlay(network, underlay), ...planInnerVeth(network, own, underlay)]);
    host.isActive = true;
    host.services.renew(network.id);
    await host.services.idle();
    expect(host.slots).to.deep.equal(["10.5.0.9", "10.5.0.10"]);
    expect(host.log.lines).to.deep.equal([]);
  });
});
