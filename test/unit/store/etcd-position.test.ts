import { expect } from "chai";
import type { EtcdClient } from "../../../src/store/etcd-client.ts";
import { EtcdPosition } from "../../../src/store/etcd-position.ts";
import { MemoryStore } from "../../../src/store/memory-store.ts";
import { soon } from "../../support/plane-hosts.ts";

describe("the position in etcd", () => {
  let disk: MemoryStore;
  beforeEach(() => {
    disk = new MemoryStore();
  });

  /** A process that is told of a cluster. @returns its position, and whether it has found a loss */
  async function begin(cluster: string, saveMs: number) {
    const client = { cluster, revision: 0n };
    const position = new EtcdPosition(client as unknown as EtcdClient, "/tsnet/");
    await position.resume(disk, saveMs);
    client.revision = 7n;
    return { position, hasLost: position.compare(7n, 7n) !== undefined };
  }
  const onDisk = async () => (await disk.get("cluster", "etcd")) as { readonly cluster: string } | undefined;

  it("is written at the end, and not after a loss of which others may not have heard: it is found again", async () => {
    const first = await begin("1", 3_600_000);
    await first.position.close();
    expect([first.hasLost, await onDisk()]).to.deep.equal([false, { cluster: "1", prefix: "/tsnet/", revision: "7" }]);
    for (let process = 0; process < 2; process++) {
      const { position, hasLost } = await begin("2", 3_600_000);
      await position.close();
      expect([hasLost, (await onDisk())?.cluster]).to.deep.equal([true, "1"]);
    }
  });

  it("is written some time after a loss, which is not found again then", async () => {
    await (await begin("1", 5)).position.close();
    const { position, hasLost } = await begin("2", 5);
    expect(hasLost).to.equal(true);
    await soon("it is written", async () => (await onDisk())?.cluster === "2");
    await position.close();
    const next = await begin("2", 5);
    await next.position.close();
    expect(next.hasLost).to.equal(false);
  });
});
