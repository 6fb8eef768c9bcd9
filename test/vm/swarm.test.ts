/** What services of a swarm have of kernels with IPVS and ipvlan: Docker's ingress network, and networks of each node's ipvlan. */
import { expect } from "chai";
import { onParent } from "../support/lan.ts";
import { until } from "../support/poll.ts";
import { ask, everything, reached } from "../support/probe.ts";
import { globalDriver } from "../support/swarm-lab.ts";
import { addressesOf, appears } from "../support/swarm-lab-names.ts";
import { askOften, failures } from "../support/swarm-lab-requests.ts";
import { useSwarm } from "../support/swarm-lab-suite.ts";

const settleMs = 20_000;

/** A new namespace has this from the machine's first, where a real host's Docker has switched it on, and that of hosts of tests has not. */
const forwardIngress = "nsenter --net=/run/docker/netns/ingress_sbox sysctl -qw net.ipv4.ip_forward=1";

describe("a swarm", () => {
  const lab = useSwarm({ hosts: 2 });

  it("publishes ports on each node by Docker's ingress network, of services that are on a network of tsnet's", async () => {
    await lab().network("mesh");
    const service = await lab().service("web", "--network", "mesh", "--replicas", "1", "--publish", "8080:80");
    const [task] = await service.serving(1);
    if (task === undefined) throw new Error("there is no task");
    const { client: world } = lab().outside;
    await lab().each((host) => host.sh(forwardIngress));
    for (const { number, ipv4 } of lab().hosts)
      await until(`host ${number} answers at 8080`, settleMs, async () => {
        return (await ask(world, "tcp", ipv4, 8080)) !== undefined;
      });
    const asker = await lab().service("asker", "--network", "mesh", "--mode", "global", "--", "idle");
    const vip = await service.vip("mesh");
    for (const from of await asker.running(2)) {
      await appears(from, "web", [vip]);
      await until("its virtual IP answers", settleMs, async () => {
        return failures(await askOften(from, vip, 7, 10)).length === 0;
      });
      expect(await ask(from, "tcp", vip)).to.equal(await from.ipv4("mesh"));
    }
  });

  it("has networks of ipvlan, with options of each node", async () => {
    await lab().each(async (host) => {
      await host.plugin.stop();
      await host.plugin.start({ TSNET_SCOPE: "local" });
      const mode = ["-o", "mode=ipvlan", ...onParent("eth0")];
      const addresses = ["--subnet", "192.168.77.0/24", "--gateway", "192.168.77.254"];
      const range = ["--ip-range", `192.168.77.${64 * host.number}/26`];
      await host.docker("network", "create", "--config-only", ...mode, ...addresses, ...range, "lan-config");
    });
    const words = ["--scope", "swarm", "--config-from", "lan-config", "--attachable"];
    await lab().docker("network", "create", ...globalDriver, ...words, "lan");
    const service = await lab().service("web", "--network", "lan", "--mode", "global");
    const tasks = await service.serving(2);
    const addresses = await addressesOf(tasks, "lan");
    for (const task of tasks) {
      await appears(task, "web", addresses);
      for (const address of addresses) expect(await reached(task, address)).to.deep.equal(everything);
    }
  });
});
