/** What nobody uses any more is found on a real Docker host, and given back; what somebody uses stays. */
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { driver } from "../support/plugin.ts";
import { until } from "../support/poll.ts";

const program = fileURLToPath(new URL("../../src/cli/tsnet", import.meta.url));

/** TSNET_ORPHAN_GRACE, and as much again. */
const graceMs = 1000;
const deadlineMs = 10 * graceMs;

interface Finding {
  readonly kind: string;
  readonly pool: string;
  readonly address: string | null;
  readonly text: string;
  readonly repairable: boolean;
}

describe("addresses that leak", () => {
  const host = useHost();
  before("which Docker's own IPAM has", async function () {
    if (driver === "bridge") this.skip();
    await host().plugin.stop();
    await host().plugin.start({ TSNET_ORPHAN_GRACE: `${graceMs / 1000}s` });
  });

  const tsnet = async (words: string) =>
    JSON.parse(await host().sh(`${program} ipam check ${words} --json || [ $? = 1 ]`));
  const check = async (): Promise<Finding[]> => (await tsnet("")).findings;
  const kinds = async () => (await check()).map(({ kind, pool, address }) => `${kind} ${address ?? pool}`).toSorted();
  const allRepairable = (kind: string) =>
    until(`${kind} can be given back`, deadlineMs, async () =>
      (await check()).some((finding) => finding.kind === kind && finding.repairable),
    );
  const released = async () =>
    ((await tsnet("--repair")).released as Finding[]).map(({ pool, address }) => address ?? pool);
  const create = (name: string, ...args: string[]) =>
    host().docker("network", "create", "--ipam-driver", "tsnet", ...args, name);
  const pool = "tsnet-local/10.91.0.0/24";
  const take = async () =>
    (await host().plugin.call("IpamDriver.RequestAddress", { PoolID: pool, Address: "", Options: {} })).Address;

  it("are none where containers, gateways and auxiliary addresses are what they seem", async () => {
    await create("web", "-d", driver, "--subnet", "10.91.0.0/24", "--aux-address", "printer=10.91.0.9");
    await create("other", "-d", "macvlan", "-o", "parent=eth0", "--subnet", "10.92.0.0/24");
    await Container.run(host(), { network: "web" });
    await Container.run(host(), { network: "web" });
    await host().plugin.restart();
    await until("Docker is asked", deadlineMs, async () => (await kinds()).length === 0);
  });

  it("are none where Docker's own bridge has a pool of any subnet, or of any of a size", async () => {
    await create("any", "-d", "bridge");
    await create("sized", "-d", "bridge", "--subnet", "0.0.0.0/24");
    await create("both", "-d", "bridge", "--ipv6", "--subnet", "::/72");
    expect([...host().records("pool").keys()]).to.have.length(4);
    await until("Docker is asked", deadlineMs, async () => (await kinds()).length === 0);
  });

  it("are given back when no endpoint has them, and nothing of the containers with them", async () => {
    await create("web", "-d", driver, "--subnet", "10.91.0.0/24");
    const one = await Container.run(host(), { network: "web", serve: true });
    const leaked = (await take()).split("/")[0];
    expect(await kinds()).to.deep.equal([`orphan-lease ${leaked}`]);
    await allRepairable("orphan-lease");
    expect(await released()).to.deep.equal([leaked]);
    expect(await kinds()).to.deep.equal([]);
    const two = await Container.run(host(), { network: "web" });
    expect(await two.ipv4("web")).to.equal(leaked);
    expect([...host().records("lease").values()].map(({ address }) => address)).to.have.members([
      "10.91.0.1",
      await one.ipv4("web"),
      leaked,
    ]);
  });

  it("are given back with a pool that neither tsnet nor Docker has a network with", async () => {
    const wish = { AddressSpace: "tsnet-local", Pool: "10.91.0.0/24", SubPool: "", Options: {}, V6: false };
    await host().plugin.call("IpamDriver.RequestPool", wish);
    await take();
    await create("other", "-d", "macvlan", "-o", "parent=eth0", "--subnet", "10.92.0.0/24");
    await until("Docker is asked", deadlineMs, async () => (await kinds()).join() === `orphan-pool ${pool}`);
    await allRepairable("orphan-pool");
    expect(await released()).to.deep.equal([pool]);
    expect([...host().records("pool").keys()]).to.deep.equal(["tsnet-local/10.92.0.0/24"]);
    expect([...host().records("lease").values()].map(({ address }) => address)).to.deep.equal(["10.92.0.1"]);
  });

  it("are given back with a network that Docker has forgotten, and its subnet serves again", async () => {
    const wish = { AddressSpace: "tsnet-local", Pool: "10.91.0.0/24", SubPool: "", Options: {}, V6: false };
    await host().plugin.call("IpamDriver.RequestPool", wish);
    const gateway = await host().plugin.call("IpamDriver.RequestAddress", {
      ...{ PoolID: pool, Address: "" },
      Options: { RequestAddressType: "com.docker.network.gateway" },
    });
    const id = "f".repeat(64);
    await host().plugin.call("NetworkDriver.CreateNetwork", {
      ...{ NetworkID: id, Options: { "com.docker.network.generic": {} }, IPv6Data: [] },
      IPv4Data: [{ AddressSpace: "tsnet-local", Pool: "10.91.0.0/24", Gateway: gateway.Address, AuxAddresses: {} }],
    });
    expect(await kinds()).to.deep.equal([`unknown-network ${pool}`]);
    const refused = await host().dockerError(
      ...["network", "create", "-d", driver, "--ipam-driver", "tsnet", "--subnet", "10.91.0.0/24", "web"],
    );
    expect(refused).to.include("overlaps");
    await allRepairable("unknown-network");
    expect(await released()).to.deep.equal([pool]);
    expect([...host().records("network").keys(), ...host().records("pool").keys()]).to.deep.equal([]);
    await create("web", "-d", driver, "--subnet", "10.91.0.0/24");
    expect(await kinds()).to.deep.equal([]);
  });

  it("are not given back with a pool while Docker cannot be asked", async () => {
    await create("other", "-d", "macvlan", "-o", "parent=eth0", "--subnet", "10.92.0.0/24");
    await host().dockerd.kill(); // not stopped, which ends a managed plugin as well
    await until("Docker is away", deadlineMs, async () => (await kinds()).join().startsWith("unattached-pool"));
    expect(await released()).to.deep.equal([]);
    await host().dockerd.start();
    await until("Docker is back", deadlineMs, async () => (await kinds()).length === 0);
  });
});
