/** Program of ipam-host.ts: NAME DIRECTORY ETCD-URL. Serves IpamDriver's calls, and the check. */
import { join } from "node:path";
import { pino } from "pino";
import { z } from "zod";
import type { Method } from "../../src/api/methods.ts";
import { parseBody } from "../../src/api/parse.ts";
import * as requests from "../../src/api/requests.ts";
import { createApp, listen } from "../../src/api/server.ts";
import { IpamCheck, type IpamCheckNeeds } from "../../src/driver/ipam/check.ts";
import { defaultPools } from "../../src/driver/ipam/default-pools.ts";
import { Ipam } from "../../src/driver/ipam/ipam.ts";
import type { BridgeNetwork, Endpoint } from "../../src/plan/network.ts";
import { EtcdStore } from "../../src/store/etcd-store.ts";
import { SqliteStore } from "../../src/store/sqlite-store.ts";

const [hostId = "", directory = "", url = ""] = process.argv.slice(2);
const network = hostId.padEnd(64, "0");

const log = pino({ level: "info" }, pino.destination(2));
const access = { cacert: null, cert: null, key: null, user: null, password: null };
const records = await SqliteStore.open(join(directory, "state"));
const etcd = await EtcdStore.open({ endpoints: [url], prefix: "/tsnet/", ...access });
const ipam = new Ipam({
  ...{ records, shared: { records: etcd, endpoints: [url] }, hostId, hostName: hostId, log, now: Date.now },
  ...{ defaultPools: defaultPools(hostId), excluded: async () => [] },
});

/** As if the host had one network, and an endpoint at each address that its callers have. */
function check(held: readonly string[]): IpamCheck {
  const addresses = new Set(held);
  const state = {
    network: (id: string) => (id === network ? ({ id, subnets: [] } as unknown as BridgeNetwork) : undefined),
    ...{ networks: () => [].values(), endpoint: () => undefined, endpoints: () => [].values(), removing: new Set() },
    endpointAt: (_: string, address: string) => (addresses.has(address) ? ({} as Endpoint) : undefined),
  } as unknown as IpamCheckNeeds["state"];
  const docker = {
    refresh: async () => null,
    containersIn: async () => null,
    swarmRole: async () => null,
    swarmAddresses: async () => null,
  };
  return new IpamCheck({ ipam, state, docker, hostId, deleteNetwork: async () => {}, graceMs: 0, log, now: Date.now });
}

const method = <T>(shape: z.ZodType<T>, run: (request: T) => Promise<unknown>): Method => ({
  isImmediate: false,
  run: async (body) => ((await run(parseBody(shape, body))) ?? {}) as object,
});

const methods: Record<string, Method> = {
  "IpamDriver.RequestPool": method(requests.requestPool, async (request) => {
    const { poolId, pool } = await ipam.requestPool(request);
    return { PoolID: poolId, Pool: pool };
  }),
  "IpamDriver.ReleasePool": method(requests.releasePool, ({ poolId }) => ipam.releasePool(poolId)),
  "IpamDriver.RequestAddress": method(requests.requestAddress, async (request) => ({
    Address: (await ipam.requestAddress(request)).address,
  })),
  "IpamDriver.ReleaseAddress": method(requests.releaseAddress, (request) => ipam.releaseAddress(request)),
  "Test.Attach": method(z.object({ pool: z.string() }), ({ pool }) =>
    ipam.attach(network, [{ addressSpace: "tsnet-local", pool, gateway: null, auxiliary: [] }]),
  ),
  "Test.Check": method(z.object({ held: z.array(z.string()) }), async ({ held }) => {
    const checking = check(held);
    await checking.check(); // what is seen for the first time is not given back yet
    const { released, left } = await checking.repair();
    return { released: released.map(({ address }) => address), left: left.map(({ text }) => text) };
  }),
};

const app = createApp({ methods, ready: ipam.restore(), log });
const socket = await listen(app, join(directory, "socket"));

process.once("SIGTERM", async () => {
  await socket.close();
  await ipam.close();
  await etcd.close();
  await records.close();
  process.exit(0);
});
