/** A host that starts while others, which etcd tells of, have many endpoints of its network. */
import { createHash } from "node:crypto";
import { run } from "../support/commands.ts";
import type { Host } from "../support/host.ts";
import { until } from "../support/poll.ts";
import { residentMib } from "./driver-figures.ts";
import type { Figure } from "./figures.ts";
import { createOverlay, type OverlayHosts, runOn } from "./overlay-hosts.ts";
import { timed } from "./statistics.ts";

const hosts = 200;
const endpoints = 10_000;
const rounds = 5;

const deadlineMs = 120_000;

/** Puts what it reads into etcd: lines of key and value. */
const putScript = `
  const lines = require("node:fs").readFileSync(0, "utf8").split("\\n").filter(Boolean).map((line) => JSON.parse(line));
  const put = ([key, value]) => ({ requestPut: { key: btoa(key), value: btoa(JSON.stringify(value)) } });
  (async () => {
    for (let first = 0; first < lines.length; first += 100) {
      const success = lines.slice(first, first + 100).map(put);
      const answer = await fetch("http://127.0.0.1:2379/v3/kv/txn", { method: "POST", body: JSON.stringify({ success }) });
      if (!answer.ok) throw new Error(await answer.text());
    }
  })();`;

type Line = readonly [key: string, value: object];

/** What other hosts would have told etcd. */
function* records(vni: number): Generator<Line> {
  const seenMs = Date.now();
  for (let n = 0; n < hosts; n++) {
    yield [`/tsnet/vtep/10.99.${n}.1`, { host: `other${n}`, name: `other${n}`, seenMs }];
  }
  for (let n = 0; n < endpoints; n++) {
    const [a, b] = [n >> 8, n & 255].map((byte) => byte.toString(16).padStart(2, "0"));
    const endpoint = createHash("sha256").update(`${n}`).digest("hex");
    const value = { host: `other${n % hosts}`, endpoint, mac: `02:99:00:00:${a}:${b}` };
    yield [`/tsnet/place/${vni}/10.66.${100 + (n >> 8)}.${n & 255}`, value];
  }
}

/** The name of the network's namespace on the host. */
async function inside(host: Host, vni: number): Promise<string> {
  const find = `for n in $(ls /run/netns); do ip -n $n -d link | grep -q 'vxlan id ${vni} ' && echo $n; done; true`;
  return (await host.sh(find)).trim();
}

/** How many of the endpoints a host knows the place of, and answers for. */
async function known(host: Host, namespace: string): Promise<[places: number, neighbors: number]> {
  const count = (what: string) => `${what} | grep -c 02:99:00:00: || true`;
  const script = `${count(`bridge -n ${namespace} fdb | grep dst`)}; ${count(`ip -n ${namespace} neigh`)}`;
  const [places = "0", neighbors = "0"] = (await host.sh(script)).split("\n");
  return [Number(places), Number(neighbors)];
}

export async function entryFigures({ near, far }: OverlayHosts): Promise<Figure[]> {
  const vni = 66_000;
  const options = { "tsnet.vni": `${vni}` };
  for (const host of [near, far]) await createOverlay(host, { network: "big", subnet: 66, options });
  const container = await runOn(near, "big");
  await run(far.enter([process.execPath, "-e", putScript]), {
    input: [...records(vni)].map((line) => JSON.stringify(line)).join("\n"),
    env: process.env,
    timeoutMs: deadlineMs,
  });
  const namespace = await inside(near, vni);
  const all = () =>
    until("all entries are there", deadlineMs, async () =>
      (await known(near, namespace)).every((n) => n === endpoints),
    );
  await all();
  const times: number[] = [];
  const resident: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await near.plugin.kill();
    await near.sh(`ip netns del ${namespace}`);
    await until("the namespace is gone", deadlineMs, async () => (await inside(near, vni)) === "");
    times.push(
      await timed(async () => {
        await near.plugin.start();
        await all();
      }),
    );
    resident.push(residentMib(near));
  }
  await container.remove();
  const name = `overlay: ${endpoints} endpoints on ${hosts} other hosts`;
  return [
    { name: `${name}: start to all entries`, unit: "ms", tsnet: times, limit: { of: "median", value: 3000 } },
    { name: `${name}: resident memory`, unit: "MiB", tsnet: resident, limit: { of: "max", value: 200 } },
  ];
}
