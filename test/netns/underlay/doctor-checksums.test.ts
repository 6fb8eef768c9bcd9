import { execFileSync } from "node:child_process";
import { expect } from "chai";
import { Doctor } from "../../../src/driver/overlay/doctor.ts";
import { KernelClient } from "../../../src/kernel/kernel-client.ts";
import { planOverlay, planOverlayRemoval, type Underlay } from "../../../src/plan/overlay.ts";
import { names, network } from "../../support/overlay-links.ts";
import { addresses, filter, inside, makeLab, removeLab, unmade } from "../../support/underlay-lab.ts";

const { own, other } = addresses[4];
const underlay: Underlay = { local: own, port: 4789, mtuBytes: 1500, knowsPlaces: true };

/** In the network's own namespace: who sends, and who is at the other host. */
const [from, to] = ["10.1.0.7", "10.1.0.8"];
const farMac = "02:42:0a:01:00:08";
const bytes = 28 + 5;

/** Sends a datagram of a container's, so to say, by the network's bridge. */
const send = (): string =>
  execFileSync("ip", ["netns", "exec", names.namespace, "bash", "-c", `echo -n hello >/dev/udp/${to}/9`], {
    encoding: "utf8",
  });

describe("checksums of packets in the tunnel", () => {
  let kernel: KernelClient;
  let doctor: Doctor;
  let said: string[];

  beforeEach(async () => {
    said = [];
    makeLab(4);
    kernel = await KernelClient.open({ mark: 0x1000000 });
    await kernel.apply(planOverlay(network, underlay));
    const say = (_: object, text: string): number => said.push(text);
    doctor = new Doctor({
      kernel,
      plane: { hostsOf: () => [other] },
      facts: { name: "one", version: "0.1.0", settings: {} },
      ...{ peers: [other], vnis: () => [network.vni], find: async () => underlay, now: () => Date.now() },
      active: () => [{ network, underlay }],
      log: { debug: say, info: say, warn: say, error: say },
    });
    execFileSync("bash", [
      "-euc",
      `ip -n ${names.namespace} address add ${from}/24 dev ${names.bridge}
       ip -n ${names.namespace} neigh replace ${to} lladdr ${farMac} dev ${names.bridge} nud permanent
       bridge -n ${names.namespace} fdb replace ${farMac} dev ${names.vxlan} dst ${other} self permanent
       bridge -n ${names.namespace} fdb replace ${farMac} dev ${names.vxlan} master static sticky`,
    ]);
    filter(
      "other",
      "prerouting",
      `udp dport 4789 @th,448,16 ${unmade(bytes, [from, to])} meta length ${bytes + 50} counter`,
    );
  });

  afterEach(async () => {
    await doctor.stop();
    await kernel.apply([...planOverlayRemoval(network), { op: "remove-namespace", name: "tsnet-probe" }]);
    await kernel.close();
    removeLab();
  });

  /** How many of what was sent arrived with a checksum that nobody had made. */
  const unmadeOnes = (): number => Number(/counter packets (\d+)/.exec(inside("other", "nft list ruleset"))?.[1]);

  it("are made by the kernel, of networks as well, once a host gets none that a network card should have made", async () => {
    send();
    expect(unmadeOnes()).to.equal(1);
    expect((await doctor.report()).findings).to.deep.equal([]);
    send();
    expect(unmadeOnes()).to.equal(2);

    for (const size of [1500, 576])
      filter("other", "prerouting", `udp dport 4789 @th,448,16 ${unmade(size - 50)} drop`);
    const { findings, checksumOffload, peers } = await doctor.report();
    expect(peers[0]).to.include({ state: "ok", verifiedMtuBytes: 1500 });
    expect(checksumOffload).to.equal(false);
    expect(said.join()).to.include("a network card spoils the checksums of packets in the tunnel");
    send();
    expect(unmadeOnes()).to.equal(2);
    expect(doctor.probed.spoilsChecksums).to.equal(true);
    expect(findings.map(({ kind }) => kind)).to.deep.equal(["checksums"]);
  });

  it("are left as they are where UDP does not pass at all", async () => {
    filter("other", "prerouting", "udp dport 4789 @th,312,8 17 drop");
    const { findings, checksumOffload } = await doctor.report();
    expect(findings.map(({ kind }) => kind)).to.deep.equal(["damaged"]);
    expect(checksumOffload).to.equal(true);
    send();
    expect(unmadeOnes()).to.equal(1);
  });
});
