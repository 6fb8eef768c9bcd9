import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { expect } from "chai";
import { PluginName } from "../../../src/docker/plugin-name.ts";
import { TestLog } from "../../support/driver.ts";
import { until } from "../../support/poll.ts";
import { makeDirectory, newName, removeDirectory } from "../../support/scratch.ts";

const deadlineMs = 2000;
const own = "c6f67ed970ec".padEnd(64, "0");
const other = "0123456789ab".padEnd(64, "0");

describe("PluginName", () => {
  let directory: string;
  let server: Server;
  let plugins: unknown;
  let paths: string[];
  let log: TestLog;
  let name: PluginName;
  const start = (pluginId: string | null): void => {
    name = new PluginName({ socketPath: join(directory, "docker.sock"), pluginId, log, pauseMs: 1 });
    name.start();
  };
  const listen = async (): Promise<void> => {
    server.listen(join(directory, "docker.sock"));
    await once(server, "listening");
  };
  /** What it says of these plugins. */
  async function toldOf(pluginId: string | null, list: unknown): Promise<string[]> {
    plugins = list;
    await listen();
    start(pluginId);
    await until("Docker is asked", deadlineMs, () => paths.length === 1);
    await name.stop();
    return log.lines;
  }

  beforeEach(() => {
    directory = makeDirectory(newName());
    log = new TestLog();
    paths = [];
    plugins = [];
    server = createServer((request, response) => {
      paths.push(request.url ?? "");
      response.end(JSON.stringify(plugins));
    });
  });
  afterEach(async () => {
    await name.stop();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    removeDirectory(directory);
  });

  it("warns if this plugin has the name that hides -d tsnet, and says what to do", async () => {
    const lines = await toldOf(own, [{ Id: own, Name: "tsnet:latest", Enabled: true }]);
    expect(lines).to.have.length(1);
    expect(lines[0])
      .to.match(/^warn: .*"-d tsnet" and "--ipam-driver tsnet" will not work/)
      .and.include('"-d tsnet:latest"')
      .and.include("--alias tsnet-plugin");
  });

  for (const id of [own, null])
    it(`warns if another plugin has that name, ${id === null ? "as a program" : "as a managed plugin"}`, async () => {
      const lines = await toldOf(id, [
        { Id: other, Name: "tsnet:latest", Enabled: false },
        { Id: own, Name: "tsnet-plugin:latest", Enabled: true },
      ]);
      expect(lines).to.have.length(1);
      expect(lines[0])
        .to.match(/^warn: another plugin .* will not work/)
        .and.include("docker plugin rm 0123456789ab");
    });

  it("tells both names if nothing hides one, and nothing as a program", async () => {
    const list = [{ Id: own, Name: "tsnet-plugin:latest", Enabled: true }];
    expect(await toldOf(own, list)).to.deep.equal([
      'info: answers to two names: "-d tsnet" and "-d tsnet-plugin:latest" {"plugin":"tsnet-plugin:latest"}',
    ]);
  });

  it("says nothing as a program that no plugin hides", async () => {
    expect(await toldOf(null, [{ Id: other, Name: "weave:latest" }])).to.deep.equal([]);
  });

  it("waits for a Docker that is not there yet, and asks no more once it has answered", async () => {
    plugins = { message: "no list" };
    start(own);
    await listen();
    await until("it asks again after an answer that is none", deadlineMs, () => paths.length > 2);
    plugins = [{ Id: own, Name: "tsnet:latest" }];
    await until("it has warned", deadlineMs, () => log.lines.length > 0);
    const asked = paths.length;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(paths.length).to.equal(asked);
    expect(new Set(paths)).to.deep.equal(new Set(["/plugins"]));
    expect(log.lines).to.have.length(1);
  });

  it("stops while Docker does not answer", async () => {
    server = createServer(() => paths.push("unanswered"));
    await listen();
    start(own);
    await until("it asks", deadlineMs, () => paths.length === 1);
    await name.stop();
    expect(log.lines).to.deep.equal([]);
  });
});
