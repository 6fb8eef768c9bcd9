/** What the swarm's leader says of networks: their VNIs, and those that cannot be made. */
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import type { FailedNetworkAnswer } from "../../src/driver/report-link-answers.ts";
import { Container } from "../support/container.ts";
import type { Host } from "../support/host.ts";
import { until } from "../support/poll.ts";
import { useSwarm } from "../support/swarm-lab-suite.ts";

const program = fileURLToPath(new URL("../../src/cli/tsnet", import.meta.url));

/** A task is placed, and its node is asked for the network. */
const taskMs = 30_000;
/** Docker's events are followed. */
const toldMs = 20_000;

const failedOn = async (host: Host): Promise<FailedNetworkAnswer[]> =>
  JSON.parse(await host.sh(`DOCKER_HOST=unix://${host.socket} ${program} networks --json`)).failed;

describe("the networks that a swarm's leader allocates", () => {
  const lab = useSwarm({ isStatic: true });
  const optionsOf = async (name: string): Promise<Record<string, string>> =>
    JSON.parse(await lab().docker("network", "inspect", "-f", "{{json .Options}}", name));
  const allocated = (name: string): Promise<Record<string, string>> =>
    until(`network ${name} is allocated`, taskMs, async () => {
      const options = await optionsOf(name);
      return options?.["tsnet.vni"] !== undefined && options;
    });
  const failures = (): Promise<[name: string, error: string][]> =>
    failedOn(lab().manager).then((failed) =>
      failed.map((one) => [(one as FailedNetworkAnswer & { name: string }).name, one.error]),
    );

  it("have a VNI that stays through a restart of the manager, and all options of the user's", async () => {
    await lab().network("mesh", "-o", "com.docker.network.driver.mtu=1450");
    const options = await allocated("mesh");
    expect(options).to.include({ mode: "overlay", "com.docker.network.driver.mtu": "1450" });
    await lab().manager.dockerd.restart();
    await lab().ready();
    expect(await optionsOf("mesh")).to.deep.equal(options);
    const container = await Container.run(lab().host(2), { network: "mesh" });
    const link = await lab().host(2).sh("for n in /run/netns/tsnet-*; do nsenter --net=$n ip -d -j link; done");
    expect(link).to.contain(`"id":${options["tsnet.vni"]}`);
    await container.remove();
  });

  it("are in the log and among the failed for wrong options, and each task says why", async () => {
    await lab().network("wrong", "-o", "tsnet.vnii=5");
    const text = "unknown option tsnet.vnii=5 for mode overlay: did you mean tsnet.vni?";
    await until("the network has failed", taskMs, async () => (await failures()).length > 0);
    expect(await failures()).to.deep.equal([["wrong", text]]);
    await lab().manager.plugin.untilLogged(50, "why", (line) => JSON.stringify(line).includes(text));
    const service = await lab().service("web", "--network", "wrong", "--constraint", "node.hostname==host2");
    await until("a task says why", taskMs, async () =>
      (await service.tasks()).some(({ Status }) => Status.Err?.includes(text)),
    );
    await lab().docker("service", "rm", "web");
    await until("the network can be removed", taskMs, () =>
      lab()
        .docker("network", "rm", "wrong")
        .then(
          () => true,
          () => false,
        ),
    );
    await until("it is no failure any more", toldMs, async () => (await failures()).length === 0);
  });

  it("are among the failed for another's VNI until they are removed, which nobody tells the plugin", async () => {
    await lab().network("mesh", "-o", "tsnet.vni=5000");
    await allocated("mesh");
    await lab().network("second", "-o", "tsnet.vni=5000");
    await until("the network has failed", taskMs, async () => (await failures()).length > 0);
    const [[name, error] = []] = await failures();
    expect(name).to.equal("second");
    expect(error).to.match(/^tsnet\.vni=5000: network mesh \(.{25}\) of this swarm has that VNI; give another one/);
    await lab().docker("network", "rm", "second");
    await until("it is no failure any more", toldMs, async () => (await failures()).length === 0);
    await lab().docker("network", "rm", "mesh");
    await lab().network("third", "-o", "tsnet.vni=5000");
    expect(await allocated("third")).to.include({ "tsnet.vni": "5000" });
  });
});
