import { once } from "node:events";
import { rmSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import { join } from "node:path";
import { expect } from "chai";
import { DockerView } from "../../../src/docker/docker-view.ts";
import { TestLog } from "../../support/driver.ts";
import { until } from "../../support/poll.ts";
import { makeDirectory, newName, removeDirectory } from "../../support/scratch.ts";

const network = (name: string, subnet = "10.1.0.0/24") => ({
  ...{ Id: name.repeat(64), Name: name, Driver: "macvlan" },
  IPAM: { Driver: "default", Options: null, Config: [{ Subnet: subnet, Gateway: "10.1.0.1" }] },
});

/** As much of Docker as is asked. */
class FakeDocker {
  readonly socketPath: string;
  networks: unknown = [network("a")];
  status = 200;
  /** Requests for the list that wait for their answer while this is set. */
  held: ServerResponse[] | undefined;
  readonly paths: string[] = [];
  readonly #server: Server;
  readonly #streams = new Set<ServerResponse>();

  constructor(socketPath: string) {
    this.socketPath = socketPath;
    this.#server = createServer((request, response) => {
      const path = request.url ?? "";
      this.paths.push(path);
      if (path.startsWith("/events")) {
        this.#streams.add(response);
        response.on("close", () => this.#streams.delete(response));
        response.flushHeaders();
      } else if (this.held) this.held.push(response);
      else this.answer(response, path);
    });
  }

  answer(response: ServerResponse, path = "/networks"): void {
    response.statusCode = this.status;
    const inspected = { Containers: { x: { Name: "web", IPv4Address: "10.1.0.5/24", IPv6Address: "" } } };
    response.end(JSON.stringify(path === "/networks" ? this.networks : inspected));
  }

  get lists(): number {
    return this.paths.filter((path) => path === "/networks").length;
  }

  get isFollowed(): boolean {
    return this.#streams.size > 0;
  }

  write(text: string): void {
    for (const stream of this.#streams) stream.write(text);
  }

  endStreams(): void {
    for (const stream of this.#streams) stream.end();
    this.#streams.clear();
  }

  async listen(): Promise<void> {
    rmSync(this.socketPath, { force: true });
    this.#server.listen(this.socketPath);
    await once(this.#server, "listening");
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#streams.clear();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

describe("DockerView", () => {
  const deadlineMs = 2000;
  let directory: string;
  let docker: FakeDocker;
  let view: DockerView;
  let log: TestLog;
  const names = () => view.networks()?.map(({ name }) => name);
  const shows = (...expected: string[]) =>
    until(`the view has ${expected}`, deadlineMs, () => JSON.stringify(names()) === JSON.stringify(expected));
  const hides = () => until("the view is null", deadlineMs, () => view.networks() === null);

  beforeEach(async () => {
    directory = makeDirectory(newName());
    docker = new FakeDocker(join(directory, "docker.sock"));
    log = new TestLog();
    view = new DockerView({ socketPath: docker.socketPath, log, pauseMs: 1 });
  });
  afterEach(async () => {
    await view.stop();
    await docker.close();
    removeDirectory(directory);
  });

  it("shows Docker's networks, as values", async () => {
    const ipam = { Driver: "tsnet", Options: { "tsnet.sticky": "true" } };
    const aux = { AuxiliaryAddresses: { printer: "10.2.0.5" } };
    const odd = [
      { Id: 1 },
      { ...network("c"), Options: { parent: "eth0" }, IPAM: { Driver: "default", Config: null } },
    ];
    docker.networks = [{ ...network("b"), IPAM: { ...ipam, Config: [{ Subnet: "10.2.0.0/24", ...aux }, {}] } }, ...odd];
    await docker.listen();
    view.start();
    await shows("b", "c");
    expect(view.networks()).to.deep.equal([
      {
        ...{ id: "b".repeat(64), name: "b", driver: "macvlan", parent: null, ipamDriver: "tsnet" },
        ipamOptions: { "tsnet.sticky": "true" },
        subnets: [{ subnet: "10.2.0.0/24", gateway: null, auxiliary: ["10.2.0.5"] }],
      },
      {
        ...{
          id: "c".repeat(64),
          name: "c",
          driver: "macvlan",
          parent: "eth0",
          ipamDriver: "default",
          ipamOptions: {},
          subnets: [],
        },
      },
    ]);
  });

  it("shows a swarm's networks, those that wait for their driver's answer among them, with what that has said", async () => {
    const swarms = { ...network("s"), IPAM: { Driver: "", Options: null, Config: null } };
    const waiting = { ...swarms, Driver: "", Options: null };
    const allocated = { ...swarms, Id: "t".repeat(64), Name: "t", Options: { mode: "overlay", "tsnet.vni": "5000" } };
    docker.networks = [waiting, allocated];
    await docker.listen();
    view.start();
    await shows("s", "t");
    expect(view.networks()?.map(({ driver, vni }) => [driver, vni])).to.deep.equal([
      ["", undefined],
      ["macvlan", "5000"],
    ]);
  });

  it("asks anew when something happens to a network, and once for what happens meanwhile", async () => {
    await docker.listen();
    view.start();
    await shows("a");
    docker.held = [];
    docker.write('{"Type":"network","Action":"cre');
    docker.write('ate"}\n');
    await until("the list is asked for", deadlineMs, () => docker.held?.length === 1);
    docker.write('{"Action":"create"}\n{"Action":"destroy"}\n\n{"Action":"create"}\n');
    const refreshed = view.refresh();
    const [first] = docker.held.splice(0);
    docker.networks = [network("a"), network("old")];
    if (first) docker.answer(first);
    await until("the list is asked for again", deadlineMs, () => docker.held?.length === 1);
    docker.networks = [network("b")];
    docker.held.splice(0).map((response) => docker.answer(response));
    docker.held = undefined;
    expect((await refreshed)?.map(({ name }) => name)).to.deep.equal(["b"]);
    expect(names()).to.deep.equal(["b"]);
    expect(docker.lists).to.be.within(3, 4); // the last events may have come after the list before it
  });

  it("asks for nothing as long as nothing happens", async () => {
    await docker.listen();
    view.start();
    await shows("a");
    const [events = "", list] = docker.paths;
    expect(list).to.equal("/networks");
    expect(new URL(events, "http://docker").searchParams.get("filters")).to.equal(
      '{"type":["network"],"event":["create","destroy","remove","update"]}',
    );
    expect(docker.paths).to.have.length(2);
  });

  it("is null while Docker is away, and comes back with it", async () => {
    view.start();
    expect(view.networks()).to.equal(null);
    expect(await view.refresh()).to.equal(null);
    expect(await view.containersIn("a")).to.equal(null);
    await until("it says so", deadlineMs, () => log.lines.length > 0);
    await docker.listen();
    await shows("a");
    await docker.close();
    await hides();
    docker = new FakeDocker(docker.socketPath);
    docker.networks = [network("b")];
    await docker.listen();
    await shows("b");
    docker.networks = [network("c")];
    docker.endStreams();
    await shows("c");
    const enoent = log.lines.filter((line) => line.includes("ENOENT"));
    expect(enoent.length, log.lines.join("\n")).to.be.below(3);
  });

  for (const [what, answer, status] of [
    ["a status", [], 500],
    ["no list", { message: "no" }, 200],
  ] as const) {
    it(`is null when the answer is ${what}, and whole again when it is asked the next time`, async () => {
      await docker.listen();
      view.start();
      await shows("a");
      docker.networks = answer;
      docker.status = status;
      expect(await view.refresh()).to.equal(null);
      expect(view.networks()).to.equal(null);
      docker.networks = [network("b")];
      docker.status = 200;
      expect((await view.refresh())?.length).to.equal(1);
    });
  }

  it("asks a Docker that has just started, however long the pause until the next try is", async () => {
    const patient = new DockerView({ socketPath: docker.socketPath, log, pauseMs: 60_000 });
    patient.start();
    await until("it waits", deadlineMs, () => log.lines.length > 0);
    await docker.listen();
    expect((await patient.refresh())?.map(({ name }) => name)).to.deep.equal(["a"]);
    expect(await patient.containersIn("a")).to.not.equal(null);
    await patient.stop();
  });

  it("tells who has which address in a network", async () => {
    await docker.listen();
    view.start();
    await shows("a");
    expect([...((await view.containersIn("a b")) ?? [])]).to.deep.equal([["10.1.0.5", "web"]]);
    expect(docker.paths.at(-1)).to.equal("/networks/a%20b");
  });

  it("says when Docker is there, and when it is there again", async () => {
    let returns = 0;
    const told = new DockerView({ socketPath: docker.socketPath, log, pauseMs: 1, onReturn: () => returns++ });
    told.start();
    await until("it has looked", deadlineMs, () => log.lines.length > 0);
    expect(returns).to.equal(0);
    await docker.listen();
    await until("Docker is there", deadlineMs, () => returns === 1);
    docker.write('{"Action":"create"}\n');
    await until("the list is asked for again", deadlineMs, () => docker.lists > 1);
    expect(returns).to.equal(1);
    docker.endStreams();
    await until("Docker is there again", deadlineMs, () => returns === 2);
    await told.stop();
  });

  it("stops while somebody waits for an answer, who gets none", async () => {
    docker.held = [];
    await docker.listen();
    const waiting = [view.refresh(), view.containersIn("a")];
    await until("both ask", deadlineMs, () => docker.held?.length === 2);
    await view.stop();
    expect(await Promise.all(waiting)).to.deep.equal([null, null]);
  });

  it("stops in the middle of an answer", async () => {
    docker.held = [];
    await docker.listen();
    view.start();
    await until("the list is asked for", deadlineMs, () => docker.held?.length === 1);
    await view.stop();
    await until("nobody follows", deadlineMs, () => !docker.isFollowed);
    expect(view.networks()).to.equal(null);
  });
});
