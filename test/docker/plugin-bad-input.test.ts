/** What the plugin does where it cannot start: it says why, holds nobody up, and works once the cause is gone. */
import { mkdirSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { expect } from "chai";
import { Container } from "../support/container.ts";
import { removeAll } from "../support/docker-suite.ts";
import { Host } from "../support/host.ts";
import { image, loadImage } from "../support/image.ts";
import { pluginName } from "../support/managed-plugin.ts";
import { patience } from "../support/patience.ts";
import { loggedMs } from "../support/plugin.ts";
import { until } from "../support/poll.ts";
import { refusedStart, saidBy } from "../support/refusals.ts";

/** It answers for 10 s that it cannot start, then ends, and dockerd starts it again. */
const healedMs = 30_000;

interface Cause {
  readonly what: string;
  /** Makes it so that it cannot start, unless it is. The directory is the state's, and empty. */
  readonly make: (host: Host, directory: string) => unknown;
  readonly cure: (host: Host, directory: string) => unknown;
  /** What it says then. */
  readonly says: RegExp;
}

/** A database as a later tsnet may have it. */
function putNewerDatabase(directory: string): void {
  mkdirSync(directory, { recursive: true });
  using database = new DatabaseSync(`${directory}/tsnet.db`);
  database.exec("CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID");
  database.exec("INSERT OR REPLACE INTO meta VALUES ('schema_version', '99')");
}

const mount = (options: string) => (host: Host, directory: string) =>
  host.sh(`mountpoint -q ${directory} || mount -t tmpfs -o mode=700,${options} tmpfs ${directory}`);

const causes: readonly Cause[] = [
  {
    what: "the state is of a newer version",
    make: (_host, directory) => putNewerDatabase(directory),
    cure: (_host, directory) => rmSync(`${directory}/tsnet.db`),
    says: /tsnet\.db was written by a newer tsnet \(schema 99, this one knows \d+\): upgrade tsnet, or move the file away/,
  },
  {
    what: "the state directory is read-only",
    make: mount("ro"),
    cure: (host, directory) => host.sh(`umount ${directory}`),
    says: /is on a read-only file system: mount it read-write, or set TSNET_STATE_DIR/,
  },
  {
    what: "the state directory is full",
    make: mount("size=8k"),
    cure: (host, directory) => host.sh(`mount -o remount,size=16m ${directory}`),
    says: /the disk of \S+ is full: free some space/,
  },
];

describe("a managed plugin that cannot start", function () {
  this.timeout(180_000 * patience);
  let host: Host;
  const stateDirectory = () => host.plugin.stateDirectory;
  /** dockerd stops, unless it has, and starts: within the harness's deadline. */
  const boots = async (how: string): Promise<void> => {
    if (host.dockerd.isRunning) await host.dockerd.stop();
    const startedAt = performance.now();
    await host.dockerd.start();
    console.log(`      dockerd starts ${how} in ${Math.round(performance.now() - startedAt)} ms`);
  };
  /** Docker starts the plugin by itself; the harness does not wait until it answers. */
  const enable = async (): Promise<void> => {
    const startedAt = performance.now();
    await host.docker("plugin", "enable", pluginName);
    console.log(`      enabled after ${Math.round(performance.now() - startedAt)} ms`);
  };
  const heals = () =>
    until("it has started by itself", healedMs, async () => {
      const { code } = await host.tryDocker("network", "create", "-d", "tsnet", "web");
      return code === 0;
    });

  before("on a host whose dockerd starts without it", async () => {
    host = await Host.create({ packaging: "managed" });
    await host.dockerd.start();
    await boots("without it");
    await loadImage(host);
  });
  afterEach(async () => {
    await removeAll(host);
    await host.tryDocker("plugin", "disable", "-f", pluginName);
    await host.sh(`umount ${stateDirectory()} 2>/dev/null; rm -rf ${stateDirectory()}/*`);
  });
  after(() => host[Symbol.asyncDispose]());

  for (const { what, make, cure, says } of causes)
    it(`because ${what}: says so to who calls, does not hold dockerd up, and heals`, async () => {
      await make(host, stateDirectory());
      await enable();
      const create = (...args: string[]) => host.dockerError("network", "create", ...args, "x");
      for (const args of [
        ["-d", "tsnet"],
        ["-d", pluginName],
        ["--ipam-driver", "tsnet"],
      ])
        expect(await create(...args)).to.match(says);
      await until("the log says so", loggedMs, () => says.test(saidBy(host).at(-1) ?? ""));

      await host.dockerd.stop(); // which unmounts all that is mounted below a plugin's directory
      await make(host, stateDirectory());
      await boots("with it");
      expect(await create("-d", pluginName)).to.match(says);

      await cure(host, stateDirectory());
      await heals();
      expect(await host.docker("run", "--rm", "--network", "web", image, "hostname", "-i")).to.match(/^\d+\./);
    });

  it("while containers of it are to be started with dockerd: these fail at once, and can be started afterwards", async () => {
    await host.docker("plugin", "enable", pluginName);
    await host.docker("network", "create", "-d", "tsnet", "--ipam-driver", "tsnet", "web");
    const containers = await Promise.all(
      [1, 2, 3].map(() => Container.run(host, { network: "web" }, "--restart", "always")),
    );
    await boots("with one that can start");
    await host.dockerd.stop();
    await host.sh(`mv ${stateDirectory()} ${stateDirectory()}.good && mkdir ${stateDirectory()}`);
    putNewerDatabase(stateDirectory());
    await boots("with it");
    const errors = () => Promise.all(containers.map(async (one) => (await one.inspect()).State.Error as string));
    await until("each has failed", healedMs, async () => (await errors()).every((error) => error !== ""));
    for (const error of await errors()) expect(error).to.include("was written by a newer tsnet");

    await host.sh(`rm -r ${stateDirectory()}/* && mv ${stateDirectory()}.good/* ${stateDirectory()}`);
    await host.sh(`rmdir ${stateDirectory()}.good`);
    await until("they can be started", healedMs, async () => {
      const outcomes = await Promise.all(containers.map(({ id }) => host.tryDocker("start", id)));
      return outcomes.every(({ code }) => code === 0);
    });
    const addresses = await Promise.all(containers.map((one) => one.ipv4("web")));
    expect(new Set(addresses).size).to.equal(containers.length);
  });

  it("because a setting is wrong: is not enabled, and the log says which", async () => {
    await host.docker("plugin", "set", pluginName, "TSNET_MARK=3");
    const startedAt = performance.now();
    const error = await host.dockerError("plugin", "enable", pluginName);
    console.log(`      refused after ${Math.round(performance.now() - startedAt)} ms: ${error}`);
    expect(saidBy(host).at(-1)).to.include("TSNET_MARK=3: expected a number with one bit set, such as 0x01000000");
    await host.docker("plugin", "set", pluginName, "TSNET_MARK=");
    await enable();
    await heals();
  });
});

describe("a program that cannot start", function () {
  this.timeout(180_000 * patience);
  for (const { what, make, cure, says } of causes)
    it(`because ${what}: says so and ends, and starts once the cause is gone`, async () => {
      await using host = await Host.create({ packaging: "socket" });
      const { stateDirectory } = host.plugin;
      mkdirSync(stateDirectory);
      await make(host, stateDirectory);
      expect(await refusedStart(host, { TSNET_STATE_DIR: stateDirectory })).to.match(says);
      await cure(host, stateDirectory);
      await host.plugin.start();
      expect(await host.plugin.stop()).to.equal(0);
    });

  it("because a file of the state finds no room: names it", async () => {
    await using host = await Host.create({ packaging: "socket", prepare: "rm -f /etc/machine-id" });
    const { stateDirectory } = host.plugin;
    mkdirSync(stateDirectory);
    const roomForDatabaseOnly = "size=20k";
    await mount(roomForDatabaseOnly)(host, stateDirectory);
    const said = await refusedStart(host, { TSNET_STATE_DIR: stateDirectory });
    expect(said).to.match(/the disk of \S+ is full: free some space/);
  });
});
