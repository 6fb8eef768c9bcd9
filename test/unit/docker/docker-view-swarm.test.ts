import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { expect } from "chai";
import { DockerView } from "../../../src/docker/docker-view.ts";
import { parsePresence } from "../../../src/docker/networks.ts";
import { TestLog } from "../../support/driver.ts";
import { removeDirectory } from "../../support/scratch.ts";
import { scratchDirectory } from "../../support/wire.ts";

const versions = ["20.10.24", "28.5.2"];
/** What Docker on real swarms has answered. */
const recorded = (version: string) =>
  JSON.parse(readFileSync(new URL(`../../fixtures/wire/${version}-swarm.json`, import.meta.url), "utf8"));

describe("what a DockerView says of this host in a swarm", () => {
  const id = "k2d3xyzcarhsmwbp7fa5qtn91";
  let directory: string;
  let server: Server;
  /** Status and body by path; without one, 503. */
  let answers: Record<string, [number, unknown]>;
  let view: DockerView;
  const { "GET /info": info, "GET /nodes": nodes } = recorded("28.5.2");
  const infoWith = (values: object) => ({ Swarm: { ...info.manager.Swarm, ...values } });

  beforeEach(async () => {
    directory = await scratchDirectory();
    answers = {};
    server = createServer(({ url = "" }, response) => {
      const [status, body] = answers[url] ?? [503, { message: "no leader" }];
      response.statusCode = status;
      response.end(typeof body === "string" ? body : JSON.stringify(body));
    });
    const socketPath = join(directory, "docker.sock");
    await new Promise<void>((resolve) => server.listen(socketPath, resolve));
    view = new DockerView({ socketPath, log: new TestLog() });
  });
  afterEach(async () => {
    await view.stop();
    await new Promise((resolve) => server.close(resolve));
    await removeDirectory(directory);
  });

  it("is whether it has a network, and not whether the swarm has it", async () => {
    const of: [number, unknown, boolean | null][] = [
      [200, { Containers: {} }, true],
      [200, { Containers: { a: {} }, Peers: null }, true],
      [200, { Containers: null, Peers: [{ Name: "a", IP: "192.0.2.1" }] }, true],
      [200, { Containers: null, Peers: null }, false],
      [200, {}, false],
      [404, { message: "network not found" }, false],
      [500, { message: "broken" }, null],
      [200, "no JSON", null],
      [200, { Containers: 7 }, null],
    ];
    for (const [status, body, expected] of of) {
      answers[`/networks/${id}`] = [status, body];
      expect(await view.has(id), JSON.stringify(body)).to.equal(expected);
    }
    await new Promise((resolve) => server.close(resolve));
    expect(await view.has(id), "nobody there").to.equal(null);
  });

  for (const version of versions) {
    it(`is that it has those of which Docker ${version} tells containers`, () => {
      const all = Object.values(recorded(version)["GET /networks/ID?verbose=true"]);
      expect(all).not.to.deep.equal([]);
      for (const one of all) expect(parsePresence(one)).to.equal(true);
    });
  }

  it("is a manager while there is a leader, a worker, or nothing of a swarm", async () => {
    answers = { "/info": [200, info.manager], "/nodes": [200, nodes] };
    expect(await view.swarmRole()).to.equal("manager");
    answers["/info"] = [200, info.worker];
    expect(await view.swarmRole()).to.equal("worker");
    answers["/info"] = [200, infoWith({ LocalNodeState: "inactive", ControlAvailable: false })];
    expect(await view.swarmRole()).to.equal("none");
  });

  it("tells the addresses that its swarm has given out: those of services, and of tasks that have not ended", async () => {
    const task = (State: string, ...Addresses: string[]) => ({
      Status: { State },
      NetworksAttachments: [{ Addresses }],
    });
    const runtimes = encodeURIComponent(JSON.stringify({ runtime: ["container", "attachment"] }));
    const ended = ["complete", "shutdown", "failed", "rejected", "remove", "orphaned"];
    const tasks = [
      ...[task("running", "10.5.0.4/24", "10.6.0.4/24"), task("pending", "10.5.0.5/24")],
      ...ended.map((state) => task(state, "10.5.0.9/24")),
      ...[{ Status: { State: "new" } }, { Status: { State: "running" }, NetworksAttachments: [{ Addresses: null }] }],
    ];
    const services = [{ Endpoint: { VirtualIPs: [{ Addr: "10.5.0.2/24" }, {}] } }, { Endpoint: {} }, {}];
    answers = { [`/tasks?filters=${runtimes}`]: [200, tasks], "/services": [200, services] };
    expect(await view.swarmAddresses()).to.deep.equal(new Set(["10.5.0.4", "10.6.0.4", "10.5.0.5", "10.5.0.2"]));
    answers["/services"] = [503, { message: "This node is not a swarm manager." }];
    expect(await view.swarmAddresses()).to.equal(null);
    answers = { "/services": [200, services] };
    expect(await view.swarmAddresses()).to.equal(null);
  });

  it("is nothing that is known without a leader, while it joins or is locked, and where nobody answers", async () => {
    answers = { "/info": [200, info.manager] };
    expect(await view.swarmRole(), "no leader").to.equal(null);
    for (const LocalNodeState of ["pending", "locked", "error"]) {
      answers["/info"] = [200, infoWith({ LocalNodeState, ControlAvailable: false })];
      expect(await view.swarmRole(), LocalNodeState).to.equal(null);
    }
    answers = {};
    expect(await view.swarmRole()).to.equal(null);
  });
});
