/** The real command, as a user starts it, against a real admin socket: what it says of hosts. */
import { expect } from "chai";
import type { HostAnswer } from "../../../src/driver/overlay/host-answers.ts";
import { noHostList } from "../../../src/driver/overlay/host-list.ts";
import { useAdmin } from "../../support/admin.ts";
import { attempt, type Outcome } from "../../support/commands.ts";

const program = new URL("../../../src/cli/tsnet", import.meta.url).pathname;
const here: HostAnswer = {
  ...{ id: "4f2a90c1d2e3", name: "web-10", address: "192.0.2.7", lastSeen: "2026-01-01T00:00:00.123Z" },
  ...{ networks: 1, endpoints: 2, addresses: 3, isThis: true },
};
const there: HostAnswer = { ...here, id: "5e8f631a2b3c", name: "web-9", address: "192.0.2.8", isThis: false };
const lost: HostAnswer = { ...there, id: "6a", name: null, address: null, lastSeen: null };

describe("the command tsnet hosts", () => {
  const { open, socket } = useAdmin();
  const tsnet = (words: string): Promise<Outcome> =>
    attempt([program, ...words.split(" ")], { env: { PATH: process.env["PATH"], TSNET_ADMIN_SOCKET: socket() } });
  const openWith = (hosts: readonly HostAnswer[]): Promise<void> =>
    open({
      hosts: {
        hosts: () => ({ hosts }),
        remove: async (id, force) => ({ id, name: "web-9", endpoints: force ? 2 : 1, addresses: force ? 0 : 1 }),
      },
    });

  it("lists them by name, as text and as JSON", async () => {
    await openWith([lost, here, there]);
    const { code, stdout, stderr } = await tsnet("hosts");
    expect([code, stderr]).to.deep.equal([0, ""]);
    expect(
      stdout
        .trimEnd()
        .split("\n")
        .map((line) => line.split(/ {3,}/)),
    ).to.deep.equal([
      ["NAME", "ID", "TUNNEL ADDRESS", "LAST SEEN", "NETWORKS", "ENDPOINTS", "ADDRESSES"],
      ["-", "6a", "-", "-", "1", "2", "3"],
      ["web-9", "5e8f631a2b3c", "192.0.2.8", "2026-01-01T00:00:00Z", "1", "2", "3"],
      ["web-10 (this host)", "4f2a90c1d2e3", "192.0.2.7", "2026-01-01T00:00:00Z", "1", "2", "3"],
    ]);
    expect(JSON.parse((await tsnet("hosts --json")).stdout)).to.deep.equal({ hosts: [lost, there, here] });
  });

  it("removes one, and says how many endpoints and addresses went", async () => {
    await openWith([here, there]);
    expect((await tsnet("hosts remove 5e8f")).stdout).to.equal(
      "removed host web-9 (5e8f) with 1 endpoint and 1 address of shared pools\n",
    );
    const forced = await tsnet("hosts remove --force 5e8f --json");
    expect(JSON.parse(forced.stdout)).to.deep.equal({ id: "5e8f", name: "web-9", endpoints: 2, addresses: 0 });
  });

  it("is an error where there is no etcd, with what to do", async () => {
    await open({ hosts: noHostList });
    for (const words of ["hosts", "hosts remove web-9"]) {
      const { code, stdout, stderr } = await tsnet(words);
      expect([code, stdout]).to.deep.equal([1, ""]);
      expect(stderr).to.match(
        /^tsnet: tsnet knows of no other hosts, since it has no etcd: set TSNET_ETCD_ENDPOINTS; with/,
      );
    }
  });
});
