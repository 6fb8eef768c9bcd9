/** Docker calls tsnet and tsnet calls Docker: neither may wait for the other at the same time. */
import { expect } from "chai";
import { methodsOf } from "../../src/api/methods.ts";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { lanDriver, onParent } from "../support/lan.ts";
import { client } from "../support/outside.ts";
import { packagings } from "../support/plugin.ts";
import { until } from "../support/poll.ts";
import { ask } from "../support/probe.ts";
import { type Answers, SilentDocker } from "../support/silent-docker.ts";

/** Once a minute tsnet compares its addresses with Docker's networks; nobody waits for that. */
const comparisonMs = 60_000;

/** It tries to reach Docker again each 1 to 5 s. */
const askedMs = 15_000;

/** A line comes to the log, by way of dockerd, after the answer. */
const loggedMs = 5_000;

/** All that Docker may call. */
const methods = Object.keys(methodsOf({} as Parameters<typeof methodsOf>[0]));

for (const packaging of packagings) {
  describe(`a ${packaging} plugin that Docker does not answer`, () => {
    const host = useHost([], { packaging });
    let docker: SilentDocker;
    /** Not later than tsnet. */
    let startedAt: number;
    beforeEach("a silent Docker in the place of Docker's socket", async () => {
      docker = await SilentDocker.listen(host().path("/run/silent.sock"));
      await host().plugin.stop();
      startedAt = performance.now();
      const run = packaging === "managed" ? "/host/run" : "/run";
      await host().plugin.start({ TSNET_DOCKER_SOCKET: `${run}/silent.sock`, TSNET_LOG_LEVEL: "debug" });
    });
    afterEach(async () => {
      await host().plugin.stop();
      await docker[Symbol.asyncDispose]();
      await host().plugin.start({});
    });

    /** Everything that Docker can be made to call. */
    const callEverything = async () => {
      await host().docker("network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", "web");
      const lan = [...lanDriver(), ...onParent("eth0"), "-o", "tsnet.duplicate_check=false"];
      await host().docker("network", "create", ...lan, "--ipam-driver", "tsnet", "--subnet", "192.168.78.0/24", "lan");
      const options = { network: "web", serve: true };
      const server = await Container.run(host(), options, "-p", "8080:80", "--restart", "always", "--name", "server");
      const neighbor = await Container.run(host(), { network: "lan" }, "--restart", "always", "--name", "neighbor");
      await host().docker("network", "connect", "web", "neighbor");
      await host().dockerd.restart();
      await server.listens();
      expect(await ask(host().outside.client, "tcp", host().ipv4, 8080)).to.equal(client.ipv4);
      expect(await ask(neighbor, "tcp", await server.ipv4("web"))).to.equal(await neighbor.ipv4("web"));
      await host().docker("network", "disconnect", "web", "neighbor");
      await Promise.all([server.remove(), neighbor.remove()]);
      await host().docker("network", "rm", "web", "lan");
    };

    /** What Docker calls in a swarm only, or only some versions of it. */
    const callRest = async () => {
      const { plugin } = host();
      const network = { NetworkID: "f".repeat(64), Options: {} };
      const answers = [
        await plugin.call("NetworkDriver.GwAllocCheck", { Options: {} }),
        await plugin.call("NetworkDriver.AllocateNetwork", network),
        await plugin.call("NetworkDriver.FreeNetwork", network),
        await plugin.call("NetworkDriver.DiscoverNew", { DiscoveryType: 1, DiscoveryData: {} }),
        await plugin.call("NetworkDriver.DiscoverDelete", { DiscoveryType: 1, DiscoveryData: {} }),
      ];
      expect(answers.filter((answer) => answer.Err !== undefined)).to.deep.equal([]);
    };

    /** How often Docker has told it of its networks. */
    const told = () =>
      host()
        .plugin.logged(30)
        .filter(({ msg }) => msg === "Docker tells of its networks").length;

    for (const answers of ["nothing", "events"] satisfies Answers[]) {
      const what = answers === "nothing" ? "at all" : "with more than the beginning of its events";
      it(`answers each call, and has containers started again, while Docker does not answer it ${what}`, async () => {
        docker.answer(answers);
        const first = answers === "nothing" ? "/events" : "/networks";
        await until(`it asks for ${first}`, askedMs, () => docker.asked.includes(first));
        const before = host().plugin.logged(20).length;
        await callEverything();
        await callRest();

        const logged = () => host().plugin.logged(20).slice(before);
        await until("the log has each method", loggedMs, () => {
          const done = new Set(logged().map(({ msg, method }) => (msg === "answered" ? method : "")));
          expect(methods.filter((method) => !done.has(method))).to.deep.equal([]);
          return true;
        });
        expect(logged().filter(({ msg }) => msg === "refused")).to.deep.equal([]);
        // no call has asked for networks: what asks for them is the connection, once it has events, and the comparison
        const asked = (wanted: string) => docker.asked.filter((path) => path.startsWith(wanted)).length;
        const connections = answers === "nothing" ? 0 : asked("/events");
        const comparisons = Math.floor((performance.now() - startedAt) / comparisonMs);
        expect(asked("/networks"), docker.asked.join()).to.be.at.most(connections + comparisons);

        const toldBefore = told();
        docker.answer("everything");
        docker.tell();
        await until("it is told of Docker's networks, now that it is answered", askedMs, () => told() > toldBefore);
      });
    }
  });
}
