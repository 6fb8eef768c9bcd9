/** What hosts of an overlay network do not send to each other, where etcd knows who is where. */
import { expect } from "chai";
import type { Container } from "../support/container.ts";
import { askedFor, destination, type Tunnelled, tunnelled } from "../support/lab-capture.ts";
import { allAgree, vniOf } from "../support/lab-places.ts";
import { useLab } from "../support/lab-suite.ts";
import { client } from "../support/outside.ts";
import { until } from "../support/poll.ts";
import { echoes, everything, ping, reached } from "../support/probe.ts";

/** The check for duplicates takes a second or two. */
const calmMs = 10_000;

const gateways = ["10.5.0.1", "fd00:5::1"];

/** Addresses that nobody has. */
const nobody = ["10.5.0.60", "fd00:5::60"];

const tries = async (from: Container, addresses: readonly string[]): Promise<void> => {
  for (const address of addresses) await echoes(from, address);
};

/** Who it is that has an address is then asked anew. */
async function forgetNeighbors(containers: readonly Container[]): Promise<void> {
  for (const container of containers) {
    await container.exec("ip neigh flush all");
    await container.host.sh("for link in $(ls /sys/class/net | grep ^tsg-); do ip neigh flush dev $link; done");
  }
}

/** A new interface asks whether anybody has its link-local address, and tells routers of itself: RFC 4862, 5.4, and RFC 3810. */
async function calmDown(containers: readonly Container[]): Promise<void> {
  for (const container of containers) {
    await until("its addresses are its own", calmMs, async () => {
      const { stdout } = await container.exec("ip -6 -o address show dev eth0");
      return stdout.includes("scope link") && !stdout.includes("tentative");
    });
  }
}

const questions = (frames: readonly Tunnelled[]): string[] => frames.flatMap((frame) => askedFor(frame) ?? []);
const receivers = (frames: readonly Tunnelled[]): string[] => [...new Set(frames.map(({ to }) => to))].sort();

describe("what an overlay network sends between hosts", () => {
  const lab = useLab({ plane: "etcd" });

  /** Of the network, through the tunnel: hosts also look at each other, by a VNI of their own. */
  const sentBy = async (work: () => Promise<unknown>): Promise<Tunnelled[]> => {
    const vni = await vniOf(lab().host(1), "mesh");
    return (await tunnelled(lab(), work)).filter((frame) => frame.vni === vni);
  };
  const throughTunnel = ["-o", "tsnet.datapath=vxlan"];

  it("asks for no endpoint that is known, and for no gateway", async () => {
    await lab().network("mesh", ...throughTunnel);
    const servers = await lab().servers("mesh");
    await allAgree(lab(), "mesh");
    await calmDown(servers);
    const [first] = servers as [Container];
    const unknown = await sentBy(() => tries(first, nobody));
    expect(new Set(questions(unknown))).to.deep.equal(new Set(nobody));

    const addresses = (
      await Promise.all(servers.map((one) => Promise.all([one.ipv4("mesh"), one.ipv6("mesh")])))
    ).flat();
    const known = await sentBy(async () => {
      await forgetNeighbors(servers);
      for (const from of servers) {
        for (const address of addresses) expect(await reached(from, address), address).to.deep.equal(everything);
        for (const address of [...gateways, client.ipv4, client.ipv6]) await ping(from, address);
      }
    });
    expect(questions(known)).to.deep.equal([]);
    expect(known.length).to.be.greaterThan(0);
  });

  it("goes to no host without an endpoint of the network", async () => {
    await lab().network("mesh", ...throughTunnel);
    const [first, , third] = (await lab().servers("mesh")) as [Container, Container, Container];
    await allAgree(lab(), "mesh");
    const all = await sentBy(() => tries(first, nobody));
    const asked = all.filter((frame) => nobody.includes(askedFor(frame) ?? ""));
    expect(receivers(asked)).to.deep.equal([lab().host(2).ipv4, lab().host(3).ipv4]);
    await third.remove();
    await allAgree(lab(), "mesh");
    const some = await sentBy(() => tries(first, nobody));
    expect(receivers(some)).to.include(lab().host(2).ipv4).and.not.to.include(lab().host(3).ipv4);
  });

  it("is known unicast only with tsnet.flood=false", async () => {
    const noise = async (from: Container): Promise<void> => {
      await tries(from, nobody);
      await from.exec("echo x | socat - UDP-DATAGRAM:10.5.0.255:9,broadcast");
      await from.exec("echo x | socat - UDP-DATAGRAM:224.0.0.251:5353");
      await from.exec("echo x | socat - UDP6-DATAGRAM:[ff02::fb%eth0]:5353");
    };
    await lab().network("mesh", ...throughTunnel);
    const [loud] = (await lab().servers("mesh")) as [Container];
    await allAgree(lab(), "mesh");
    const flooded = new Set((await sentBy(() => noise(loud))).map(destination));
    expect(flooded).to.include.all.keys("ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:fb", "33:33:00:00:00:fb");
    await lab().clear();

    await lab().network("mesh", ...throughTunnel, "-o", "tsnet.flood=false");
    const servers = await lab().servers("mesh");
    await allAgree(lab(), "mesh");
    const [quiet] = servers as [Container];
    const macs = await Promise.all(servers.map(async (one) => (await one.endpoint("mesh")).MacAddress as string));
    const sent = await sentBy(async () => {
      await noise(quiet);
      await forgetNeighbors(servers);
      for (const other of servers.slice(1)) {
        expect(await reached(quiet, await other.ipv4("mesh"))).to.deep.equal(everything);
        expect(await reached(quiet, await other.ipv6("mesh"))).to.deep.equal(everything);
      }
    });
    expect(macs).to.include.members([...new Set(sent.map(destination))]);
    expect(sent.length).to.be.greaterThan(0);
  });
});
