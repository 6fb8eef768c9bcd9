/** What `tsnet doctor` finds out about a swarm, and who is refused for what the nodes have to have in common. */
import { globSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import type { DoctorAnswer, DoctorFinding } from "../../src/driver/overlay/doctor-answers.ts";
import { ownVersion } from "../../src/version.ts";
import { Container } from "../support/container.ts";
import type { Host } from "../support/host.ts";
import { pluginName } from "../support/managed-plugin.ts";
import { until } from "../support/poll.ts";
import { useSwarm } from "../support/swarm-lab-suite.ts";

const program = fileURLToPath(new URL("../../src/cli/tsnet", import.meta.url));

/** Probes of a network that has just begun fail. */
const settleMs = 20_000;

/** A node tells the managers of its plugins every 20 s (nodeUpdatePeriod in swarmkit/agent). */
const toldMs = 60_000;

/** Gives a host's plugin, which does not run, another version. Its files are links to those of all hosts. */
function rename(host: Host, version: string): void {
  const [file = ""] = globSync(`${host.directory}/docker/plugins/*/rootfs/usr/lib/tsnet/package.json`);
  const text = readFileSync(file, "utf8");
  rmSync(file);
  writeFileSync(file, JSON.stringify({ ...JSON.parse(text), version }));
}

describe("tsnet doctor in a swarm", () => {
  const lab = useSwarm();

  /** A host's plugin has another version, or settings besides its own, until the work is over, whether it fails or not. */
  async function changed(
    host: Host,
    { settings = {}, version = null }: { settings?: NodeJS.ProcessEnv; version?: string | null },
    work: () => Promise<void>,
  ): Promise<void> {
    const own = await ownVersion();
    const startAs = async (text: string, more: NodeJS.ProcessEnv): Promise<void> => {
      await host.plugin.stop();
      if (version !== null) rename(host, text);
      await host.plugin.start({ ...lab().settingsOf(host), ...more });
    };
    try {
      await startAs(version ?? own, settings);
      await work();
    } finally {
      await startAs(own, {});
    }
  }

  const doctor = async (host: Host): Promise<DoctorAnswer> =>
    JSON.parse(await host.sh(`${program} doctor --json || [ $? = 1 ]`));

  /** Waits until exactly these kinds of things are wrong. @returns what is said of them */
  async function finds(host: Host, kinds: string[], deadlineMs = settleMs): Promise<readonly DoctorFinding[]> {
    let findings: readonly DoctorFinding[] = [];
    const found = until(`host ${host.number} finds ${kinds.join() || "nothing"}`, deadlineMs, async () => {
      ({ findings } = await doctor(host));
      return findings.map(({ kind }) => kind).join() === kinds.join();
    });
    await found.catch((cause: Error) => {
      throw new Error(`${cause.message}: ${findings.map(({ text }) => text).join("; ")}`, { cause });
    });
    return findings;
  }

  /** Waits until a host knows both others, and what they tell of themselves. */
  const hears = (host: Host): Promise<DoctorAnswer> =>
    until(`host ${host.number} hears of both others`, settleMs, async () => {
      const answer = await doctor(host);
      const versions = answer.peers.flatMap(({ version }) => version ?? []);
      return versions.length === 2 ? answer : undefined;
    });

  /** Drops what comes to a host, until what is returned is called. */
  async function block(host: Host, what: string): Promise<() => Promise<unknown>> {
    await host.sh(`nft -f - <<'END'
      table inet blocked { chain input { type filter hook input priority -200; ${what} drop; }; }\nEND`);
    return () => host.sh("nft delete table inet blocked");
  }

  it("finds nothing wrong, and knows who is who", async () => {
    await lab().network("mesh");
    for (const host of lab().hosts) await Container.run(host, { network: "mesh" });
    for (const host of lab().hosts) await finds(host, []);
    const [manager, worker] = [await hears(lab().host(1)), await hears(lab().host(3))];
    expect(manager.swarm).to.deep.equal({ address: lab().host(1).ipv4, role: "manager", managers: 1, nodes: 3 });
    expect(worker.swarm).to.deep.equal({ address: lab().host(3).ipv4, role: "worker", managers: 1, nodes: null });
    expect(worker.peers.map(({ address }) => address)).to.have.members([lab().host(1).ipv4, lab().host(2).ipv4]);
    const version = await ownVersion();
    expect([worker.version, ...worker.peers.map((peer) => peer.version)]).to.deep.equal([version, version, version]);
    expect(worker.notes).to.deep.equal([]);
  });

  it("finds ports of other nodes and of managers that do not answer", async () => {
    await lab().network("mesh");
    for (const host of lab().hosts) await Container.run(host, { network: "mesh" });
    await finds(lab().host(3), []);
    const source = `ip saddr ${lab().host(3).ipv4}`;
    const open2 = await block(lab().host(2), `${source} tcp dport 7946`);
    const open1 = await block(lab().host(1), `${source} tcp dport 2377 ct state new`);
    const [managers, gossip] = await finds(lab().host(3), ["swarm-port", "swarm-port"]);
    expect(managers?.text).to.match(new RegExp(`^manager ${lab().host(1).ipv4} does not answer .* TCP port 2377`));
    expect(gossip?.text).to.match(new RegExp(`^node ${lab().host(2).ipv4} does not answer .* TCP port 7946`));
    await Promise.all([open1(), open2()]);
    await finds(lab().host(3), []);
  });

  it("finds, on a manager, the nodes without the plugin, which get no tasks", async () => {
    await lab().network("mesh");
    const three = lab().host(3);
    await three.plugin.stop();
    const [missing] = await finds(lab().host(1), ["plugin-missing"], toldMs);
    expect(missing?.text).to.include(`node host3 (${three.ipv4}) has no enabled plugin ${pluginName}`);
    const service = await lab().service("web", "--network", "mesh", "--mode", "global");
    await service.failing("missing plugin on 1 node");
    await until("the others run", settleMs, async () => (await service.runningNow()).length === 2);
    await three.plugin.start();
    await finds(lab().host(1), [], toldMs);
    await service.running(3);
  });

  it("finds a node with other settings, and notes another version, as that node does of the others", async () => {
    const [one, two, three] = [lab().host(1), lab().host(2), lab().host(3)];
    const version = await ownVersion();
    const other = { version: "0.0.9", settings: { TSNET_REQUIRES_MAC_ADDRESS: "true" } };
    await changed(two, other, async () => {
      await lab().network("mesh");
      for (const host of lab().hosts) await Container.run(host, { network: "mesh" });

      await hears(one);
      const [setting] = await finds(one, ["settings"]);
      const others = `${two.ipv4}) has TSNET_REQUIRES_MAC_ADDRESS=true, this one false: `;
      expect(setting).to.include({ peer: two.ipv4 });
      expect(setting?.text).to.match(new RegExp(`^host host2 \\(${others.replace(")", "\\)")}`));
      const { peers, notes } = await hears(one); // each report asks the others anew
      const versions = Object.fromEntries(peers.map((peer) => [peer.address, peer.version]));
      expect(versions).to.deep.equal({ [two.ipv4]: "0.0.9", [three.ipv4]: version });
      const [note] = notes;
      expect(note).to.include({ kind: "version", peer: two.ipv4 });
      expect(note?.text).to.include(`host host2 (${two.ipv4}) runs tsnet 0.0.9, this one ${version}: `);

      await hears(two);
      const [both] = await finds(two, ["settings"]);
      expect(both?.peer).to.equal(null);
      expect(both?.text).to.match(
        /^hosts host\d \(\S+\) and host\d \(\S+\) have TSNET_REQUIRES_MAC_ADDRESS=false, this one true: /,
      );
      const printed = await until("both others have told", settleMs, async () => {
        const text = await two.sh(`${program} doctor || echo "exit $?"`);
        return / {2}hosts .* run tsnet /.test(text) && text;
      });
      expect(printed)
        .to.match(/^Version: +0\.0\.9$/m)
        .and.to.match(/\nBesides:\n {2}hosts .* run tsnet .*\nexit 1$/);
    });

    for (const host of lab().hosts) await finds(host, []);
    expect((await hears(one)).notes).to.deep.equal([]);
  });

  it("is not needed for another VXLAN port: the task's error says what to set", async () => {
    const three = lab().host(3);
    await changed(three, { settings: { TSNET_VXLAN_PORT: "4790" } }, async () => {
      await lab().network("mesh");
      const service = await lab().service("web", "--network", "mesh", "--constraint", "node.hostname==host3");
      const error = await service.failing(/tsnet\.vxlan_port=4789: this node has TSNET_VXLAN_PORT=4790/);
      expect(error).to.include("docker plugin set tsnet-plugin TSNET_VXLAN_PORT=4789 on this node");
      await service.remove();
    });
  });
});
