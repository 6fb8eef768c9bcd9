/** `tsnet hosts remove`, and what a host that was removed has to come back to. */

import { fileURLToPath } from "node:url";
import { expect } from "chai";
import type { CheckAnswer } from "../../src/driver/ipam/answers.ts";
import type { HostAnswer, HostRemoval } from "../../src/driver/overlay/host-answers.ts";
import type { Host } from "../support/host.ts";
import { image } from "../support/image.ts";
import { useLab } from "../support/lab-suite.ts";
import { until } from "../support/poll.ts";

const program = fileURLToPath(new URL("../../src/cli/tsnet", import.meta.url));
const shared = ["-d", "tsnet", "--ipam-driver", "tsnet", "--ipam-opt", "tsnet.shared=true"];
const overlay = ["-o", "mode=overlay"];

/** With this, a host says every five seconds that it is there, and is silent when it has not for ten. */
const settings = { TSNET_HOST_TTL: "60s" };
const silentMs = 30_000;
const tellMs = 10_000;

describe("a host that is gone for good", () => {
  const lab = useLab({ plane: "etcd", settings });

  const ask = async (host: Host, words: string): Promise<unknown> =>
    JSON.parse(await host.sh(`${program} ${words} --json`));
  const known = async (id: string): Promise<HostAnswer | undefined> => {
    const { hosts } = (await ask(lab().host(1), "hosts")) as { hosts: HostAnswer[] };
    return hosts.find((host) => host.id === id);
  };
  const remove = async (words: string): Promise<HostRemoval> =>
    (await ask(lab().host(1), `hosts remove ${words}`)) as HostRemoval;
  const refusal = (words: string): Promise<string> => lab().host(1).sh(`${program} hosts remove ${words} 2>&1 || true`);

  async function networkOn(hosts: readonly Host[], subnet: string, ...args: string[]): Promise<void> {
    for (const host of hosts) await host.docker("network", "create", ...shared, "--subnet", subnet, ...args, "mesh");
  }
  const expectNoPool = async (): Promise<void> => {
    const left = async () => [...(await lab().etcd.keys("/tsnet/pool/")), ...(await lab().etcd.keys("/tsnet/lease/"))];
    await until("no pool is left", tellMs, async () => (await left()).length === 0);
  };

  it("loses its endpoints and its addresses, which others can have then, and makes its networks anew if it returns", async () => {
    const [one, two, three] = [lab().host(1), lab().host(2), lab().host(3)];
    await networkOn([one, two, three], "10.9.0.0/24", ...overlay);
    await lab().run(2, { network: "mesh", serve: true });
    const lost = await lab().run(3, { network: "mesh" });
    const address = await lost.ipv4("mesh");
    await until("host 1 knows", tellMs, async () => (await known("host3"))?.addresses === 1);
    expect(await known("host3")).to.include({ networks: 1, endpoints: 1, addresses: 1, isThis: false });
    expect(await refusal("host3")).to.match(/was seen \d+ s ago, and a host says every 5 s that it is there/);

    await three.plugin.kill();
    const wish = ["--network", "mesh", "--ip", address];
    expect(await one.dockerError("run", "--rm", ...wish, image)).to.include("host3");
    const removal = await until("it is silent", silentMs, () => remove("host3").catch(() => undefined));
    expect(removal).to.include({ id: "host3", endpoints: 1, addresses: 1 });
    expect(await known("host3")).to.equal(undefined);
    const heir = await lab().run(1, { network: "mesh", serve: true }, "--ip", address);
    expect(await heir.ipv4("mesh")).to.equal(address);

    await heir.remove();
    await lab().revive(three);
    await until("host 3 knows that its address is not held any more", tellMs, async () => {
      const { findings } = JSON.parse(await three.sh(`${program} ipam check --json || true`)) as CheckAnswer;
      return findings.some((finding) => finding.kind === "missing-lease" && finding.address === address);
    });
    await lost.remove();
    await three.docker("network", "rm", "mesh");
    await networkOn([three], "10.9.0.0/24", ...overlay);
    await lab().run(3, { network: "mesh" }, "--ip", address);
    await until("host 1 knows", tellMs, async () => (await known("host3"))?.addresses === 1);
    await lab().clear();
    await expectNoPool();
  });

  it("is in the list by its addresses alone, and is removed with --force then", async () => {
    const [one, two] = [lab().host(1), lab().host(2)];
    await networkOn([one, two], "10.10.0.0/24");
    await lab().run(2, { network: "mesh" }, "--ip", "10.10.0.9");
    await until("host 1 knows", tellMs, async () => (await known("host2"))?.addresses === 1);
    expect(await known("host2")).to.include({ address: null, lastSeen: null, networks: 0, endpoints: 0 });
    expect(await refusal("host2")).to.include("nobody knows whether it lives");
    expect((await known("host2"))?.addresses).to.equal(1);

    await two.dockerd.kill();
    await two.plugin.kill();
    expect(await remove("host2 --force")).to.include({ id: "host2", endpoints: 0, addresses: 1 });
    await lab().run(1, { network: "mesh" }, "--ip", "10.10.0.9");
    await lab().clear();
    await expectNoPool();
  });
});
