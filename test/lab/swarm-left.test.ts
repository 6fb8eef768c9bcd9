/** What Docker never tells a node to remove: it does not write a swarm's networks down, and tells an old leader nothing. */
import { expect } from "chai";
import type { Host } from "../support/host.ts";
import { pluginName } from "../support/managed-plugin.ts";
import { patience } from "../support/patience.ts";
import { until } from "../support/poll.ts";
import { leftOf } from "../support/swarm-lab-left.ts";
import { leaderOtherThan } from "../support/swarm-lab-managers.ts";
import { useSwarm } from "../support/swarm-lab-suite.ts";

/** A node's Docker answers within this time after it was started, and is asked three times in 15 s. */
const forgottenMs = 60_000;
/** All is compared each minute, and what is left over has to be so twice. */
const comparedMs = 200_000;

describe("what a node of a swarm has left when it boots after a power cut", () => {
  const lab = useSwarm({ managers: 3, settings: { TSNET_ORPHAN_GRACE: "1s" } });

  const gone = async (host: Host, ms: number, isMeant: (what: string) => boolean): Promise<void> => {
    let left: string[] = [];
    await until("it is gone", ms, async () => {
      left = (await leftOf(host)).filter(isMeant);
      return left.length === 0;
    }).catch((cause: Error) => {
      throw new Error(`left behind: ${left.join(", ")}`, { cause });
    });
  };

  it("is gone, of a network that the swarm still has, and the network comes back with the next task", async () => {
    await lab().network("mesh");
    const [first, third] = [lab().host(1), lab().host(3)];
    await lab().service("other", "--network", "mesh", "--constraint", "node.hostname==host1");
    const service = await lab().service("web", "--network", "mesh", "--constraint", "node.hostname==host3");
    await service.running(1);
    const [id = ""] = [...third.records("network").keys()];
    const answer = async (host: Host) => host.dockerd.api("GET", `/networks/${id}`);
    await third.reboot();
    await lab().docker("service", "rm", "web");
    await third.dockerd.start();
    await lab().ready();
    const begin = performance.now();
    console.log(`      a manager without the network says ${JSON.stringify(await answer(third))}`);
    expect([...third.records("network").keys()]).to.deep.equal([id]);
    await gone(third, forgottenMs, () => true);
    console.log(`      gone ${Math.round(performance.now() - begin)} ms after the node was ready`);
    expect([...first.records("network").keys()]).to.deep.equal([id]);
    const again = await lab().service("again", "--network", "mesh", "--constraint", "node.hostname==host3");
    await again.running(1);
    expect([...third.records("network").keys()]).to.deep.equal([id]);
  }).timeout(300_000 * patience);

  it("is gone, of the addresses that it gave out as a leader", async () => {
    await lab().network("mesh", "--ipam-driver", pluginName);
    const service = await lab().service("web", "--network", "mesh", "--replicas", "6");
    await service.running(6);
    const first = await leaderOtherThan(lab());
    expect([...first.records("pool").keys()].filter((id) => id.startsWith("tsnet-global/"))).to.have.length(1);
    await first.reboot();
    lab().manager = await leaderOtherThan(lab(), first);
    await lab().docker("service", "rm", "web");
    await until("the network is removed", 60_000, async () => {
      return (await lab().manager.tryDocker("network", "rm", "mesh")).code === 0;
    });
    await first.dockerd.start();
    await lab().ready();
    expect((await leftOf(first)).filter((what) => what.includes("tsnet-global/"))).not.to.deep.equal([]);
    const begin = performance.now();
    await gone(first, comparedMs, () => true);
    console.log(`      gone ${Math.round(performance.now() - begin)} ms after the node was ready`);
  }).timeout(500_000 * patience);
});
