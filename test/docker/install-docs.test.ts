/** docs/install.md: each of its commands, as it stands, but for systemd itself, which has a stand-in here. */
import { expect } from "chai";
import { Container } from "../support/container.ts";
import { commandsOf, copyClone, hasNpm, runHere, runOnHost, shareOpt } from "../support/doc-commands.ts";
import { removeAll } from "../support/docker-suite.ts";
import { Host } from "../support/host.ts";
import { loadImage } from "../support/image.ts";
import { client } from "../support/outside.ts";
import { driver } from "../support/plugin.ts";
import { ask } from "../support/probe.ts";

const page = commandsOf("install.md");

/** Starts and ends what the unit says, with the environment of its drop-in files, as far as the page needs it. */
const systemctl = `#!/bin/bash -e
units=/etc/systemd/system
stop() {
  read -r pid </run/tsnet.pid && kill "$pid" && while [ -e "/proc/$pid" ]; do sleep 0.1; done
}
start() {
  settings=$(cat $units/tsnet.service.d/*.conf 2>/dev/null | sed -n 's/^Environment=//p')
  env $settings setsid $(sed -n 's/^ExecStart=//p' $units/tsnet.service) >>/var/log/tsnet.log 2>&1 &
  echo $! >/run/tsnet.pid
  until [ -S /run/docker/plugins/tsnet.sock ] && [ -S /run/docker/tsnet/admin.sock ]; do
    kill -0 $! || { tail /var/log/tsnet.log >&2; exit 1; }
    sleep 0.1
  done
}
case "$*" in
  daemon-reload) ;;
  "enable --now tsnet") start ;;
  "restart tsnet") stop; start ;;
  "disable --now tsnet") stop ;;
  *) echo "no stand-in for systemctl $*" >&2; exit 1 ;;
esac
`;

describe("the page about the service", () => {
  let host: Host;
  let npm = false;
  before("a host with two versions in /opt", async function () {
    if (driver !== "tsnet") this.skip();
    npm = await hasNpm();
    host = await Host.create({ packaging: "socket", prepare: "mount -t tmpfs tmpfs /var/log" });
    await host.dockerd.start();
    await loadImage(host);
    await shareOpt(host);
    await host.sh("cat >/usr/local/bin/systemctl; chmod 755 /usr/local/bin/systemctl", systemctl);
    for (const name of ["tsnet-0.1.0", "tsnet-0.2.0"]) copyClone(host, name, !npm);
  });
  after(() => host?.[Symbol.asyncDispose]());

  /** With npm's own packages, or this clone's where there is no npm. */
  async function runSection(heading: string): Promise<void> {
    for (const block of page.get(heading) ?? []) {
      const isNpms = block.includes("npm ");
      if (isNpms && npm) await runHere(host, block, "/opt");
      else await runOnHost(host, isNpms ? block.replaceAll(/^npm .*$/gm, "") : block, "/opt");
    }
  }
  const program = () => host.sh("readlink /proc/$(cat /run/tsnet.pid)/exe");
  let server: Container;

  it("has no command outside of the sections that are tried here", () => {
    expect([...page.keys()]).to.deep.equal(["Install", "Settings", "Upgrade", "Uninstall"]);
  });

  it("has commands that install it", async function () {
    this.timeout(600_000);
    expect((await host.tryDocker("network", "create", "-d", "tsnet", "early")).code).to.equal(1);
    await runSection("Install");
    server = await Container.run(host, { network: "web", serve: true }, "-p", "8080:80");
    expect(await ask(host.outside.client, "tcp", host.ipv4, 8080)).to.equal(client.ipv4);
  });

  it("has commands that change its settings", async () => {
    await runSection("Settings");
    const environment = (await host.sh("tr '\\0' '\\n' </proc/$(cat /run/tsnet.pid)/environ")).split("\n");
    expect(environment).to.include("TSNET_LOG_LEVEL=debug");
  });

  it("has commands that upgrade it, and containers run on", async function () {
    this.timeout(600_000);
    const before = await program();
    await runSection("Upgrade");
    expect(await host.sh("readlink /opt/tsnet")).to.equal("/opt/tsnet-0.2.0");
    if (npm) expect(await program()).to.not.equal(before);
    expect(await ask(host.outside.client, "tcp", host.ipv4, 8080)).to.equal(client.ipv4);
    expect((await server.inspect()).State.Running).to.equal(true);
  });

  it("has commands that remove it", async () => {
    await removeAll(host);
    await runSection("Uninstall");
    expect(await host.sh("nft list tables")).to.not.include("tsnet");
    expect(await host.sh("ls -d /var/lib/tsnet /opt/tsnet /usr/local/bin/tsnet 2>/dev/null || true")).to.equal("");
  });
});
