/** The composition root: environment -> config -> objects -> listen. */

import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { type Logger, pino } from "pino";
import { createAdminApp } from "./api/admin.ts";
import { methodsOf } from "./api/methods.ts";
import { closeServer, createApp, listen } from "./api/server.ts";
import { type Config, parseConfig } from "./config.ts";
import { Collector } from "./driver/collector.ts";
import { Endpoints } from "./driver/endpoints.ts";
import { Firewall } from "./driver/firewall.ts";
import { Flows } from "./driver/flows.ts";
import { Forwarding } from "./driver/forwarding.ts";
import { excludedSubnets } from "./driver/ipam/exclusions.ts";
import { Pools } from "./driver/ipam/pools.ts";
import type { Kernel } from "./driver/kernel.ts";
import { Locks } from "./driver/locks.ts";
import { Networks } from "./driver/networks.ts";
import { Ports } from "./driver/ports.ts";
import { Reconciler } from "./driver/reconciler.ts";
import type { Records } from "./driver/records.ts";
import { Removals } from "./driver/removals.ts";
import { Report } from "./driver/report.ts";
import { State } from "./driver/state.ts";
import { explain } from "./errors.ts";
import { KernelClient } from "./kernel/kernel-client.ts";
import { Observer } from "./kernel/observer.ts";
import { SqliteStore } from "./store/sqlite-store.ts";

/** The use cases of one host, wired to each other. */
async function createDriver(kernel: Kernel, records: Records, config: Config, log: Logger) {
  const state = new State(records);
  const locks = new Locks();
  const firewall = new Firewall(kernel, state, config.mark);
  const forwarding = new Forwarding(kernel);
  const removals = new Removals(kernel, log);
  const ports = new Ports(kernel);
  const flows = new Flows(kernel, log);
  const pools = new Pools({
    records,
    hostId: await hostId(),
    excluded: async () =>
      excludedSubnets(
        await kernel.observe(),
        state.networks(),
        await readFile("/etc/resolv.conf", "utf8").catch(() => ""),
      ),
  });
  const collector: Collector = new Collector({
    ...{ state, kernel, locks, log },
    releaseLeases: ({ addresses, leases }) => pools.releaseLeases(addresses, leases),
    remove: (id) => endpoints.remove(id),
    now: () => performance.now(),
  });
  const endpoints = new Endpoints({
    ...{ state, kernel, firewall, forwarding, removals, ports, flows, locks, log },
    collect: (endpoint, atLeast) => collector.collect(endpoint, atLeast),
    leasesAt: (addresses) => pools.leasesAt(addresses),
  });
  const networks = new Networks({ state, kernel, firewall, forwarding, removals, endpoints, locks, log });
  const reconciler = new Reconciler({
    ...{ state, kernel, firewall, forwarding, ports, networks, collector, removals, locks, log },
  });
  const observer = new Observer();
  const report = new Report({
    ...{ state, kernel, mark: config.mark },
    observeRules: () => observer.observeRules(),
    repairs: () => reconciler.repairs(),
  });
  return { endpoints, flows, networks, pools, reconciler, removals, report };
}

/** What tells this host from others: machine-id(5), or its name where there is none. */
const hostId = async (): Promise<string> => (await readFile("/etc/machine-id", "utf8").catch(() => hostname())).trim();

/** One line for each thing that is wrong, then the end. */
function refuseToStart(error: unknown): never {
  const errors = error instanceof AggregateError ? error.errors : [error];
  for (const one of errors) process.stderr.write(`tsnet cannot start: ${explain(one)}\n`);
  process.exit(1);
}

async function main(): Promise<void> {
  const config = parseConfig(process.env);
  const log = pino({ level: config.logLevel }, pino.destination(2));
  const opened = await Promise.allSettled([
    KernelClient.open({ mark: config.mark }),
    SqliteStore.open(config.stateDir),
  ]);
  const failed = opened.flatMap((result) => (result.status === "rejected" ? [result.reason as unknown] : []));
  if (failed.length > 0)
    throw new AggregateError(failed.flatMap((e) => (e instanceof AggregateError ? e.errors : [e])));
  const [kernel, store] = opened.map((result) => (result as PromiseFulfilledResult<unknown>).value) as [
    KernelClient,
    SqliteStore,
  ];
  kernel.onExit((error) => {
    log.fatal({ error: explain(error) }, "cannot go on; running containers keep their network");
    process.exit(1);
  });

  const driver = await createDriver(kernel, store, config, log);
  const { promise: ready, resolve: isReady } = Promise.withResolvers<void>();
  const app = createApp({ methods: methodsOf({ ...driver, scope: config.scope }), ready, log });
  const server = await listen(app, config.socket);
  const adminApp = createAdminApp({ report: driver.report, ready, log });
  const adminServer = await listen(adminApp, config.adminSocket, "TSNET_ADMIN_SOCKET");
  log.info(
    { socket: config.socket, adminSocket: config.adminSocket, scope: config.scope, stateDir: config.stateDir },
    "listening",
  );

  const stop = async (signal: string): Promise<void> => {
    log.info({ signal }, "stopping; running containers keep their network");
    adminServer.close();
    adminServer.closeAllConnections();
    await closeServer(server);
    await driver.reconciler.stop();
    await driver.flows.idle();
    await driver.removals.flush();
    await store.close();
    await kernel.close();
    process.exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => void stop(signal));

  const startedAt = performance.now();
  // First: what the reconciler removes gives its addresses back.
  await driver.pools.restore();
  await driver.reconciler.restore();
  isReady();
  log.info({ ms: Math.round(performance.now() - startedAt) }, "state restored");
}

if (import.meta.main) main().catch(refuseToStart);
