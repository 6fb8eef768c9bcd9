/** What tsnet networks and tsnet endpoints say of VLANs, ipvlan and networks without a parent. */
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { useCommonHost } from "../support/common-host.ts";
import { Container } from "../support/container.ts";
import { addUplink } from "../support/lan.ts";
import { driver } from "../support/plugin.ts";

const program = fileURLToPath(new URL("../../src/cli/tsnet", import.meta.url));

describe("the commands tsnet networks and tsnet endpoints, of VLANs and ipvlan", () => {
  const host = useCommonHost();
  const tsnet = async (words: string): Promise<string[][]> =>
    (await host().sh(`DOCKER_HOST=unix://${host().socket} ${program} ${words}`))
      .trimEnd()
      .split("\n")
      .map((line) => line.split(/ {3,}/));
  // In this machine Docker may be too slow to be asked for names: rows go by their parent.
  const byParent = (rows: readonly string[][], parent: number): Record<string, string[]> =>
    Object.fromEntries(rows.slice(1).map((row) => [row[parent], row.slice(parent - 1)]));
  const networks = async () => byParent(await tsnet("networks"), 2);
  const endpoints = async () => byParent(await tsnet("endpoints"), 3);

  beforeEach(() => addUplink(host().outside, host(), "eth9"));
  afterEach(() => host().sh("ip link del eth9 2>/dev/null || true"));

  it("show the VLAN, the modes, the parent's MAC address, and what is missing", async () => {
    const create = (name: string, subnet: string, ...options: string[]) => {
      const all = options.flatMap((option) => ["-o", option]);
      return host().docker("network", "create", "-d", driver, ...all, "--subnet", subnet, name);
    };
    await create("iot", "10.92.0.0/24", "mode=ipvlan", "parent=eth9.20", "ipvlan_mode=l3", "ipvlan_flag=private");
    const inner = await create("inner", "10.93.0.0/24", "mode=macvlan");
    const one = await Container.run(host(), { network: "iot" }, "--name", "one");
    const [{ address }] = await host().ip("link show dev eth9.20");

    const dummy = `tsp-${inner.slice(0, 11)}`;
    const ofDummy = ["macvlan bridge", dummy, "-", "1500", "10.93.0.0/24", "0", "up"];
    const ofVlan = ["ipvlan l3 private", "eth9.20", "20"];
    expect(await networks()).to.deep.equal({
      [dummy]: ofDummy,
      "eth9.20": [...ofVlan, "1500", "10.92.0.0/24", "1", "up"],
    });
    expect(await endpoints()).to.deep.equal({
      "eth9.20": [...ofVlan, `${address} (parent's)`, await one.ipv4("iot"), "eth0", "-", "up"],
    });

    await host().sh("ip link set eth9 down");
    expect((await networks())["eth9.20"]?.at(-1)).to.equal("eth9 down");
    await host().sh("ip link del eth9");
    expect((await networks())["eth9.20"]?.at(-1)).to.equal("eth9 missing");
    expect((await endpoints())["eth9.20"]?.at(-1)).to.equal("lost with its parent");
  });
});
