/** What fails while it is being opened leaves no descriptor behind: it is tried again every half minute. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { WayProber } from "../../../src/kernel/direct/way-prober.ts";
import { Inside } from "../../../src/kernel/inside.ts";
import { Namespaces } from "../../../src/kernel/namespaces.ts";
import { PathProber } from "../../../src/kernel/underlay/path-prober.ts";
import { expectNoLeftovers } from "../../support/netns.ts";

const own = "/proc/self/ns/net";
const udp = (address: string) => ({ kind: "udp" as const, address, port: 9, bytes: 100 });
const way = {
  ...{ namespace: "", port: "lo", gatewayMac: "02:00:00:00:00:01", targets: ["10.5.0.20"], waitMs: 10 },
  source: { mac: "02:00:00:00:00:02", ip: "10.5.0.10" },
};

/** A poller that has no room for the nth descriptor. */
class FullPoller {
  readonly added = new Set<number>();
  #room: number;

  constructor(room: number) {
    this.#room = room;
  }

  add(fd: number): number {
    if (this.#room-- === 0) throw new Error("ENOSPC");
    this.added.add(fd);
    return fd;
  }

  remove(fd: number): void {
    this.added.delete(fd);
  }
}

describe("descriptors of what fails", () => {
  expectNoLeftovers();
  let before: number;
  const count = (): number => readdirSync("/proc/self/fd").length;
  beforeEach(() => {
    before = count();
  });

  for (const [what, room, second] of [
    ["cannot be waited for", 1, "127.0.0.1"],
    ["has no address", 2, "nonsense"],
  ] as const) {
    it(`are closed when the second of two probes ${what}`, async () => {
      const poller = new FullPoller(room);
      const probes = { namespace: null, source: null, probes: [udp("127.0.0.1"), udp(second)], waitMs: 60_000 };
      const error = await new PathProber(poller).probe(probes, null).catch((reason: Error) => reason);
      expect(error).to.be.instanceOf(Error);
      expect(poller.added.size).to.equal(0);
      expect(count()).to.equal(before);
    });
  }

  for (const [what, room, targets] of [
    ["cannot be waited for", 0, way.targets],
    ["has no address", 1, ["nonsense"]],
  ] as const) {
    it(`are closed when a probe of a way ${what}`, async () => {
      const poller = new FullPoller(room);
      const error = await new WayProber(poller).probe({ ...way, targets }, own).catch((reason: Error) => reason);
      expect(error).to.be.instanceOf(Error);
      expect(poller.added.size).to.equal(0);
      expect(count()).to.equal(before);
    });
  }

  it("are closed when a file is no namespace, and a directory none", () => {
    const file = join(mkdtempSync(join(tmpdir(), "tsnet-fd-")), "file");
    writeFileSync(file, "");
    expect(() => new Inside(file)).to.throw("setns: EINVAL");
    expect(count()).to.equal(before);
    const namespaces = new Namespaces(file);
    expect(() => namespaces.list()).to.throw(`TSNET_NETNS_DIR=${file} is not a directory: remove it, or name another`);
    namespaces.close();
    rmSync(join(file, ".."), { recursive: true });
  });
});
