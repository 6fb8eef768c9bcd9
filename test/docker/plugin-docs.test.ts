/** docs/managed-plugin.md: each of its commands, as it stands. */
import { execFileSync } from "node:child_process";
import { copyFileSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { defaultBase } from "../../plugin/build.ts";
import { archive, checksums } from "../../plugin/release.ts";
import { stage } from "../../plugin/stage.ts";
import { run } from "../support/commands.ts";
import { Container } from "../support/container.ts";
import { clone, commandsOf, copyClone, hasNpm, runHere, runOnHost, shareOpt } from "../support/doc-commands.ts";
import { removeAll } from "../support/docker-suite.ts";
import { Host } from "../support/host.ts";
import { image, loadImage } from "../support/image.ts";
import { baseImage, importBase } from "../support/managed.ts";
import { pluginName } from "../support/managed-plugin.ts";
import { client } from "../support/outside.ts";
import { ask } from "../support/probe.ts";
import { build, startRegistry } from "../support/registry.ts";

const page = commandsOf("managed-plugin.md");
const buildTimeoutMs = 600_000;

/** Name and registry that the page has. */
const reference = "registry.example.org/tsnet-plugin";

describe("the page about the managed plugin", () => {
  let host: Host;
  /** Where the page's commands run that have a path in the clone. */
  let directory: string;
  const release = () => `${host.directory}/opt/tsnet/build/release/amd64`;
  const plugin = () => host.dockerd.api("GET", `/plugins/${pluginName}/json`);
  const runSection = async (heading: string, where = directory): Promise<string[]> => {
    const blocks = page.get(heading) ?? [];
    expect(blocks, `commands below ${heading}`).to.not.have.length(0);
    const printed: string[] = [];
    for (const block of blocks) printed.push(await runOnHost(host, block, where));
    return printed;
  };

  before("a host without tsnet, and the registry of the page", async () => {
    host = await Host.create();
    await host.sh("echo 127.0.0.1 registry.example.org >>/etc/hosts");
    await host.dockerd.start();
    await loadImage(host);
    await host.docker("commit", "--change", 'CMD ["/bin/serve"]', await host.docker("create", image), "nginx");
    await host.docker("plugin", "rm", pluginName);
    await startRegistry(host);
    const forward = ["socat", "TCP-LISTEN:80,fork,reuseaddr,bind=127.0.0.1", "TCP:127.0.0.1:5000"];
    await host.namespace.start(forward, `${host.directory}/socat.log`, process.env);
    await shareOpt(host);
    directory = copyClone(host, "tsnet", true);
  });
  after(() => host?.[Symbol.asyncDispose]());

  it("has no command outside of the sections that are tried here", () => {
    expect([...page.keys()]).to.have.members([
      ...["Build", "Push", "Install from a registry", "Install without a registry", "The command `tsnet`"],
      ...["Settings", "Upgrade", "Uninstall"],
    ]);
  });

  it("has two commands that build the same, and a release is whole", async function () {
    if (!(await hasNpm())) return this.skip();
    this.timeout(buildTimeoutMs);
    await importBase(host);
    await host.docker("tag", baseImage, defaultBase);
    for (const block of page.get("Build") ?? []) await runHere(host, block, directory);
    await host.docker("plugin", "inspect", pluginName);
    await host.docker("plugin", "rm", pluginName);
    expect(await listing(`${release()}/plugin`)).to.equal(await listing(`${host.directory}/opt/tsnet/build/plugin`));
    await run(["sh", "-c", `cd ${release()} && sha256sum --check --strict SHA256SUMS`]);
    const { components } = JSON.parse(readFileSync(`${release()}/sbom.cdx.json`, "utf8"));
    expect(components.map(({ name }: { name: string }) => name)).to.include.members(["node", "koffi", "libnftables1"]);
    for (const file of ["usr/share/doc/libnftables1/copyright", "var/lib/dpkg/status"])
      expect(readFileSync(`${release()}/plugin/rootfs/${file}`, "utf8")).to.not.equal("");
    rmSync(release(), { recursive: true });
  });

  it("can have it built for another processor, whose files are that one's", async function () {
    if (!(await hasNpm())) return this.skip();
    this.timeout(buildTimeoutMs);
    const machines = { amd64: 62, arm64: 183 }; // EM_X86_64, EM_AARCH64: include/uapi/linux/elf-em.h
    for (const [arch, machine] of Object.entries(machines)) {
      const context = `${host.directory}/stage-${arch}`;
      stage(context, arch as keyof typeof machines);
      const files = ["node", ...globSync("app/node_modules/**/*.node", { cwd: context })];
      expect(files).to.have.length(2);
      for (const file of files) expect(machineOf(join(context, file)), file).to.equal(machine);
    }
  });

  it("has commands that push it to a registry, install it from there, and show it", async function () {
    this.timeout(buildTimeoutMs);
    makeRelease(release());
    await runSection("Push");
    await host.docker("plugin", "rm", `${reference}:0.1.0-amd64`);
    await runSection("Install from a registry");
    await new Container(host, "shop").listens();
    expect(await plugin()).to.include({ Enabled: true, PluginReference: `${reference}:0.1.0-amd64` });
    expect(await ask(host.outside.client, "tcp", host.ipv4, 8080)).to.equal(client.ipv4);
    const [printed = ""] = await runSection("The command `tsnet`");
    expect(printed).to.match(/^web +bridge/m);
  });

  it("has commands that change its settings", async () => {
    const before = host.plugin.pid;
    await runSection("Settings");
    const { Enabled, Settings } = await plugin();
    expect(Enabled).to.equal(false);
    expect(Settings.Env).to.include.members(["TSNET_LOG_LEVEL=debug", "TSNET_ORPHAN_GRACE=5m"]);
    expect(Settings.Env).to.include("TSNET_ETCD_CACERT=/host/etc/tsnet/ca.pem");
    const off = ["TSNET_ETCD_ENDPOINTS=", "TSNET_ETCD_CACERT="];
    await host.docker("plugin", "set", pluginName, ...off);
    await host.docker("plugin", "enable", pluginName);
    expect(host.plugin.pid).to.not.equal(before);
  });

  it("says what one sees of a setting that is wrong", async () => {
    await host.docker("plugin", "disable", "-f", pluginName);
    expect(await host.dockerError("plugin", "set", pluginName, "TSNET_STATE_DIR=/tmp")).to.include(
      '"TSNET_STATE_DIR" is not settable',
    );
    await host.docker("plugin", "set", pluginName, "TSNET_SCOPE=globe");
    expect(await host.dockerError("plugin", "enable", pluginName)).to.match(/dial unix .*: no such file or directory/);
    expect(readFileSync(host.dockerd.logFile, "utf8")).to.include(
      "tsnet cannot start: TSNET_SCOPE=globe: expected one of local, global",
    );
    await host.docker("plugin", "set", pluginName, "TSNET_SCOPE=");
    await host.docker("plugin", "enable", pluginName);
    await host.docker("run", "--rm", "--network", "web", image, "true");
  });

  it("has commands that upgrade it, by itself and by hand", async function () {
    this.timeout(buildTimeoutMs);
    const next = `${reference}:0.2.0-amd64`;
    const [byCommand = "", byHand = ""] = page.get("Upgrade") ?? [];
    for (const block of [byCommand, byHand]) {
      const made = `${host.directory}/next`;
      makeOther(made, block);
      await host.docker("plugin", "create", next, made);
      await host.docker("plugin", "push", next);
      await host.docker("plugin", "rm", next);
      await runOnHost(host, block, directory);
      const { Enabled, PluginReference, Config } = await plugin();
      expect([Enabled, PluginReference, Config.Description]).to.deep.equal([true, next, block]);
      expect(await ask(host.outside.client, "tcp", host.ipv4, 8080)).to.equal(client.ipv4);
    }
  });

  it("has commands that remove it, after which only a table and a rule are there", async () => {
    await removeAll(host);
    await runSection("Uninstall");
    expect(await host.dockerd.api("GET", "/plugins")).to.deep.equal([]);
    expect(await host.sh("nft list tables")).to.not.include("tsnet");
    expect(globSync(`${host.directory}/docker/plugins/*/propagated-mount`)).to.deep.equal([]);
    const links: { ifalias?: string }[] = await host.ip("link");
    expect(links.filter(({ ifalias = "" }) => ifalias.startsWith("tsnet:"))).to.deep.equal([]);
  });

  it("has commands that install it without a registry", async () => {
    await host.sh(
      "mkdir /opt/downloads && cp $(find /opt/tsnet/build/release/amd64 -maxdepth 1 -type f) /opt/downloads",
    );
    await runSection("Install without a registry", "/opt/downloads");
    await host.docker("network", "create", "-d", "tsnet", "again");
    await host.docker("network", "rm", "again");
  });
});

/** Every file of a directory, with its kind, mode, size and hash. */
const listing = (directory: string): Promise<string> =>
  run([
    "bash",
    "-ec",
    `cd ${directory}; find config.json rootfs -printf '%p %y %m %l\\n' | sort; find config.json rootfs -type f -exec sha256sum {} + | sort`,
  ]);

/** As `npm run plugin:release` leaves it, of the build that all tests have, but for the list of what it is made of. */
function makeRelease(directory: string): void {
  const plugin = join(directory, "plugin");
  mkdirSync(plugin, { recursive: true });
  execFileSync("cp", ["-al", join(build(), "config.json"), join(build(), "rootfs"), plugin]);
  archive(plugin, ["config.json", "rootfs"], join(directory, "tsnet-plugin-0.1.0-amd64.tar.gz"));
  copyFileSync(join(clone, "plugin/tsnet"), join(directory, "tsnet"));
  const files = ["tsnet-plugin-0.1.0-amd64.tar.gz", "tsnet"].map((name) => join(directory, name));
  writeFileSync(join(directory, "SHA256SUMS"), checksums(files));
}

/** A build that says of itself what no other says. Docker cannot create a plugin with the same files twice: so they differ as well. */
function makeOther(directory: string, description: string): void {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory);
  execFileSync("cp", ["-al", join(build(), "rootfs"), directory]);
  writeFileSync(join(directory, "rootfs/etc/build"), description);
  const config = JSON.parse(readFileSync(join(build(), "config.json"), "utf8"));
  writeFileSync(join(directory, "config.json"), JSON.stringify({ ...config, description }));
}

/** e_machine of an ELF file: man 5 elf. */
const machineOf = (file: string): number => readFileSync(file).readUInt16LE(18);
