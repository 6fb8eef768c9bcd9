/** docs/overlay.md: each of its commands, as it stands, on the host that it is for. */
import { expect } from "chai";
import { commandsOf, runOnHost } from "../support/doc-commands.ts";
import { expectNothingLeft, removeAll, showLogs } from "../support/docker-suite.ts";
import { Host } from "../support/host.ts";
import { image, loadImage } from "../support/image.ts";
import { client, Outside } from "../support/outside.ts";
import { patience } from "../support/patience.ts";
import { until } from "../support/poll.ts";
import { ask } from "../support/probe.ts";

const page = commandsOf("overlay.md");
const program = new URL("../../src/cli/tsnet", import.meta.url).pathname;

/** Ways between hosts are looked at, and tried, within a second or two. */
const settleMs = 20_000;

/** A part of a block: what is to be done on a host, or on each. */
interface Step {
  readonly where: string;
  readonly lines: string;
}

/** "# on 10.0.0.1" says where the lines below it belong. */
function stepsOf(heading: string): Step[] {
  const all = (page.get(heading) ?? []).join("");
  return all.split(/^# on /m).flatMap((part) => {
    const [where = "", ...lines] = part.split("\n");
    return part === "" ? [] : [{ where, lines: lines.join("\n") }];
  });
}

describe("the page about overlay networks", () => {
  let outside: Outside;
  const hosts: Host[] = [];
  const hostsOf = ({ where }: Step): Host[] => hosts.filter((_, n) => where === "each host" || where === addressOf(n));

  before("the two hosts that it is for", async function () {
    this.timeout(180_000 * patience);
    outside = await Outside.create();
    for (const number of [1, 2]) hosts.push(await Host.create({ outside, number, packaging: "socket" }));
    await Promise.all(hosts.map(beAsThePageSays));
  });
  afterEach("nothing is left", async function () {
    if (this.currentTest?.isFailed()) hosts.forEach(showLogs);
    await Promise.all(hosts.map(removeAll));
    await Promise.all(hosts.map(expectNothingLeft));
  });
  after(async () => {
    for (const host of hosts) await host[Symbol.asyncDispose]();
    await outside?.[Symbol.asyncDispose]();
  });

  /** Does what a section says. @returns what all of it prints */
  async function follow(heading: string): Promise<string> {
    const steps = stepsOf(heading);
    expect(steps, heading).not.to.deep.equal([]);
    const printed: string[] = [];
    for (const step of steps) {
      const those = hostsOf(step);
      expect(those, step.where).not.to.deep.equal([]);
      for (const host of those) printed.push(await perform(host, step));
    }
    return printed.join("\n");
  }

  it("has no command outside of the sections that are tried here", () => {
    const headings = ["With etcd", "Without etcd", "What is on a host", "The short way"];
    expect([...page.keys()]).to.deep.equal(headings);
  });

  it("has commands that make a network with etcd, and show what is on a host, and which way packets go", async function () {
    this.timeout(120_000 * patience);
    const [one, two] = hosts as [Host, Host];
    const made = await follow("With etcd");
    expect(made).to.match(/3 packets transmitted, 3 packets received/);
    expect(made)
      .to.match(/^host1 .* 10\.0\.0\.1 /m)
      .and.match(/^host2 \(this host\) .* 10\.0\.0\.2 /m);
    expect(made)
      .to.match(/^10\.0\.0\.1 +ok /m)
      .and.include("Nothing is wrong.");
    expect(await ask(outside.client, "tcp", one.ipv4, 8080)).to.equal(client.ipv4);
    const address = await two.docker("inspect", "-f", "{{.NetworkSettings.Networks.mesh.IPAddress}}", "two");

    const found = await follow("What is on a host");
    expect(found).to.match(/^02:42:0a:05:\S+ dev tsx-\S+ sticky master tsb-\S+ static/m);
    expect(found).to.match(/^02:42:0a:05:\S+ dev tsx-\S+ dst 10\.0\.0\.2 .*permanent/m);
    expect(found).to.match(new RegExp(`^${address} dev tsb-\\S+ lladdr \\S+ PERMANENT`, "m"));

    await until("host 1 has a route to it", settleMs, async () => (await one.sh("ip rule show priority 116")) !== "");
    const ways = await follow("The short way");
    expect(ways).to.match(/^116:.* iif tsg-\S+ lookup 7631726 proto 116/m);
    expect(ways).to.match(new RegExp(`^${address} via 10\\.0\\.0\\.2 dev eth0 table 7631726`, "m"));
  });

  it("has commands that make a network without", async function () {
    this.timeout(120_000 * patience);
    expect(await follow("Without etcd")).to.match(/3 packets transmitted, 3 packets received/);
  });
});

const addressOf = (index: number): string => `10.0.0.${index + 1}`;

/** Settings are for the plugin, which is started with them; all else is for the shell. */
async function perform(host: Host, { lines }: Step): Promise<string> {
  const settings = lines.split("\n").filter((line) => line !== "");
  if (lines.includes("tsnet doctor")) await until("nothing is wrong", settleMs, () => isWell(host));
  if (!settings.every((line) => /^TSNET_\w+=/.test(line))) return await runOnHost(host, lines, "/");
  await host.plugin.stop();
  // the hosts are clones of this machine
  const set = settings.map((line) => line.split("=", 2));
  await host.plugin.start({ TSNET_HOST_ID: `host${host.number}`, ...Object.fromEntries(set) });
  return "";
}

/** What begins on one host is known to the others a moment later. */
const isWell = async (host: Host): Promise<boolean> =>
  (await host.sh(`${program} doctor || true`)).includes("Nothing is wrong.");

/** With the address and the images that it names, the command, and the plugin with no settings. */
async function beAsThePageSays(host: Host): Promise<void> {
  await host.sh(`
    ip addr add 10.0.0.${host.number}/24 dev eth0
    mount -t tmpfs tmpfs /var/log
    mount -t tmpfs tmpfs /usr/local/bin
    ln -s ${program} /usr/local/bin/tsnet`);
  await host.plugin.start({});
  await host.dockerd.start();
  await loadImage(host);
  await host.docker("tag", image, "busybox");
  await host.docker("create", "--name", "server", image);
  await host.docker("commit", "--change", 'CMD ["/bin/serve"]', "server", "nginx");
  await host.docker("rm", "server");
}
