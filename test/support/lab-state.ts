/** What tsnet has made on the hosts of a lab and told etcd, so that a test can say that it is the same after something was refused. */
import { expect } from "chai";
import type { Host } from "./host.ts";
import { type Lab, namespacesOf } from "./lab.ts";
import { until } from "./poll.ts";

/** What was made in vain is taken back: etcd is told after Docker has its answer, and deletes are batched. */
const settleMs = 5_000;

/**
 * Does something that must not change anything.
 * @throws Error that shows what is not as it was before
 */
export async function changesNothing(lab: Lab, work: () => Promise<unknown>): Promise<void> {
  const before = await stateOf(lab);
  await work();
  let after: object = {};
  const same = until("all is as it was", settleMs, async () => {
    after = await stateOf(lab);
    return JSON.stringify(after) === JSON.stringify(before);
  });
  await same.catch(() => expect(after).to.deep.equal(before));
}

async function stateOf(lab: Lab): Promise<object> {
  const hosts = await Promise.all(lab.hosts.map(stateOfHost));
  if (lab.settingsOf(lab.host(1))["TSNET_ETCD_ENDPOINTS"] === undefined) return { hosts };
  const keys = await Promise.all(["/tsnet/overlay/", "/tsnet/place/"].map((prefix) => lab.etcd.keys(prefix)));
  return { hosts, etcd: keys.flat().sort() };
}

async function stateOfHost(host: Host): Promise<object> {
  const links: { ifname: string; ifalias?: string }[] = await host.ip("link");
  const own = links.filter(({ ifname, ifalias = "" }) => ifalias.startsWith("tsnet:") && !ifname.startsWith("tsd-"));
  return {
    links: own.map(({ ifname }) => ifname).sort(),
    namespaces: await Promise.all((await namespacesOf(host)).map((name) => inside(host, name))),
    routes: await host.sh("ip route; ip -6 route"),
    records: (["network", "endpoint"] as const).flatMap((kind) => [...host.records(kind).keys()]).sort(),
    elements: (await host.nft("list table inet tsnet"))
      .flatMap((object) => (object.set ?? object.map)?.elem ?? [])
      .map((element) => JSON.stringify(element).replaceAll(/"(packets|bytes)":\d+/g, ""))
      .sort(),
  };
}

/** The links of a namespace, and who is where: without what the kernel has for multicast of its own. */
async function inside(host: Host, name: string): Promise<object> {
  const script = `ip -n ${name} -o link | cut -d' ' -f2; bridge -n ${name} fdb | grep -v '^33:33\\|^01:00:5e'; ip -n ${name} neigh`;
  const lines = (await host.sh(script)).split("\n");
  return { name, lines: lines.filter((line) => !/ (STALE|REACHABLE|DELAY|PROBE|FAILED|INCOMPLETE)/.test(line)).sort() };
}
