import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { expect } from "chai";
import { askPluginName, askSwarm, parseNodes, parseSwarm, SwarmQuestions } from "../../../src/docker/swarm.ts";
import { removeDirectory } from "../../support/scratch.ts";
import { scratchDirectory } from "../../support/wire.ts";

/** What Docker on real swarms has answered. */
const recorded = (version: string) =>
  JSON.parse(readFileSync(new URL(`../../fixtures/wire/${version}-swarm.json`, import.meta.url), "utf8"));

for (const version of ["20.10.24", "28.5.2"]) {
  const answers = recorded(version);

  describe(`what Docker ${version} says of its swarm`, () => {
    it("is the node, its role, and the managers", () => {
      const manager = parseSwarm(answers["GET /info"].manager);
      const { nodeId = "" } = manager ?? {};
      const managers = [{ nodeId, address: "192.168.77.1", port: 2377 }];
      const active = { state: "active", error: "", managers, nodes: null };
      expect(manager).to.deep.equal({ nodeId, address: "192.168.77.1", isManager: true, ...active });
      expect(nodeId).to.match(/^[0-9a-z]{25}$/);
      const worker = parseSwarm(answers["GET /info"].worker);
      expect(worker).to.deep.include({ address: "192.168.77.3", isManager: false, ...active });
    });

    it("are the nodes, and their plugins for networks", () => {
      const nodes = parseNodes(answers["GET /nodes"]).toSorted((a, b) => a.name.localeCompare(b.name));
      expect(nodes.map(({ name, address, isReady }) => [name, address, isReady])).to.deep.equal([
        ["host1", "192.168.77.1", true],
        ["host2", "192.168.77.2", true],
        ["host3", "192.168.77.3", true],
      ]);
      for (const { networkPlugins } of nodes) {
        expect(networkPlugins).to.include.members(["overlay", "tsnet-plugin:latest"]).and.not.include("json-file");
      }
    });
  });
}

describe("what Docker says of its swarm", () => {
  let directory: string;
  let server: Server;
  let answers: Record<string, unknown>;
  const signal = new AbortController().signal;
  const socket = (): string => join(directory, "docker.sock");

  beforeEach(async () => {
    directory = await scratchDirectory();
    const { "GET /info": info, "GET /nodes": nodes } = recorded("28.5.2");
    answers = { "/info": info.manager, "/nodes": nodes };
    server = createServer(({ url = "" }, response) => {
      response.statusCode = url in answers ? 200 : 503;
      response.end(JSON.stringify(answers[url] ?? { message: "The swarm does not have a leader." }));
    });
    await new Promise<void>((resolve) => server.listen(socket(), resolve));
  });
  afterEach(async () => {
    await new Promise((resolve) => server.close(resolve));
    removeDirectory(directory);
  });

  it("is asked for on a manager with all nodes, without them where there is no leader", async () => {
    expect((await askSwarm(socket(), signal))?.nodes).to.have.length(3);
    delete answers["/nodes"];
    expect((await askSwarm(socket(), signal))?.nodes).to.equal(null);
  });

  it("is asked for on a worker without nodes, which it is not told", async () => {
    answers["/info"] = recorded("28.5.2")["GET /info"].worker;
    expect((await askSwarm(socket(), signal))?.nodes).to.equal(null);
  });

  it("is nothing on a host that is in none, and an error where Docker does not answer", async () => {
    const inactive = { NodeID: "", NodeAddr: "", LocalNodeState: "inactive", ControlAvailable: false, Error: "" };
    answers["/info"] = { Swarm: { ...inactive, RemoteManagers: null } };
    expect(await askSwarm(socket(), signal)).to.equal(null);
    delete answers["/info"];
    const error = await askSwarm(socket(), signal).catch((thrown: Error) => thrown.message);
    expect(error).to.equal("GET /info: status 503");
  });

  it("is an address of IPv6 as well, and none that no other node could use", () => {
    const { Swarm } = recorded("28.5.2")["GET /info"].worker;
    const managers = parseSwarm({ Swarm: { ...Swarm, RemoteManagers: [{ NodeID: "n", Addr: "[fd00::1]:2378" }] } });
    expect(managers?.managers).to.deep.equal([{ nodeId: "n", address: "fd00::1", port: 2378 }]);
    const [node] = recorded("28.5.2")["GET /nodes"];
    const seen = ["0.0.0.0", "127.0.0.1", "::1", "10.0.0.7"].map((Addr) => ({
      ...node,
      Status: { State: "down", Addr },
    }));
    expect(parseNodes(seen).map(({ address }) => address)).to.deep.equal(["", "", "", "10.0.0.7"]);
    expect(parseNodes(seen)[0]?.isReady).to.equal(false);
  });

  it("is asked for by a plugin until it is stopped, also while Docker hangs, and by none that may not ask", async () => {
    answers["/plugins"] = [{ Id: "b", Name: "tsnet-plugin:latest" }];
    const questions = new SwarmQuestions(socket(), "b");
    expect((await questions.swarm())?.nodes).to.have.length(3);
    expect(await questions.pluginName()).to.equal("tsnet-plugin:latest");
    const asked = new Promise((resolve) => server.removeAllListeners("request").once("request", resolve));
    const hanging = questions.swarm().catch((thrown: Error) => thrown.name);
    await asked;
    const startedMs = performance.now();
    questions.stop();
    expect(await hanging).to.equal("AbortError");
    expect(performance.now() - startedMs).to.be.below(2000); // Docker has five seconds to answer
    const none = new SwarmQuestions(null, "b");
    expect([await none.swarm(), await none.pluginName()]).to.deep.equal([null, null]);
  });

  it("is the full name of a plugin, by its ID", async () => {
    answers["/plugins"] = [
      { Id: "a", Name: "other:1" },
      { Id: "b", Name: "tsnet-plugin:latest" },
    ];
    expect(await askPluginName(socket(), "b", signal)).to.equal("tsnet-plugin:latest");
    expect(await askPluginName(socket(), "c", signal)).to.equal(null);
  });
});
