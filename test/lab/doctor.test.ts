/** What `tsnet doctor` finds between real hosts. Host 3 is behind a router. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import type { DoctorAnswer, PeerAnswer } from "../../src/driver/overlay/doctor-answers.ts";
import { ownVersion } from "../../src/version.ts";
import type { Container } from "../support/container.ts";
import type { Host } from "../support/host.ts";
import { overlay } from "../support/lab.ts";
import { useLab } from "../support/lab-suite.ts";
import { router as outsideRouter } from "../support/outside.ts";
import { until } from "../support/poll.ts";

const program = fileURLToPath(new URL("../../src/cli/tsnet", import.meta.url));

/** Runs it on a host; a failing exit code is an answer. */
async function doctor(host: Host, words = ""): Promise<{ code: number; stdout: string }> {
  const output = await host.sh(`${program} doctor ${words} 2>&1; echo "exit $?"`);
  const [, stdout = "", code = ""] = /^(.*)exit (\d+)\s*$/s.exec(output) ?? [];
  return { code: Number(code), stdout };
}

async function ask(host: Host): Promise<DoctorAnswer> {
  const { stdout } = await doctor(host, "--json");
  if (!stdout.startsWith("{")) throw new Error(stdout);
  return JSON.parse(stdout);
}

/** Links and what is said of them follow within seconds. */
const followMs = 20_000;

for (const plane of ["static", "etcd"] as const) {
  describe(`tsnet doctor, ${plane}`, () => {
    const lab = useLab({ plane, third: "far" });

    /** A network with a container on each host. */
    async function meshed(...args: string[]): Promise<Container[]> {
      await lab().network("mesh", ...args);
      return await lab().servers("mesh");
    }

    /** Restarts a plugin with other settings, and with its own in the end. */
    async function withSettings(host: Host, settings: NodeJS.ProcessEnv, work: () => Promise<void>): Promise<void> {
      const restart = async (more: NodeJS.ProcessEnv): Promise<void> => {
        await host.plugin.stop();
        await host.plugin.start({ ...lab().settingsOf(host), ...more });
      };
      await restart(settings);
      try {
        await work();
      } finally {
        await restart({});
      }
    }

    const peerOf = async (from: Host, to: Host): Promise<PeerAnswer> => {
      const found = (await ask(from)).peers.find(({ address }) => address === to.ipv4);
      if (found === undefined) throw new Error(`${to.ipv4} is not among the peers`);
      return found;
    };

    const becomes = (from: Host, to: Host, state: PeerAnswer["state"]): Promise<PeerAnswer> =>
      until(`${to.ipv4} is ${state}`, followMs, async () => {
        const peer = await peerOf(from, to).catch(() => undefined);
        return peer?.state === state ? peer : undefined;
      });

    it("says of each host that it is there, how far, and what has passed, and that nothing is wrong", async () => {
      const before = await doctor(lab().host(1));
      expect(before.stdout).to.include("Nothing is wrong.");
      await meshed();
      for (const other of [lab().host(2), lab().host(3)]) {
        const peer = await becomes(lab().host(1), other, "ok");
        expect(peer).to.include({ routeMtuBytes: 1500, verifiedMtuBytes: 1500, loss: 0 });
        expect(peer.roundTripMs).to.be.within(0, 700);
        expect(Date.now() - Date.parse(peer.lastSeen ?? "")).to.be.within(0, followMs);
        expect(peer.version).to.equal(await ownVersion());
      }
      const { code, stdout } = await doctor(lab().host(1));
      expect(stdout).to.match(
        new RegExp(`^${lab().host(3).ipv4.replaceAll(".", "\\.")} +ok +\\d+\\.\\d\\d ms +1500 +1500 +0% `, "m"),
      );
      expect(stdout).to.include("Nothing is wrong.");
      expect(code).to.equal(0);
    });

    it("has a network of its own, from a host's first container to its last", async () => {
      const one = lab().host(1);
      const namespaces = (): Promise<string> => one.sh("ip netns");
      expect(await namespaces()).not.to.include("tsnet-probe");
      const [first] = await meshed();
      await until("it is there", followMs, async () => (await namespaces()).includes("tsnet-probe"));
      await one.plugin.kill();
      expect(await namespaces()).to.include("tsnet-probe");
      // the kernel of a host answers, whatever its plugin does, and nobody what it is
      expect(await becomes(lab().host(2), one, "ok")).to.include({ verifiedMtuBytes: 1500, version: null });
      await one.plugin.start(lab().settingsOf(one));
      await until("it says what it is", followMs, async () => (await peerOf(lab().host(2), one)).version !== null);
      await first?.remove();
      await until("it is gone", followMs, async () => !(await namespaces()).includes("tsnet-probe"));
      expect((await ask(one)).networks).to.equal(0);
    });

    it("finds a filtered UDP port, says it in the log, and that it is open again", async () => {
      await meshed();
      const [one, two] = [lab().host(1), lab().host(2)];
      await becomes(one, two, "ok");
      await two.sh("iptables -I INPUT -p udp --dport 4789 -j DROP");
      try {
        await becomes(one, two, "port-filtered");
        const { code, stdout } = await doctor(one);
        expect(stdout).to.include(`${two.ipv4} answers, but not on UDP port 4789`);
        expect(code).to.equal(1);
        expect(await becomes(one, lab().host(3), "ok")).to.include({ loss: 0 });
        await until("it is in the log", followMs, () =>
          readFileSync(one.plugin.logFile, "utf8").includes("not on UDP port"),
        );
      } finally {
        await two.sh("iptables -D INPUT -p udp --dport 4789 -j DROP");
      }
      await becomes(one, two, "ok");
      expect((await doctor(one)).code).to.equal(0);
    });

    it("finds a router with a smaller MTU, and gives it to networks that are made then", async () => {
      const [one, three] = [lab().host(1), lab().host(3)];
      const { router } = lab().outside;
      const mtuOf = async (container: Container): Promise<number> => (await container.ip("link show eth0"))[0].mtu;
      const [first] = await meshed();
      if (first === undefined) throw new Error("no container");
      expect(await mtuOf(first)).to.equal(1450);
      await becomes(one, three, "ok");
      const far = (await router.ip(`route get ${three.ipv4}`))[0].dev;
      // first: hosts that are told once of the smaller MTU know it for ten minutes
      await router.exec(`
        nft 'add table inet small; add chain inet small out { type filter hook output priority 0; }'
        nft add rule inet small out icmp type destination-unreachable drop
        ip link set dev ${far} mtu 1400`);
      try {
        expect(await becomes(one, three, "small-mtu")).to.include({ verifiedMtuBytes: 1400, routeMtuBytes: 1500 });
        const { code, stdout } = await doctor(one);
        expect(stdout).to.include(`ip route replace ${three.ipv4} via ${outsideRouter.ipv4} dev eth0 mtu lock 1400\n`);
        expect(code).to.equal(1);
        expect(await mtuOf(first)).to.equal(1450);
        await one.docker("network", "create", ...overlay, "--subnet", "10.9.0.0/24", "nine");
        if (plane === "static") expect(await mtuOf(await lab().run(1, { network: "nine" }))).to.equal(1350);
        // its own container is the network's only one: nobody is known to be behind the router
        else expect(await mtuOf(await lab().run(1, { network: "nine" }))).to.equal(1450);
      } finally {
        await router.exec(`ip link set dev ${far} mtu 1500; nft delete table inet small`);
      }
      await becomes(one, three, "ok");
    });

    it("finds a host with another UDP port", async () => {
      await meshed();
      const [one, two] = [lab().host(1), lab().host(2)];
      await withSettings(two, { TSNET_VXLAN_PORT: "8472" }, async () => {
        await becomes(one, two, "port-closed");
        await becomes(two, one, "port-closed");
        expect((await doctor(two)).stdout).to.include(`on ${one.ipv4} nothing has UDP port 8472`);
      });
      await becomes(one, two, "ok");
    });

    it("finds settings that differ and matter, and says who has which", async () => {
      const [one, two] = [lab().host(1), lab().host(2)];
      const others = [one, lab().host(3)].map(({ ipv4 }) => ipv4).join();
      const without = plane === "etcd" ? { TSNET_ETCD_ENDPOINTS: "", TSNET_PEERS: others } : {};
      const addresses = { TSNET_ADVERTISE_ADDRESS: two.ipv4, TSNET_REQUIRES_MAC_ADDRESS: "true" };
      await meshed();
      await becomes(one, two, "ok");
      // the others know of it by what is in etcd of it
      await withSettings(two, { ...addresses, ...without }, async () => {
        await until("it says what it is", followMs, async () => (await peerOf(one, two)).version !== null);
        await becomes(one, two, "ok");
        const { code, stdout } = await doctor(one);
        // outside a swarm, who makes MAC addresses does not matter
        expect(stdout).not.to.include("TSNET_REQUIRES_MAC_ADDRESS");
        const text = `(${two.ipv4}) has TSNET_ETCD_ENDPOINTS not set, this one set: `;
        if (plane === "etcd") expect(stdout).to.include(text);
        else expect(stdout).to.include("Nothing is wrong.");
        expect(code).to.equal(plane === "etcd" ? 1 : 0);
      });
    });

    it("finds a host that is cut off", async () => {
      await meshed();
      const [one, two] = [lab().host(1), lab().host(2)];
      await becomes(one, two, "ok");
      await lab().cut(two);
      expect(await becomes(one, two, "unreachable")).to.include({ loss: 1, verifiedMtuBytes: null });
      await lab().heal();
      await becomes(one, two, "ok");
    });

    it("finds that this host has lost its tunnel address", async () => {
      await meshed();
      const one = lab().host(1);
      await becomes(one, lab().host(2), "ok");
      await withSettings(one, { TSNET_ADVERTISE_ADDRESS: one.ipv4 }, async () => {
        await becomes(one, lab().host(2), "ok");
        await one.sh(`ip address add 192.168.77.99/24 dev eth0; ip address del ${one.ipv4}/24 dev eth0`);
        const { findings } = await ask(one);
        expect(findings.map(({ kind }) => kind)).to.include.members(["address", "underlay"]);
        expect(findings[0]?.text).to.include(`no link of this host has ${one.ipv4} any more`);
        await one.sh(`
          ip address add ${one.ipv4}/24 dev eth0
          ip address del 192.168.77.99/24 dev eth0
          ip route replace default via 192.168.77.254`);
        await becomes(one, lab().host(2), "ok");
      });
    });

    if (plane === "static") {
      it("refuses a network where a peer is this host itself, and one of another family", async () => {
        const one = lab().host(1);
        const refused = (settings: NodeJS.ProcessEnv, text: string): Promise<void> =>
          withSettings(one, settings, async () => {
            const subnet = ["--subnet", "10.9.0.0/24"];
            expect(await one.dockerError("network", "create", ...overlay, ...subnet, "nine")).to.include(text);
            expect((await ask(one)).findings.map(({ kind }) => kind)).to.deep.equal(["underlay"]);
          });
        const own = `TSNET_PEERS: ${one.ipv4} is an address of this host: name the other hosts only`;
        await refused({ TSNET_PEERS: `${lab().host(2).ipv4},${one.ipv4}` }, own);
        await refused({ TSNET_ADVERTISE_ADDRESS: one.ipv6 }, "is of another family than");
        const nowhere = "TSNET_ADVERTISE_ADDRESS=192.168.77.77: no link of this host has this address";
        await refused({ TSNET_ADVERTISE_ADDRESS: "192.168.77.77" }, nowhere);
        await one.docker("network", "create", ...overlay, "--subnet", "10.9.0.0/24", "nine");
      });
    }
  });
}
