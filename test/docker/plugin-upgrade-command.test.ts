/** tsnet upgrade, and the command of a host that has the managed plugin only, against a real Docker and a registry. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import type { Outcome } from "../support/commands.ts";
import { attempt } from "../support/commands.ts";
import { Container } from "../support/container.ts";
import { removeAll } from "../support/docker-suite.ts";
import { Host } from "../support/host.ts";
import { loadImage } from "../support/image.ts";
import { LiveTraffic } from "../support/live-traffic.ts";
import { client } from "../support/outside.ts";
import { patience } from "../support/patience.ts";
import { packaging } from "../support/plugin.ts";
import { ask } from "../support/probe.ts";
import { build, installPlugin, publish, reference, startRegistry } from "../support/registry.ts";

const clone = fileURLToPath(new URL("../..", import.meta.url));
const program = "/usr/lib/tsnet/src";

/** Files of the build that are others, by their path, and what is other in config.json. */
interface Changes {
  readonly files?: Readonly<Record<string, string>>;
  readonly config?: Readonly<Record<string, unknown>>;
}

/** Puts a changed build into the registry. */
async function publishChanged(host: Host, tag: string, { files = {}, config = {} }: Changes): Promise<void> {
  const directory = join(host.directory, `build-${tag}`);
  mkdirSync(directory);
  execFileSync("cp", ["-al", join(build(), "rootfs"), directory]);
  for (const [path, text] of Object.entries(files)) {
    const file = join(directory, "rootfs", path);
    rmSync(file); // the other build has a link to the same file
    writeFileSync(file, text);
  }
  const ours = JSON.parse(readFileSync(join(build(), "config.json"), "utf8"));
  writeFileSync(join(directory, "config.json"), JSON.stringify({ ...ours, ...config }));
  await publish(host, directory, tag);
}

describe("tsnet upgrade", () => {
  let host: Host;
  before("a registry with several builds, and a host that has one of them", async function () {
    if (packaging !== "managed") return this.skip();
    this.timeout(300_000);
    const registry = "registry.example.com";
    host = await Host.create({
      prepare: `mount -t tmpfs tmpfs /usr/local/bin; echo 127.0.0.1 ${registry} >>/etc/hosts`,
    });
    await host.dockerd.start(["--insecure-registry", `${registry}:5000`]);
    await loadImage(host);
    await startRegistry(host);
    const { linux, entrypoint } = JSON.parse(readFileSync(join(build(), "config.json"), "utf8"));
    await publish(host, build(), "1");
    await publishChanged(host, "2", { config: { description: "the second" } });
    await publishChanged(host, "exits", { config: { entrypoint: [entrypoint[0], "-e", "process.exit(1)"] } });
    const throws = `export async function run() { throw new Error("made to fail"); }`;
    await publishChanged(host, "throws", { files: { [`${program}/compose.js`]: throws } });
    const capabilities = [...linux.capabilities, "CAP_SYS_TIME"];
    await publishChanged(host, "more", { config: { linux: { ...linux, capabilities } } });
    await host.docker("plugin", "rm", "tsnet-plugin:latest");
  });
  after(() => host?.[Symbol.asyncDispose]());

  beforeEach("build 1 is installed", async () => {
    await installPlugin(host, "tsnet-plugin", "1", "TSNET_LOG_LEVEL=debug");
    await host.docker("network", "create", "-d", "tsnet", "--subnet", "10.70.0.0/24", "web");
  });
  afterEach(async () => {
    await removeAll(host);
    for (const { Name } of await host.dockerd.api("GET", "/plugins")) await host.docker("plugin", "rm", "-f", Name);
  });

  const onHost = (words: string): Promise<Outcome> =>
    attempt(host.namespace.command(["sh", "-c", `${clone}/plugin/tsnet ${words}`]), { timeoutMs: 100_000 * patience });
  const inspect = () => host.dockerd.api("GET", "/plugins/tsnet-plugin/json");
  /** What is installed is whole: it serves what was there, and what comes. */
  const expectWorking = async (tag: string) => {
    const { Enabled, PluginReference, Settings } = await inspect();
    expect([Enabled, PluginReference]).to.deep.equal([true, reference(tag)]);
    expect(Settings.Env).to.include("TSNET_LOG_LEVEL=debug");
    await Container.run(host, { network: "web", serve: true }, "-p", "8099:80", "--name", `after-${tag}`);
    expect(await ask(host.outside.client, "tcp", host.ipv4, 8099)).to.equal(client.ipv4);
    await host.docker("rm", "-f", `after-${tag}`);
    expect((await host.dockerd.api("GET", "/plugins")).length, "what was fetched is removed").to.equal(1);
  };

  it("loses no packet of containers that run, and new ones work after it", async () => {
    const traffic = await LiveTraffic.start(host, "web");
    let outcome: Outcome | undefined;
    const fate = await traffic.during(async () => {
      outcome = await onHost(`upgrade ${reference("2")}`);
    });
    expect(outcome?.stderr).to.equal("");
    expect(outcome?.code).to.equal(0);
    expect(outcome?.stdout).to.match(/^ {2}check .* it answers, and knows 1 network and 2 endpoints\nUpgraded\. For /m);
    expect([fate.lost, fate.resets]).to.deep.equal([0, 0]);
    expect(fate.messages).to.be.above(1000);
    expect((await inspect()).Config.Description).to.equal("the second");
    await expectWorking("2");
  });

  const broken: [tag: string, what: string, why: RegExp][] = [
    ["exits", "whose program ends", /does not work: it has ended, or does not listen: dial unix .*tsnet\.sock/],
    ["throws", "that cannot start", /does not work: tsnet cannot start: .*made to fail/],
  ];
  for (const [tag, what, why] of broken) {
    it(`goes back from a build ${what}`, async () => {
      const traffic = await LiveTraffic.start(host, "web");
      let outcome: Outcome | undefined;
      const fate = await traffic.during(async () => {
        outcome = await onHost(`upgrade ${reference(tag)}`);
      });
      expect(outcome?.stderr)
        .to.match(why)
        .and.contain(`${reference("1")} is back`);
      expect(outcome?.code).to.equal(1);
      expect(outcome?.stdout).to.match(/\nGoing back\n(.*\n)*.* it answers, and knows 1 network and 2 endpoints\n$/);
      expect([fate.lost, fate.resets]).to.deep.equal([0, 0]);
      await expectWorking("1");
    });
  }

  it("asks before a build may do more", async () => {
    const { pid } = host.plugin;
    const refused = await onHost(`upgrade ${reference("more")} --json`);
    expect(refused.stderr).to.match(/may do more than what is installed: capabilities: CAP_SYS_TIME\. .*--grant-all/);
    expect(refused.code).to.equal(1);
    expect(JSON.parse(refused.stdout)).to.deep.include({
      result: "unchanged",
      newPermissions: ["capabilities: CAP_SYS_TIME"],
    });
    expect(host.plugin.pid, "it was not touched").to.equal(pid);
    const granted = await onHost(`upgrade ${reference("more")} --json --grant-all-permissions`);
    expect(granted.stderr).to.equal("");
    const { result, steps } = JSON.parse(granted.stdout);
    expect(result).to.equal("upgraded");
    expect(steps.map(({ step }: { step: string }) => step)).to.deep.equal([
      "look",
      "find",
      "fetch",
      "fetch",
      "disable",
      "upgrade",
      "enable",
      "check",
    ]);
    await expectWorking("more");
  });

  it("says before it changes anything that there is no way back", async () => {
    const { pid } = host.plugin;
    const same = await onHost(`upgrade ${reference("1")}`);
    expect(same.stderr).to.match(/there would be no way back: .* is now the same as .*--no-way-back/);
    const none = await onHost(`upgrade ${reference("none")}`);
    expect(none.stderr).to.match(/tsnet-plugin:none: Docker does not find it in the registry: /);
    expect(host.plugin.pid).to.equal(pid);
    expect([same.code, none.code]).to.deep.equal([1, 1]);
    await host.docker("plugin", "rm", "-f", "tsnet-plugin");
    await host.docker("plugin", "create", "tsnet-plugin", build());
    await host.docker("plugin", "set", "tsnet-plugin", "TSNET_LOG_LEVEL=debug");
    await host.docker("plugin", "enable", "tsnet-plugin");
    const made = await onHost(`upgrade ${reference("2")}`);
    expect(made.stderr).to.match(
      /there would be no way back: .* comes from .*tsnet-plugin:latest, and no registry has that/,
    );
    await host.docker("network", "rm", "web"); // of the plugin that was removed with its state
    await host.docker("network", "create", "-d", "tsnet", "--subnet", "10.70.0.0/24", "web");
    const without = await onHost(`upgrade ${reference("2")} --no-way-back`);
    expect([without.stderr, without.code]).to.deep.equal(["", 0]);
    await expectWorking("2");
  });

  describe("on a host with the managed plugin", () => {
    const docs = readFileSync(`${clone}/docs/cli.md`, "utf8");
    const section = /^## On a host with the managed plugin\n(.*?)^## /ms.exec(docs)?.[1] ?? "";
    const commands = [...section.matchAll(/^```sh\n(.*?)^```$/gms)].flatMap(([, block = ""]) =>
      block.trim().split("\n"),
    );

    it("has commands in the docs, and each of them works as it stands", async () => {
      expect(commands).to.have.length.above(5);
      await Container.run(host, { network: "web", serve: true }, "-p", "8080:80", "--name", "shop");
      const outputs: string[] = [];
      for (const command of commands) outputs.push(await host.sh(`cd ${clone}/plugin && ${command}`));
      const [, networks, endpoints, ports, explained, , upgraded] = outputs;
      expect(networks).to.match(/\nweb +bridge .* 10\.70\.0\.0\/24 .* up$/);
      expect(endpoints).to.match(/\nshop +web +bridge .* 10\.70\.0\.2 .* up$/);
      expect(ports).to.match(/\n0\.0\.0\.0:8080 +tcp +10\.70\.0\.2:80 +shop +web /);
      expect(explained).to.contain("translated to 10.70.0.2:80, container shop of network web");
      expect(upgraded).to.match(/\nUpgraded\. For /);
      expect((await inspect()).Config.Description).to.equal("the second");
    });

    it("reaches the host's sockets and sees the host's programs", async () => {
      await host.docker("plugin", "disable", "-f", "tsnet-plugin");
      await host.docker("plugin", "set", "tsnet-plugin", "TSNET_ADMIN_SOCKET=/host/run/elsewhere/admin.sock");
      await host.docker("plugin", "enable", "tsnet-plugin");
      expect((await onHost("networks")).stdout).to.match(/\nweb +bridge /);
      expect((await onHost("networks --socket /run/elsewhere/admin.sock")).stdout).to.match(/\nweb +bridge /);
      expect(await onHost("networks --socket /run/none.sock")).to.deep.equal({
        ...{ code: 1, stdout: "" },
        stderr:
          "tsnet: /run/none.sock: no such socket: start the plugin (systemctl start tsnet, or docker plugin enable tsnet-plugin), or name its socket with --socket\n",
      });
      await host.sh(
        "socat tcp-listen:7777,fork /dev/null >/dev/null 2>&1 & until ss -Hltn | grep -q :7777; do sleep 0.05; done",
      );
      const { stdout } = await onHost("firewall explain 7777");
      expect(stdout).to.match(/\nListening here: socat \(pid \d+\) on 0\.0\.0\.0:7777\n$/);
      expect((await onHost("networks --nothing")).code).to.equal(2);
    });

    it("says that the plugin does not run, and takes nothing else for it", async () => {
      await host.sh(`sh -c 'sleep 1000; :' ${program}/main.js >/dev/null 2>&1 & echo`);
      await host.docker("plugin", "disable", "-f", "tsnet-plugin");
      expect(await onHost("networks")).to.deep.equal({
        ...{ code: 1, stdout: "" },
        stderr:
          "tsnet: the managed plugin does not run: docker plugin ls says whether it is installed and enabled; docker plugin enable tsnet-plugin\n",
      });
      const command = ["setpriv", "--reuid", "65534", "--clear-groups", "sh", `${clone}/plugin/tsnet`, "networks"];
      const { code, stderr } = await attempt(host.namespace.command(command));
      expect([code, stderr]).to.deep.equal([1, "tsnet: no permission: run this as root (sudo tsnet ...)\n"]);
    });
  });
});
