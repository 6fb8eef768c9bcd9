/** One network on three hosts: who reaches whom, and the world outside. */
import { expect } from "chai";
import { Container } from "../support/container.ts";
import { type Lab, overlay } from "../support/lab.ts";
import { Capture } from "../support/lab-capture.ts";
import { useLab } from "../support/lab-suite.ts";
import { client } from "../support/outside.ts";
import { until } from "../support/poll.ts";
import { ask, echoes, everything, ping, reachable, reached } from "../support/probe.ts";

/** What an endpoint that moves may be away for, after it is there. */
const moveMs = 1_000;

/** Who has asked for an address that nobody had asks again each second, and for 3 s: arp(7), mcast_solicit and retrans_time_ms. */
const askedAgainMs = 5_000;

/** Waits until an address answers that was asked for before it was there. */
const appears = (from: Container, address: string): Promise<boolean> =>
  until(`${address} answers`, askedAgainMs, () => echoes(from, address));

for (const plane of ["etcd", "static"] as const) {
  describe(`overlay network on three hosts, ${plane === "etcd" ? "etcd" : "TSNET_PEERS"}`, () => {
    // with etcd, host 3 is behind a router
    const lab = useLab({ plane, third: plane === "etcd" ? "far" : "near" });

    it("lets containers reach each other by tcp, udp and icmp, in both families", async () => {
      await lab().network("mesh");
      const alone = await lab().run(1, { network: "mesh" });
      expect(await reachable(alone, "10.5.0.20")).to.deep.equal([]);
      await lab().run(2, { network: "mesh", serve: true }, "--ip", "10.5.0.20", "--ip6", "fd00:5::20");
      await lab().run(3, { network: "mesh", serve: true }, "--ip", "10.5.0.30", "--ip6", "fd00:5::30");
      await appears(alone, "10.5.0.20");
      for (const address of ["10.5.0.20", "fd00:5::20", "10.5.0.30", "fd00:5::30"]) {
        expect(await reached(alone, address), address).to.deep.equal(everything);
      }
    });

    it("is one network with several subnets", async () => {
      for (const host of lab().hosts) {
        const subnets = ["--subnet", "10.5.0.0/24", "--subnet", "10.6.0.0/24"];
        await host.docker("network", "create", ...overlay, ...subnets, "mesh");
      }
      const one = await lab().run(1, { network: "mesh", serve: true }, "--ip", "10.5.0.10");
      expect(await reachable(one, "10.6.0.30")).to.deep.equal([]);
      const other = await lab().run(3, { network: "mesh", serve: true }, "--ip", "10.6.0.30");
      await appears(one, "10.6.0.30");
      expect(await ask(one, "tcp", "10.6.0.30")).to.equal("10.5.0.10");
      expect(await reached(one, "10.6.0.30")).to.deep.equal(everything);
      expect(await reached(other, "10.5.0.10")).to.deep.equal(everything);
    });

    it("has no way out with --internal", async () => {
      const open = await firstOf(lab(), "mesh");
      await ping(open.from, client.ipv4);
      await Promise.all([open.from.remove(), open.to.remove()]);
      await Promise.all(lab().hosts.map((host) => host.docker("network", "rm", "mesh")));
      const { from } = await firstOf(lab(), "closed", "--internal");
      for (const address of ["10.5.0.20", "fd00:5::20"]) {
        expect(await reached(from, address)).to.deep.equal(everything);
      }
      for (const address of [client.ipv4, client.ipv6, lab().host(1).ipv4, lab().host(2).ipv4]) {
        expect(await echoes(from, address), address).to.equal(false);
      }
    });

    it("publishes ports on the host that the container is on", async () => {
      await lab().network("mesh");
      const [one, two] = [lab().host(1), lab().host(2)];
      const server = await Container.run(two, { network: "mesh", serve: true }, "-p", "8080:80", "-p", "8080:80/udp");
      const other = await Container.run(one, { network: "mesh" });
      const { client: world } = lab().outside;
      for (const protocol of ["tcp", "udp"] as const) {
        expect(await ask(world, protocol, two.ipv4, 8080)).to.equal(client.ipv4);
        expect(await ask(world, protocol, two.ipv6, 8080)).to.equal(client.ipv6);
        // it leaves its host as that host's
        expect(await ask(other, protocol, two.ipv4, 8080)).to.equal(one.ipv4);
        expect(await ask(server, protocol, two.ipv4, 8080)).to.match(/^10\.5\.0\./);
      }
      expect(await reachable(world, one.ipv4, 8080)).to.deep.equal(["icmp"]);
    });

    it("leads out as the container's own host", async () => {
      await lab().network("mesh");
      for (const [index, container] of (await lab().servers("mesh")).entries()) {
        const host = lab().hosts[index];
        expect(await ask(container, "tcp", client.ipv4)).to.equal(host?.ipv4);
        expect(await ask(container, "udp", client.ipv6)).to.equal(host?.ipv6);
      }
    });

    it("takes containers that are connected, and lets go those that are disconnected", async () => {
      await lab().network("mesh");
      const server = await lab().run(2, { network: "bridge", serve: true });
      const other = await lab().run(1, { network: "mesh" });
      expect(await reachable(other, "10.5.0.20")).to.deep.equal([]);
      await server.host.docker("network", "connect", "--ip", "10.5.0.20", "mesh", server.id);
      await appears(other, "10.5.0.20");
      expect(await reached(other, "10.5.0.20")).to.deep.equal(everything);
      await server.host.docker("network", "disconnect", "mesh", server.id);
      expect(await reachable(other, "10.5.0.20")).to.deep.equal([]);
      await server.host.docker("network", "connect", "--ip", "10.5.0.21", "mesh", server.id);
      expect(await reached(other, "10.5.0.21")).to.deep.equal(everything);
    });

    it("follows a container that moves to another host with its addresses", async () => {
      await lab().network("mesh");
      await follows(lab(), "10.5.0.20", "fd00:5::20");
    });

    it("follows one of IPv4 alone, which says nothing by itself", async () => {
      for (const host of lab().hosts) {
        const subnet = [
          "--subnet",
          "10.5.0.0/24",
          "--gateway",
          "10.5.0.1",
          "--ip-range",
          `10.5.0.${64 * host.number}/26`,
        ];
        await host.docker("network", "create", ...overlay, ...subnet, "mesh");
      }
      await follows(lab(), "10.5.0.20");
    });
  });
}

/** A network with a container on host 1, and a server on host 2. */
async function firstOf(lab: Lab, network: string, ...args: string[]): Promise<{ from: Container; to: Container }> {
  await lab.network(network, ...args);
  const from = await lab.run(1, { network });
  const addresses = ["--ip", "10.5.0.20", "--ip6", "fd00:5::20"];
  return { from, to: await lab.run(2, { network, serve: true }, ...addresses) };
}

/** Moves a container from host 1 to host 2, under the eyes of one on host 3. */
async function follows(lab: Lab, ...addresses: readonly [string, ...string[]]): Promise<void> {
  const [ipv4] = addresses;
  const args = addresses.flatMap((address) => [address.includes(":") ? "--ip6" : "--ip", address]);
  const asker = await lab.run(3, { network: "mesh" });
  await lab.run(1, { network: "mesh", serve: true }); // that host keeps the network
  const before = await lab.run(1, { network: "mesh", serve: true }, ...args);
  for (const address of addresses) expect(await reached(asker, address)).to.deep.equal(everything);
  await before.remove();
  expect(await echoes(asker, ipv4)).to.equal(false);
  const after = await lab.run(2, { network: "mesh" }, ...args);
  const pings = addresses.map((address) => `busybox ping -c 1 -W 1 ${address}`).join(" && ");
  await until("the container is reached where it is now", moveMs, async () => (await asker.exec(pings)).code === 0);
  await using old = await Capture.start(before.host, "eth0", "udp port 4789 or icmp");
  await using now = await Capture.start(after.host, "eth0", "udp port 4789 or icmp");
  for (const _ of [1, 2, 3]) await ping(asker, ipv4);
  // hosts ask each other as well, whether there is a short way
  const question = `${await asker.ipv4("mesh")} > ${ipv4}: ICMP echo request`;
  await until("the new place is asked", moveMs, () => now.text.includes(question));
  expect(old.text).not.to.include(question);
}
