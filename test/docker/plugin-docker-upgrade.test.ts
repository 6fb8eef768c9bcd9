/** Docker is upgraded from 20.10, the machine's own, to 28.5, on the same data. */
import { expect } from "chai";
import { BothNames } from "../support/both-names.ts";
import { Dockerd } from "../support/dockerd.ts";
import { enterEngineOnHost, isMachines, makeEngine } from "../support/engine.ts";
import { Host } from "../support/host.ts";

const makeTimeoutMs = 600_000;

describe("the managed plugin and an upgrade of Docker", () => {
  let host: Host | undefined;
  before("a host with Docker 20.10, and Docker 28.5 for later", async function () {
    if (!(await isMachines("20.10"))) this.skip();
    this.timeout(makeTimeoutMs);
    await makeEngine("28.5");
    host = await Host.start();
  });
  after(() => host?.[Symbol.asyncDispose]());

  it("is there afterwards, with its networks and containers", async () => {
    if (host === undefined) throw new Error("no host");
    const version = () => host?.docker("version", "--format", "{{.Server.Version}}");
    const both = await BothNames.create(host);
    const [networks, plugins] = [host.records("network"), await host.docker("plugin", "ls", "--no-trunc")];
    expect(await version()).to.match(/^20\.10\./);

    await host.dockerd.stop();
    host.dockerd = new Dockerd(host, enterEngineOnHost("28.5", host.directory));
    await host.dockerd.start();

    expect(await version()).to.match(/^28\.5\./);
    expect(await host.docker("plugin", "ls", "--no-trunc")).to.equal(plugins);
    expect(host.records("network")).to.deep.equal(networks);
    await both.listens();
    await both.works();
    await both.takesNew();
    await host.dockerd.restart();
    await both.listens();
    await both.works();
  });
});
