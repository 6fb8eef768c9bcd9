import { expect } from "chai";
import type { DoctorAnswer } from "../../../../src/driver/overlay/doctor-answers.ts";
import { SwarmDoctor, type SwarmDoctorNeeds, withSwarm } from "../../../../src/driver/swarm/swarm-doctor.ts";
import type { DockerNode, DockerSwarm } from "../../../../src/plan/docker-swarm.ts";

const plugin = "tsnet-plugin:latest";

const nodeOf = (n: number, values: Partial<DockerNode> = {}): DockerNode => ({
  ...{ id: `n${n}`, name: `web-${n}`, address: `10.0.0.${n}`, isReady: true, networkPlugins: ["bridge", plugin] },
  ...values,
});

const managers = [1, 2].map((n) => ({ nodeId: `n${n}`, address: `10.0.0.${n}`, port: 2377 }));

/** Node 1, of three. */
const manager: DockerSwarm = {
  ...{ nodeId: "n1", address: "10.0.0.1", isManager: true, state: "active", error: "", managers },
  nodes: [nodeOf(1), nodeOf(2), nodeOf(3)],
};
const worker: DockerSwarm = { ...manager, nodeId: "n3", address: "10.0.0.3", isManager: false, nodes: null };

describe("the doctor of a swarm", () => {
  let probed: string[];
  beforeEach(() => {
    probed = [];
  });

  /** @param closed what does not answer */
  const reportOf = (swarm: DockerSwarm | null, needs: Partial<SwarmDoctorNeeds> = {}) =>
    new SwarmDoctor({
      ask: async () => swarm,
      pluginName: async () => plugin,
      ...{ hasSocket: true, hasNetworks: () => true, staleSinceMs: () => null, peers: () => [] },
      ...{ hasVirtualIps: () => true, hasBridgeFilter: () => true },
      probe: async (address, port) => {
        probed.push(`${address}:${port}`);
        return "open";
      },
      ...needs,
    }).report();
  const silentAt = (...places: string[]): Partial<SwarmDoctorNeeds> => ({
    probe: async (address, port) => (places.includes(`${address}:${port}`) ? "silent" : "open"),
  });
  const textsOf = async (report: ReturnType<typeof reportOf>): Promise<string[]> =>
    (await report).findings.map(({ kind, peer, text }) => `${kind} ${peer}: ${text}`);

  it("looks at the gossip's port of each other node, and at that of each other manager", async () => {
    const { swarm, findings } = await reportOf(manager, { peers: () => ["10.0.0.3", "10.0.0.4"] });
    expect(findings).to.deep.equal([]);
    expect(swarm).to.deep.equal({ address: "10.0.0.1", role: "manager", managers: 2, nodes: 3 });
    const gossip = ["10.0.0.2:7946", "10.0.0.3:7946", "10.0.0.4:7946"];
    expect(probed.toSorted()).to.deep.equal(["10.0.0.2:2377", ...gossip]);
  });

  it("knows on a worker the managers, and the nodes that have networks of its own", async () => {
    const { swarm } = await reportOf(worker, { peers: () => ["10.0.0.3", "10.0.0.4"] });
    expect(swarm).to.deep.equal({ address: "10.0.0.3", role: "worker", managers: 2, nodes: null });
    const gossip = ["10.0.0.1:7946", "10.0.0.2:7946", "10.0.0.4:7946"];
    expect(probed.toSorted()).to.deep.equal(["10.0.0.1:2377", ...gossip, "10.0.0.2:2377"].toSorted());
  });

  it("does not look at nodes that the managers do not hear of", async () => {
    const away = nodeOf(3, { isReady: false, networkPlugins: [] });
    expect((await reportOf({ ...manager, nodes: [nodeOf(1), nodeOf(2), away] })).findings).to.deep.equal([]);
    expect(probed.toSorted()).to.deep.equal(["10.0.0.2:2377", "10.0.0.2:7946"]);
  });

  it("looks at hundreds of nodes, no more than 200 at a time", async () => {
    const nodes = Array.from({ length: 450 }, (_, n) => nodeOf(n, { address: `10.1.${n >> 8}.${n & 255}` }));
    let [now, most, all] = [0, 0, 0];
    const probe: SwarmDoctorNeeds["probe"] = async () => {
      most = Math.max(most, ++now);
      await new Promise((resolve) => setImmediate(resolve));
      now--;
      all++;
      return "silent";
    };
    const { findings } = await reportOf({ ...manager, managers: [], nodes }, { probe });
    expect([most, all, findings.length]).to.deep.equal([200, 450, 450]);
  });

  it("says which port does not answer, what that means and what to do", async () => {
    expect(await textsOf(reportOf(manager, silentAt("10.0.0.2:2377", "10.0.0.3:7946")))).to.deep.equal([
      "swarm-port 10.0.0.2: manager web-2 (10.0.0.2) does not answer within a second on TCP port 2377, the managers' port: from there this node gets no tasks and no networks; let 2377/tcp pass between it and this node",
      "swarm-port 10.0.0.3: node web-3 (10.0.0.3) does not answer within a second on TCP port 7946, that of Docker's gossip: without it, the two nodes learn nothing of each other's tasks and containers; let 7946/tcp and 7946/udp pass between all nodes",
    ]);
    const [refused] = await textsOf(reportOf(worker, { probe: async () => "refused" }));
    expect(refused).to.match(
      /^swarm-port 10\.0\.0\.1: manager 10\.0\.0\.1 says that nothing has TCP port 2377, .* is still in/,
    );
    const [unreachable] = await textsOf(reportOf(worker, { probe: async () => "no-route" }));
    expect(unreachable).to.include("manager 10.0.0.1 cannot be reached by TCP port 2377");
  });

  it("says on a manager which nodes do not have the plugin", async () => {
    const without = nodeOf(3, { networkPlugins: ["bridge", "overlay", "tsnet-plugin:2"] });
    const swarm = { ...manager, nodes: [nodeOf(1, { networkPlugins: [] }), nodeOf(2), without] };
    expect(await textsOf(reportOf(swarm))).to.deep.equal([
      "plugin-missing 10.0.0.3: node web-3 (10.0.0.3) has no enabled plugin tsnet-plugin:latest: the swarm places no task on it that has a network of that driver; docker plugin install --alias tsnet-plugin … there, or docker plugin enable tsnet-plugin",
    ]);
    expect(await textsOf(reportOf(swarm, { pluginName: async () => null }))).to.deep.equal([]);
  });

  it("says what Docker says of this node, if it is not in order", async () => {
    const [text] = await textsOf(reportOf({ ...worker, state: "error", error: "certificate expired" }));
    expect(text).to.match(/^swarm null: this node of the swarm is error, as Docker says: certificate expired;/);
  });

  it("says since when Docker does not tell of other nodes", async () => {
    const staleSinceMs = (): number => Date.UTC(2026, 10, 22, 12);
    const [text] = await textsOf(reportOf(worker, { staleSinceMs }));
    expect(text).to.match(/^gossip null: Docker has not told since 2026-11-22T12:00:00\.000Z /);
    const ask = (): never => {
      throw new Error("connect ENOENT /run/docker.sock");
    };
    const texts = await textsOf(reportOf(worker, { staleSinceMs, ask }));
    expect(texts.map((one) => one.split(" ")[0])).to.deep.equal(["docker-socket", "gossip"]);
    expect(texts[0]).to.include("connect ENOENT /run/docker.sock");
    expect(await textsOf(reportOf(worker, { ask, hasNetworks: () => false }))).to.deep.equal([]);
  });

  it("says what became old while Docker was asked", async () => {
    let sinceMs: number | null = null;
    const ask = async () => {
      sinceMs = Date.UTC(2026, 10, 22, 12);
      return worker;
    };
    const texts = await textsOf(reportOf(worker, { ask, staleSinceMs: () => sinceMs }));
    expect(texts.map((one) => one.split(" ")[0])).to.deep.equal(["gossip"]);
  });

  it("says that virtual IPs do not work without br_netfilter, where there are some, and Docker answers or not", async () => {
    const hasBridgeFilter = (): boolean => false;
    const ask = (): never => {
      throw new Error("connect ENOENT /run/docker.sock");
    };
    for (const needs of [{}, { ask }]) {
      const texts = await textsOf(reportOf(worker, { hasBridgeFilter, ...needs }));
      expect(texts.at(-1)).to.match(
        /^br-netfilter null: the kernel module br_netfilter is not loaded: .*; modprobe br_/,
      );
      const without = await textsOf(reportOf(worker, { hasBridgeFilter, hasVirtualIps: () => false, ...needs }));
      expect(without).to.deep.equal(texts.slice(0, -1));
    }
  });

  it("says that it may not ask Docker, where there are networks of a swarm", async () => {
    const ask = (): never => expect.fail("asked");
    const texts = await textsOf(reportOf(manager, { hasSocket: false, ask }));
    expect(texts).to.have.length(1);
    expect(texts[0]).to.match(/^docker-socket null: TSNET_DOCKER_SOCKET=none: /);
    const nothing = await reportOf(manager, { hasSocket: false, ask, hasNetworks: () => false });
    expect(nothing).to.deep.equal({ swarm: null, findings: [] });
  });

  it("says nothing of a host that is in no swarm", async () => {
    expect(await reportOf(null)).to.deep.equal({ swarm: null, findings: [] });
    expect(probed).to.deep.equal([]);
  });

  it("adds what it finds to what is found of the ways to other hosts", async () => {
    const finding = { kind: "loss", peer: "10.0.0.2", text: "lost" } as const;
    const ways: DoctorAnswer = {
      ...{ version: "0.1.0", address: "10.0.0.1", port: 4789, networks: 1, checksumOffload: true, peers: [] },
      ...{ findings: [finding], notes: [] },
    };
    const own = { kind: "swarm", peer: null, text: "locked" } as const;
    const swarm = { address: "10.0.0.1", role: "worker", managers: 1, nodes: null } as const;
    const merged = withSwarm({ report: async () => ways }, { report: async () => ({ swarm, findings: [own] }) });
    expect(await merged.report()).to.deep.equal({ ...ways, swarm, findings: [finding, own] });
  });
});
