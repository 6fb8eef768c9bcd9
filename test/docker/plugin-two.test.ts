/** A second tsnet, or another program, where one tsnet is: the second refuses, names the first, and works once that is gone. */
import { expect } from "chai";
import { useHost } from "../support/docker-suite.ts";
import { Host } from "../support/host.ts";
import { pluginName } from "../support/managed-plugin.ts";
import { patience } from "../support/patience.ts";
import { loggedMs, socketInside } from "../support/plugin.ts";
import { until } from "../support/poll.ts";
import { installAs, refusedStart, saidBy } from "../support/refusals.ts";
import { SocketPlugin } from "../support/socket-plugin.ts";

/** A managed plugin that cannot start ends after 10 s, and dockerd starts it again. */
const healedMs = 30_000;

const second = "tsnet-two:latest";

describe("two tsnet on one host", function () {
  this.timeout(180_000 * patience);
  const host = useHost([], { packaging: "managed" });
  let program: SocketPlugin;
  beforeEach(() => {
    program = new SocketPlugin(host());
  });

  const create = (driver: string) => host().dockerError("network", "create", "-d", driver, "x");
  const works = async (driver: string): Promise<boolean> => {
    const { code } = await host().tryDocker("network", "create", "-d", driver, "works");
    if (code === 0) await host().docker("network", "rm", "works");
    return code === 0;
  };
  const comes = (driver: string) => until(`-d ${driver} works`, healedMs, () => works(driver));
  const id = async (name: string): Promise<string> =>
    (await host().docker("plugin", "inspect", "--format", "{{.Id}}", name)).trim();
  const lastSaid = () => saidBy(host()).slice(-2).join("\n");

  it("a program, and then a managed plugin: this answers its callers, and starts when the first has ended", async () => {
    await host().plugin.stop();
    await program.start();
    await host().docker("plugin", "enable", pluginName);
    const first = new RegExp(
      `another program is answering on ${socketInside}; stop it .*` +
        `another tsnet runs on this host \\(socket ${socketInside}, state in ${program.stateDirectory}, process \\d+\\)`,
      "s",
    );
    expect(await create(pluginName)).to.match(first);
    await until("the log says so", loggedMs, () => first.test(lastSaid()));
    expect(await works("tsnet")).to.equal(true);

    const startedAt = performance.now();
    await host().dockerd.stop();
    await host().dockerd.start();
    console.log(`      dockerd stops and starts with both in ${Math.round(performance.now() - startedAt)} ms`);
    expect(await works("tsnet")).to.equal(true);
    expect(await create(pluginName)).to.match(first);

    await program.stop();
    await comes(pluginName);
    expect(await works("tsnet")).to.equal(true);
    await host().plugin.start();
  });

  it("a managed plugin, and then a program: this ends at once, and starts when the first is disabled", async () => {
    await comes("tsnet");
    const refusal = await refusedStart(host());
    const first = `another tsnet runs on this host (socket ${socketInside}, state in /var/lib/tsnet, managed plugin`;
    expect(refusal)
      .to.include(`another program is answering on ${socketInside}`)
      .and.include(`${first} ${(await id(pluginName)).slice(0, 12)})`);
    expect(await works("tsnet")).to.equal(true);

    // with sockets and a state of its own it is the kernel that has only one tsnet
    const apart = { TSNET_SOCKET: "/run/docker/plugins/apart.sock", TSNET_ADMIN_SOCKET: "/run/apart.sock" };
    expect(await refusedStart(host(), apart))
      .to.include(first)
      .and.not.include("is answering");

    await host().plugin.stop();
    await program.start();
    expect(await works("tsnet")).to.equal(true);
    await program.stop();
    await host().plugin.start();
  });

  it("two managed plugins: the second answers its callers, and starts when the first is disabled", async () => {
    await installAs(host(), second);
    await host().docker("plugin", "enable", second);
    const first = new RegExp(`another tsnet runs on this host \\(socket ${socketInside}, state in /var/lib/tsnet, `);
    const refusal = await create(second);
    expect(refusal)
      .to.match(first)
      .and.include(`managed plugin ${(await id(pluginName)).slice(0, 12)})`);
    expect(await works("tsnet")).to.equal(true);
    expect(await works(pluginName)).to.equal(true);

    await host().plugin.stop();
    await comes(second);
    expect(await works("tsnet")).to.equal(true);
    await host().docker("plugin", "disable", "-f", second);
    await host().docker("plugin", "rm", second);
    await host().plugin.start();
  });

  it("another program on the socket: it is left alone, named, and its place is taken when it has ended", async () => {
    await host().plugin.stop();
    const listener = ["socat", `UNIX-LISTEN:${socketInside},fork`, "SYSTEM:cat"];
    const stranger = await host().namespace.start(listener, `${host().directory}/stranger.log`, process.env);
    await until(
      "it listens",
      healedMs,
      async () => (await host().sh(`[ -S ${socketInside} ] && echo yes || true`)) !== "",
    );
    await host().docker("plugin", "enable", pluginName);
    expect(await create(pluginName)).to.include(
      `another program is answering on ${socketInside}; stop it or set TSNET_SOCKET`,
    );
    expect(await refusedStart(host())).to.include(
      `another program is answering on ${socketInside}; stop it or set TSNET_SOCKET`,
    );
    process.kill(stranger.pid, "SIGKILL");
    await stranger.ended;
    await comes("tsnet");
    await host().plugin.start();
  });
});

describe("a program that is started before Docker", () => {
  /** Owner and mode of dockerd's directories. */
  const rights = (host: Host) =>
    host.sh("stat -c '%n %a %u:%g' /run/docker /run/docker/plugins; stat -c '%n %a' /run/docker/*");

  it("makes /run/docker, which dockerd then has as it would have made it, and is found by dockerd", async () => {
    await using alone = await Host.create({ packaging: "socket" });
    await alone.dockerd.start();
    const wanted = await rights(alone);
    await using host = await Host.create({ packaging: "socket" });
    expect(await host.sh("ls -d /run/docker || true")).to.equal("");
    await host.plugin.start();
    await host.dockerd.start();
    const modes = (await rights(host)).split("\n").filter((line) => !line.startsWith("/run/docker/tsnet "));
    expect(modes.join("\n")).to.equal(wanted);
    await host.docker("network", "create", "-d", "tsnet", "web");
    await host.docker("network", "rm", "web");
    expect(await host.plugin.stop()).to.equal(0);
  });
});

describe("a host without nf_tables", function () {
  this.timeout(180_000 * patience);
  const wrapper = new URL("../support/without-netfilter.ts", import.meta.url).pathname;
  const says = "the kernel has no nf_tables that can be used: load the module nf_tables, or take a kernel that has it";
  const why = "socket: EPROTONOSUPPORT Protocol not supported";

  it("has a program say so and end", async () => {
    await using host = await Host.create({ packaging: "socket" });
    expect(await refusedStart(host, {}, [process.execPath, wrapper])).to.equal(`tsnet cannot start: ${says}: ${why}\n`);
  });

  it("has a managed plugin say so to who calls, and dockerd start", async () => {
    await using host = await Host.create({ packaging: "managed" });
    const real = "/run/real-dockerd";
    const script = `#!/bin/sh\nexec ${process.execPath} ${wrapper} ${real} "$@"\n`;
    const keep = `touch ${real} && mount --bind "$(command -v dockerd)" ${real} && mount --make-private ${real}`;
    await host.sh(`${keep} && cat >/run/dockerd && chmod 755 /run/dockerd`, script);
    await host.dockerd.start(["--iptables=false", "--bridge=none"]);
    await host.docker("plugin", "enable", pluginName);
    await host.dockerd.stop();
    await host.sh(`mount --bind /run/dockerd "$(command -v dockerd)"`);
    const startedAt = performance.now();
    await host.dockerd.start();
    console.log(`      dockerd starts in ${Math.round(performance.now() - startedAt)} ms`);
    expect(await host.dockerError("network", "create", "-d", "tsnet", "x")).to.include(says);
    await host.dockerd.stop();
    await host.sh(`umount "$(command -v dockerd)"`);
    await host.dockerd.start();
    await host.docker("network", "create", "-d", "tsnet", "x");
    await host.docker("network", "rm", "x");
  });
});
