/** Nodes of a swarm that know of each other what Docker's gossip says: real links, and containers that move. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { expect } from "chai";
import { gossipOf } from "../../support/fake-gossip.ts";
import { expectNoLeftovers, ip } from "../../support/netns.ts";
import { patience } from "../../support/patience.ts";
import { until } from "../../support/poll.ts";
import { pings, SwarmHost, swarmNames } from "../../support/swarm-host.ts";
import { idOf } from "../../support/values.ts";

const { bridge, vxlan } = swarmNames;
const soonMs = 3000;
/** So long Docker has to say that a node is gone (lost-nodes.ts), and a little more. */
const leftMs = 5000;
/** The figure for a task that is another's now. */
const movedMs = 1000;

const [moving, movingMac] = ["10.5.0.9", "02:42:0a:05:00:09"];

describe("an overlay network of a swarm", () => {
  let hosts: SwarmHost[] = [];
  let containers: string[] = [];
  const captures: ChildProcessWithoutNullStreams[] = [];
  const addresses = () => hosts.map(({ address }) => address);
  const [one, two, three] = [0, 1, 2].map((n) => (): SwarmHost => hosts[n] as SwarmHost) as [
    () => SwarmHost,
    () => SwarmHost,
    () => SwarmHost,
  ];

  expectNoLeftovers(async () => {
    for (const capture of captures.splice(0)) {
      capture.kill();
      await once(capture, "close");
    }
    for (const name of containers) ip(`netns del ${name}`);
    containers = [];
    for (const host of hosts.splice(0)) await host.stop();
    ip("link del sw");
  });
  beforeEach(async () => {
    ip("link add sw type bridge");
    ip("link set sw up");
    hosts = [];
    for (const n of [1, 2, 3]) hosts.push(await SwarmHost.start(n));
  });

  async function run(host: SwarmHost, container: string, id: string, address: string): Promise<void> {
    containers.push(container);
    await host.run(container, id, address);
  }
  async function end(host: SwarmHost, container: string, id: string): Promise<void> {
    containers = containers.filter((name) => name !== container);
    await host.end(container, id);
  }

  /** All hear it. @param tasks endpoints' first digits, by address */
  const hear = (tasks: Readonly<Record<string, string>>, peers = addresses()) =>
    Promise.all(
      hosts.map((host) => {
        const ids = Object.entries(tasks).map(([address, id]) => [address, idOf(id)]);
        return host.ask("gossip", { heard: gossipOf(peers, Object.fromEntries(ids)) });
      }),
    );

  const tasks = { "10.5.0.1": "e1", "10.5.0.2": "e2", "10.5.0.3": "e3" };
  /** A task on each node, and one more on the second. */
  async function start(): Promise<void> {
    for (const [n, host] of hosts.entries()) await run(host, `c${n + 1}`, `e${n + 1}`, `10.5.0.${n + 1}`);
    await run(two(), "m1", "f1", moving);
    await hear({ ...tasks, [moving]: "f1" });
  }

  const entriesOf = (host: SwarmHost, mac: string): string[] =>
    host
      .inside("bridge", "fdb", "show")
      .split("\n")
      .filter((line) => line.startsWith(mac))
      .map((line) => line.replace(/ (offload|extern_learn|link-netnsid \d+)/g, "").trim())
      .toSorted();
  const floodList = (host: SwarmHost): string[] => {
    const entries = host.inside("bridge", "fdb", "show", "dev", vxlan);
    return [...entries.matchAll(/^00:00:00:00:00:00 dst (\S+)/gm)].map(([, address = ""]) => address).toSorted();
  };
  /** Not those that were learned from a frame, which may come at any time. */
  const pinnedOf = (host: SwarmHost): string[] => entriesOf(host, movingMac).filter((line) => line.includes("sticky"));
  const sticky = (port: string): string => `${movingMac} dev ${port} sticky master ${bridge} static`;
  /** Where a node has learned that the one that moves is; undefined if nowhere. */
  const learned = (host: SwarmHost): string | undefined =>
    entriesOf(host, movingMac).flatMap((line) => / dst (\S+) self/.exec(line)?.[1] ?? [])[0];

  it("has the other nodes in its flood list, and an entry for each task elsewhere, but no place", async () => {
    await start();
    expect(floodList(one())).to.deep.equal([two().address, three().address]);
    expect(pinnedOf(three())).to.deep.equal([sticky(vxlan)]);
    expect(pinnedOf(two())).to.deep.equal([sticky("tsv-f1000000000")]);
    const neighbors = one().inside("ip", "neigh", "show", "nud", "permanent").trim().split("\n");
    expect(neighbors.map((line) => line.split(" ")[0]).toSorted()).to.deep.equal([
      "10.5.0.1",
      "10.5.0.2",
      "10.5.0.3",
      moving,
    ]);
    await hear(tasks);
    expect(pinnedOf(three())).to.deep.equal([]);
    await hear(tasks, addresses().slice(0, 2));
    expect(floodList(one()), "Docker may have lost sight of one").to.deep.equal([two().address, three().address]);
    await until("it has the network no more", leftMs, () => floodList(one()).join() === two().address);
    for (const host of hosts) expect(await host.ask("repair")).to.deep.equal([]);
  });

  it("answers for tasks that are known, and asks others for who is not", async () => {
    await start();
    const capture = spawn("nsenter", [
      ...["--net=/run/netns/h1", "--", "tcpdump", "-lni", "eth0", "udp", "port", "4789"],
    ]);
    captures.push(capture);
    let text = "";
    capture.stdout.on("data", (data) => {
      text += data;
    });
    await once(capture.stderr, "data"); // it says that it listens
    expect(await pings("c1", moving)).to.equal(true);
    void pings("c1", "10.5.0.77");
    await until("the unknown one is asked for", soonMs, () => text.includes("who-has 10.5.0.77"));
    expect(text).to.contain(`> ${moving}: ICMP echo request`);
    expect(text).to.not.contain(`who-has ${moving}`);
  });

  it("learns the place from the first answer, and sends to that node alone", async () => {
    await start();
    // the announcement of who has just started is forgotten
    for (const line of entriesOf(three(), movingMac).filter((entry) => entry.includes(" dst "))) {
      three().inside("bridge", "fdb", "del", movingMac, "dev", vxlan, ...(/dst \S+/.exec(line)?.[0] ?? "").split(" "));
    }
    expect(learned(three())).to.equal(undefined);
    expect(await pings("c3", moving)).to.equal(true);
    expect(learned(three())).to.equal(two().address);
  });

  it("follows a task to another node and back, before the gossip has heard of it, and after", async () => {
    await start();
    for (const from of ["c1", "c3"]) expect(await pings(from, moving), from).to.equal(true);
    const places: [from: () => SwarmHost, to: () => SwarmHost, id: string][] = [
      [two, one, "f2"],
      [one, two, "f3"],
      [two, one, "f4"],
    ];
    let [container, id] = ["m1", "f1"];
    for (const [n, [from, to, next]] of places.entries()) {
      await end(from(), container, id);
      if (n === 1) await hear(tasks); // Docker tells of what is gone before it tells of what is new, or of both at once
      [container, id] = [`m${n + 2}`, next];
      await run(to(), container, id, moving);
      const startedAt = performance.now();
      for (const client of ["c1", "c2", "c3"]) {
        await until(`${client} reaches it, move ${n + 1}`, movedMs, () => pings(client, moving));
      }
      expect(performance.now() - startedAt).to.be.below(movedMs * patience);
      await hear({ ...tasks, [moving]: id });
      for (const client of ["c1", "c2", "c3"]) expect(await pings(client, moving), client).to.equal(true);
      expect(learned(three()), `move ${n + 1}`).to.equal(to().address);
      expect(pinnedOf(to())).to.deep.equal([sticky(`tsv-${next}000000000`)]);
      expect(entriesOf(from(), movingMac)).to.include(sticky(vxlan));
    }
  });
});
