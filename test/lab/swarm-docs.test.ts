/** What README.md and docs/swarm.md say of a swarm: each command, as it stands, on the node that it is for. */
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { clone, commandsOf, runOnHost } from "../support/doc-commands.ts";
import { showLogs } from "../support/docker-suite.ts";
import { Host } from "../support/host.ts";
import { image, loadImage } from "../support/image.ts";
import { pluginName } from "../support/managed-plugin.ts";
import { Outside } from "../support/outside.ts";
import { patience } from "../support/patience.ts";
import { until } from "../support/poll.ts";
import { build, startRegistry } from "../support/registry.ts";
import { leftOf } from "../support/swarm-lab-left.ts";

const readme = commandsOf("../README.md");
const page = commandsOf("swarm.md");

/** What the pages have. */
const reference = "registry.example.org/tsnet-plugin:0.1.0-amd64";
const addressOf = (number: number): string => `10.0.0.${number}`;
const sharedRegistryPort = 5001;

/** Ways between nodes are looked at within seconds; tasks are stopped, and deletes batched. */
const settleMs = 40_000;
const startMs = 240_000;

/** So long the pages say that it takes until the manager knows of the plugin; a machine that is busy takes longer. */
const toldMs = 40_000;

/** What the server of the pages' image answers. */
const welcome = "Welcome to this test!";

/** Ends at once when it is to. */
const serveScript = "trap 'exit 0' TERM; httpd -p 80 -h /www; sleep 2147483647 & wait";

/** A part of a block: what is to be done on a node, or on each. */
interface Step {
  readonly where: string;
  readonly lines: string;
}

/** "# on 10.0.0.1" says where the lines below it belong. */
const stepsOf = (block: string): Step[] =>
  block.split(/^# on /m).flatMap((part) => {
    const [where = "", ...lines] = part.split("\n");
    return part === "" ? [] : [{ where, lines: lines.join("\n") }];
  });

describe("the pages about a swarm", () => {
  let outside: Outside;
  const hosts: Host[] = [];
  const each = <T>(work: (host: Host) => Promise<T>): Promise<T[]> => Promise.all(hosts.map(work));
  const docker = (...args: string[]): Promise<string> => (hosts[0] as Host).docker(...args);

  before("three nodes that are a swarm, without tsnet, and the registry of the pages", async function () {
    this.timeout(startMs * patience);
    outside = await Outside.create();
    for (const number of [1, 2, 3]) hosts.push(await Host.create({ outside, number, packaging: "managed" }));
    await each(beAsThePagesSay);
    const [first, ...others] = hosts as [Host, ...Host[]];
    await shareRegistry(first);
    await first.docker("swarm", "init", "--advertise-addr", addressOf(1));
    const token = await first.docker("swarm", "join-token", "-q", "worker");
    for (const host of others) {
      await forward(host, "TCP-LISTEN:80,bind=127.0.0.1", `TCP:${addressOf(1)}:${sharedRegistryPort}`);
      const self = ["--advertise-addr", addressOf(host.number)];
      await host.docker("swarm", "join", ...self, "--token", token, `${addressOf(1)}:2377`);
    }
  });
  afterEach(function () {
    if (this.currentTest?.isFailed()) hosts.forEach(showLogs);
  });
  after(async () => {
    await each((host) => host[Symbol.asyncDispose]());
    await outside?.[Symbol.asyncDispose]();
  });

  /** Does what a block says. @returns what it prints, for each node that it is for */
  async function follow(block: string | undefined): Promise<string[]> {
    const steps = stepsOf(block ?? "");
    expect(steps).not.to.deep.equal([]);
    const printed: string[] = [];
    for (const { where, lines } of steps) {
      const those = hosts.filter(({ number }) => where === "each node" || where === addressOf(number));
      expect(those, where).not.to.deep.equal([]);
      for (const host of those) {
        if (lines.includes("tsnet doctor")) await until("nothing is wrong", settleMs, () => isWell(host));
        printed.push(await runOnHost(host, lines, "/"));
      }
    }
    return printed;
  }

  /** As the manager has it of all nodes. */
  const isInstalled = async (): Promise<boolean> => {
    const nodes: DockerNodes = await (hosts[0] as Host).dockerd.api("GET", "/nodes");
    return nodes.every(({ Description }) => Description.Engine.Plugins.some(({ Name }) => Name === pluginName));
  };
  type DockerNodes = { Description: { Engine: { Plugins: { Name: string }[] } } }[];

  it("have no commands but those that are tried here", () => {
    expect(readme.get("Swarm")).to.have.length(5);
    const headings = ["Networks", "Virtual IPs", "With a compose file", "What is wrong"];
    expect([...page.keys()]).to.deep.equal(headings);
    for (const blocks of page.values()) expect(blocks).to.have.length(1);
  });

  it("lead from a swarm to a service that answers on each node by name and by virtual IP", async function () {
    this.timeout(startMs * patience);
    const [install, create, reach, publish, look] = readme.get("Swarm") ?? [];
    await follow(install);
    await until("the manager has heard of it", toldMs, isInstalled);
    const [made = ""] = await follow(create);
    expect(made.match(/^\S+ +web\.[123] .* Running /gm)).to.have.length(3);
    expect(made).to.match(/^10\.5\.0\.2\/24$/m);
    const reached = await follow(reach);
    expect(reached).to.have.length(3);
    for (const printed of reached) {
      expect(printed).to.match(/^Address(?: \d+)?: 10\.5\.0\.2\b/m);
      expect(printed.split(welcome)).to.have.length(3);
    }
    expect((await follow(publish)).join()).to.include(welcome);
    for (const printed of await follow(look)) {
      expect(printed)
        .to.match(/^mesh +web +10\.5\.0\.2 +3\/3 +\d+$/m)
        .and.include("Service web on network mesh, virtual IP 10.5.0.2")
        .and.match(/^web\.1\.\w+ +10\.5\.0\.\d+ +(this one|another) +active +\d+$/m)
        .and.match(/^Swarm: +(manager|worker) at 10\.0\.0\./m)
        .and.include("Nothing is wrong.");
    }
  });

  it("go on with another network, the tasks' addresses, and a compose file", async function () {
    this.timeout(startMs * patience);
    const [networks = ""] = await follow(page.get("Networks")?.[0]);
    expect(networks).to.match(/^mesh +overlay /m);
    const [tasks = ""] = await follow(page.get("Virtual IPs")?.[0]);
    expect(tasks.match(/^Address(?: \d+)?: 10\.5\.0\.\d+/gm)).to.have.length(3);
    await follow(page.get("With a compose file")?.[0]);
    const ask = async () => (await run(hosts[1] as Host, `busybox wget -q -O - http://${addressOf(3)}:8081/`)).trim();
    await until("the stack answers", settleMs, async () => (await ask()) === welcome);
    await follow(page.get("What is wrong")?.[0]);
  });

  it("are as good for a node without tasks, where the network comes and goes with each container", async function () {
    this.timeout(startMs * patience);
    await docker("service", "rm", "shop");
    await docker("service", "update", "-d", "--constraint-add", "node.hostname==host1", "web");
    await until("the service is on one node", settleMs, async () => {
      const tasks = await docker(
        "service",
        "ps",
        "-f",
        "desired-state=running",
        "--format",
        "{{.Node}} {{.CurrentState}}",
        "web",
      );
      return tasks.split("\n").filter((task) => task.startsWith("host1 Running")).length === 3;
    });
    for (let round = 0; round < 3; round++) {
      const asked = (hosts[1] as Host).docker(
        "run",
        "--rm",
        "--network",
        "mesh",
        "busybox",
        "wget",
        "-q",
        "-O",
        "-",
        "http://web/",
      );
      expect(await asked).to.include(welcome);
    }
  });

  it("say what is refused, and by whom", async () => {
    const [, worker] = hosts as [Host, Host];
    expect(await worker.dockerError("network", "create", "-d", pluginName, "other")).to.match(/from a worker node/);
    const dnsrr = ["--publish", "8082:80", "--endpoint-mode", "dnsrr", "--network", "mesh"];
    const refusal = "port published with ingress mode can't be used with dnsrr mode";
    expect(await (hosts[0] as Host).dockerError("service", "create", ...dnsrr, "nginx")).to.include(refusal);
  });

  it("leave nothing when all is removed", async function () {
    this.timeout(startMs * patience);
    await docker("service", "rm", "web");
    // Docker refuses to remove networks of tasks that it has not yet told to stop, also those of a stack whose services it just removed
    await until("shop is removed", settleMs, async () => (await docker("stack", "rm", "shop")) !== undefined);
    for (const network of ["mesh", "back"])
      await until(
        `${network} is removed`,
        settleMs,
        async () => (await docker("network", "rm", network)) !== undefined,
      );
    let left: string[] = [];
    const gone = until("nothing is left", settleMs, async () => {
      left = (await each(leftOf)).flat();
      return left.length === 0;
    });
    await gone.catch((cause: Error) => {
      throw new Error(`left behind: ${left.join(", ")}`, { cause });
    });
  });
});

/** In a container of the host's own network namespace. */
const run = (host: Host, words: string): Promise<string> =>
  host.docker("run", "--rm", "--network", "host", ...words.split(" "));

/** What begins on one node is known to the others a moment later. */
const isWell = async (host: Host): Promise<boolean> =>
  (await runOnHost(host, "tsnet doctor || true", "/")).includes("Nothing is wrong.");

/** With the addresses, the images and the command that they name, the name of their registry, and no plugin. */
async function beAsThePagesSay(host: Host): Promise<void> {
  await host.sh(`
    ip addr add ${addressOf(host.number)}/24 dev eth0
    echo 127.0.0.1 registry.example.org >>/etc/hosts
    mount -t tmpfs tmpfs /usr/local/bin`);
  const command = `${host.directory}/tsnet`;
  copyFileSync(join(clone, "plugin/tsnet"), command);
  await host.sh(`install -m 755 ${command} /usr/local/bin/tsnet`);
  await host.dockerd.start([]);
  await loadImage(host);
  await host.docker("tag", image, "busybox");
  await host.docker("run", "--name", "server", image, "sh", "-c", `mkdir /www && echo "${welcome}" >/www/index.html`);
  await host.docker("commit", "--change", `CMD ["sh", "-c", "${serveScript}"]`, "server", "nginx");
  await host.docker("rm", "server");
  await host.docker("plugin", "rm", pluginName);
}

/** Docker takes a registry without TLS on 127.0.0.0/8 alone: each node has one there, which is the first node's. */
async function shareRegistry(first: Host): Promise<void> {
  await startRegistry(first);
  await forward(first, `TCP-LISTEN:${sharedRegistryPort},bind=${addressOf(1)}`, "TCP:127.0.0.1:5000");
  await forward(first, "TCP-LISTEN:80,bind=127.0.0.1", "TCP:127.0.0.1:5000");
  await first.docker("plugin", "create", reference, build());
  await first.docker("plugin", "push", reference);
  await first.docker("plugin", "rm", reference);
}

const forward = (host: Host, from: string, to: string): Promise<unknown> =>
  host.namespace.start(["socat", `${from},fork,reuseaddr`, to], `${host.directory}/socat.log`, process.env);
