/** TSNET_DOCKER_SOCKET=none in a swarm: what works and what does not is in docs/swarm.md. */
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import type { DoctorAnswer } from "../../src/driver/overlay/doctor-answers.ts";
import { Container } from "../support/container.ts";
import type { Host } from "../support/host.ts";
import { until } from "../support/poll.ts";
import { everything, reached } from "../support/probe.ts";
import { addressesOf, appears } from "../support/swarm-lab-names.ts";
import { askOften } from "../support/swarm-lab-requests.ts";
import { useSwarm } from "../support/swarm-lab-suite.ts";

const program = fileURLToPath(new URL("../../src/cli/tsnet", import.meta.url));

/** Probes of a network that has just begun fail. */
const settleMs = 20_000;
/** A node is given up, and is back. */
const backMs = 90_000;

describe("a swarm whose nodes' Docker is not asked", () => {
  const lab = useSwarm({ settings: { TSNET_DOCKER_SOCKET: "none" } });

  const doctor = async (host: Host): Promise<DoctorAnswer> =>
    JSON.parse(await host.sh(`${program} doctor --json || [ $? = 1 ]`));

  /** Waits until the way to each other node is whole. @returns what is said of them */
  const knowsOthers = (host: Host): Promise<DoctorAnswer> =>
    until(`host ${host.number} knows the others`, settleMs, async () => {
      const answer = await doctor(host);
      const fine = answer.peers.filter(({ state }) => state === "ok").map(({ address }) => address);
      const others = lab().hosts.filter((other) => other !== host);
      return fine.sort().join() === others.map(({ ipv4 }) => ipv4).join() && answer;
    });

  const expectReached = async (from: readonly Container[], addresses: readonly string[]): Promise<void> => {
    for (const one of from) {
      for (const address of addresses) expect(await reached(one, address), address).to.deep.equal(everything);
    }
  };

  it("has tasks that reach each other by their names, and virtual IPs that do not answer, as is said", async () => {
    await lab().network("mesh");
    const service = await lab().service("web", "--network", "mesh", "--mode", "global");
    const flat = await lab().service("flat", "--network", "mesh", "--mode", "global", "--endpoint-mode", "dnsrr");
    const [some, others] = [await service.serving(3), await flat.serving(3)];
    const [theirs, addresses] = [await addressesOf(some, "mesh"), await addressesOf(others, "mesh")];
    const vip = await service.vip("mesh");
    for (const from of [...some, ...others]) {
      await appears(from, "tasks.web", theirs);
      await appears(from, "flat", addresses);
      await appears(from, "web", [vip]);
    }
    await expectReached([...some, ...others], [...theirs, ...addresses]);
    const asked = await Promise.all(some.map((from) => askOften(from, vip, 7, 3)));
    // nobody says where the virtual IP is, which the kernel finds out as soon as the client gives up
    expect(asked.flat()).to.have.length(9);
    for (const { error } of asked.flat()) expect(error).to.be.oneOf(["timeout", "EHOSTUNREACH"]);
    for (const host of lab().hosts) {
      const { findings } = await knowsOthers(host);
      expect(findings.map(({ kind }) => kind)).to.deep.equal(["docker-socket"]);
      expect(findings[0]?.text).to.include("virtual IPs do not answer here");
      const lost = host.plugin.logged(40).filter(({ msg }) => msg.startsWith("TSNET_DOCKER_SOCKET=none"));
      expect(lost.map((line) => line["lost"])).to.have.length(1);
      expect(lost[0]?.["lost"]).to.include("services have no virtual IPs");
    }
  });

  it("has nodes that know each other after a plugin was killed, and after a node was rebooted", async () => {
    await lab().network("mesh");
    const service = await lab().service("web", "--network", "mesh", "--mode", "global", "--endpoint-mode", "dnsrr");
    const before = await addressesOf(await service.serving(3), "mesh");
    const [, second, third] = lab().hosts as [Host, Host, Host];
    const { pid } = second.plugin;
    await second.plugin.kill();
    await until("Docker has started the plugin again", settleMs, () => second.plugin.pid !== pid);
    await knowsOthers(second);
    const late = await Container.run(second, { network: "mesh", serve: true });
    await expectReached([late], before);
    await third.reboot();
    await lab().ready(2);
    await third.dockerd.start();
    await lab().ready();
    const tasks = await service.serving(3, backMs);
    const addresses = await addressesOf(tasks, "mesh");
    await expectReached([...tasks, late], [...addresses, await late.ipv4("mesh")]);
    for (const host of lab().hosts) await knowsOthers(host);
  });
});
