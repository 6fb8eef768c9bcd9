import { randomUUID } from "node:crypto";
import { mkdtempDisposableSync, writeFileSync } from "node:fs";
import { expect } from "chai";
import { Observer } from "../../../src/kernel/observer.ts";
import { expectNoLeftovers, ip, ipJson } from "../../support/netns.ts";

const sandboxOf = (name: string): string => `/run/netns/${name}`;

/** Adds a namespace; `ip netns` mounts it, as dockerd does. */
function addSandbox(name: string): string {
  ip(`netns add ${name}`);
  return sandboxOf(name);
}

describe("the observer of links", () => {
  const observer = new Observer();
  const names: string[] = [];
  const links: string[] = [];
  expectNoLeftovers(() => {
    for (const name of names.splice(0)) ip(`netns del ${name}`);
    for (const name of links.splice(0)) ip(`link del ${name}`);
  });
  const sandbox = (): string => {
    const name = `t-${randomUUID().slice(0, 8)}`;
    names.push(name);
    return addSandbox(name);
  };
  /** A parent, whose other end is up. */
  const addParent = (): void => {
    ip("link add parent0 type veth peer name parent1");
    links.push("parent0");
    for (const name of ["parent0", "parent1"]) ip(`link set ${name} up`);
  };
  const addMacvlan = (path: string, name: string, alias: string): void => {
    ip(`link add ${name} link parent0 type macvlan mode bridge`);
    ip(`link set ${name} alias ${alias} netns ${path}`);
  };
  const nameOf = (path: string): string => path.replace(/.*\//, "");

  it("reads the host's links, and those of ours in each sandbox, as they are there", async () => {
    addParent();
    const [first, second, empty] = [sandbox(), sandbox(), sandbox()];
    addMacvlan(first, "tsm-1", "tsnet:lan:e1");
    addMacvlan(first, "tsm-2", "tsnet:lan:e2");
    addMacvlan(first, "other", "somebody:else");
    addMacvlan(second, "tsm-3", "tsnet:lan:e3");
    ip(`-n ${nameOf(first)} link set tsm-1 name eth7 up`);
    ip(`-n ${nameOf(second)} link set tsm-3 mtu 1400`);

    const observed = await observer.observeLinks([first, second, empty]);
    const judged = ipJson("link show").map(({ ifname, address, mtu }) => [ifname, address, mtu]);
    const found = [...observed.links].map(([name, { mac, mtuBytes }]) => [name, mac, mtuBytes]);
    expect(found).to.deep.equal(judged);
    const inside = (path: string) =>
      observed.sandboxes
        .get(path)
        ?.map(({ name, alias, mtuBytes, up, carrier }) => [name, alias, mtuBytes, up, carrier])
        .toSorted();
    expect(inside(first)).to.deep.equal([
      ["eth7", "tsnet:lan:e1", 1500, true, true],
      ["tsm-2", "tsnet:lan:e2", 1500, false, false],
    ]);
    expect(inside(second)).to.deep.equal([["tsm-3", "tsnet:lan:e3", 1400, false, false]]);
    expect(inside(empty)).to.deep.equal([]);

    ip("link set parent0 down");
    const { links: host, sandboxes } = await observer.observeLinks([first]);
    expect(host.get("parent0")).to.deep.include({ up: false });
    expect(sandboxes.get(first)?.find(({ name }) => name === "eth7")).to.deep.include({ up: true, carrier: false });
  });

  it("leaves out paths that are no network namespace, or none any more", async () => {
    const own = sandbox();
    using directory = mkdtempDisposableSync("/run/none-");
    writeFileSync(`${directory.path}/file`, "");
    const paths = [
      ...["file", "nothing", "file/below", ""].map((name) => `${directory.path}/${name}`),
      "/proc/self/ns/mnt",
      own,
    ];
    const { sandboxes } = await observer.observeLinks(paths);
    expect([...sandboxes.keys()]).to.deep.equal([own]);
  });

  it("hands over links of more than one part", async () => {
    const path = sandbox();
    ip(`-n ${nameOf(path)} link set lo alias tsnet:test:1`);
    const paths = Array.from({ length: 1203 }, (_, n) => `/proc/self/root${"/.".repeat(n)}${path}`);
    const { sandboxes } = await observer.observeLinks(paths);
    expect([...sandboxes.keys()]).to.deep.equal(paths);
    expect([...sandboxes.values()].every(([link]) => link?.alias === "tsnet:test:1")).to.equal(true);
  });
});
