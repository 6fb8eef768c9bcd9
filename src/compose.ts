/** The composition root: settings -> objects -> what answers on the sockets. */

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { type Logger, pino } from "pino";
import { createAdminApp } from "./api/admin.ts";
import { methodsOf } from "./api/methods.ts";
import { createApp, serve } from "./api/server.ts";
import type { Config } from "./config.ts";
import { DockerView } from "./docker/docker-view.ts";
import { PluginName } from "./docker/plugin-name.ts";
import { Announcements } from "./driver/announcements.ts";
import { BridgeMode } from "./driver/bridge-mode.ts";
import { Collector } from "./driver/collector.ts";
import { Endpoints } from "./driver/endpoints.ts";
import { Firewall } from "./driver/firewall.ts";
import { Flows } from "./driver/flows.ts";
import { Forwarding } from "./driver/forwarding.ts";
import { HostAccess } from "./driver/host-access.ts";
import { IpamCheck } from "./driver/ipam/check.ts";
import { defaultPools } from "./driver/ipam/default-pools.ts";
import { obstacles } from "./driver/ipam/exclusions.ts";
import { holdForHost } from "./driver/ipam/hold.ts";
import { Ipam } from "./driver/ipam/ipam.ts";
import { IpamReport } from "./driver/ipam/report.ts";
import type { Kernel } from "./driver/kernel.ts";
import { LanMode } from "./driver/lan-mode.ts";
import { Locks } from "./driver/locks.ts";
import { Modes } from "./driver/mode.ts";
import { Networks } from "./driver/networks.ts";
import { ParentWatch } from "./driver/parent-watch.ts";
import { Ports } from "./driver/ports.ts";
import { Reconciler } from "./driver/reconciler.ts";
import type { Records, SharedRecords } from "./driver/records.ts";
import { Removals } from "./driver/removals.ts";
import { Report } from "./driver/report.ts";
import { LinkReport } from "./driver/report-links.ts";
import { State } from "./driver/state.ts";
import { explain, TsnetError } from "./errors.ts";
import type { KernelClient } from "./kernel/kernel-client.ts";
import { Observer } from "./kernel/observer.ts";
import { machineId } from "./machine-id.ts";
import type { Sockets } from "./main.ts";
import type { EtcdStore } from "./store/etcd-store.ts";
import { explainStorageError } from "./store/sqlite-error.ts";
import type { SqliteStore } from "./store/sqlite-store.ts";
import type { Threads } from "./threads.ts";

/** Where the state is: on this host, and what hosts share in etcd, if they do. */
interface Stores {
  readonly records: Records;
  readonly shared: SharedRecords | undefined;
}

/** The use cases of one host, wired to each other. */
async function createDriver(kernel: Kernel, { records, shared }: Stores, config: Config, log: Logger) {
  const state = new State(records);
  const locks = new Locks();
  const firewall = new Firewall(kernel, state, config.mark);
  const forwarding = new Forwarding(kernel);
  const removals = new Removals(kernel, log);
  const ports = new Ports(kernel);
  const flows = new Flows(kernel, log);
  const docker = new DockerView({
    ...{ socketPath: config.dockerSocket, log },
    // a dockerd that has just started has brought back what it could: what else has died is not told
    onReturn: () => void reconciler.run(),
  });
  const machine = await machineId(config.stateDir).catch((error: unknown) => {
    throw new TsnetError("store", explainStorageError(error, join(config.stateDir, "machine-id")));
  });
  const hostId = config.hostId ?? createHash("sha256").update(`tsnet${machine}`).digest("hex").slice(0, 12);
  const ipam = new Ipam({
    records,
    shared: shared && { records: shared, endpoints: config.etcd?.endpoints ?? [] },
    ...{ hostId, hostName: hostname() },
    defaultPools: defaultPools(machine, config.addressPools),
    excluded: async () =>
      obstacles({
        routed: await kernel.observeRouted(),
        networks: state.networks(),
        docker: docker.networks(),
        resolvConf: await Promise.all(resolvConf.map((path) => readFile(path, "utf8").catch(() => ""))),
        excluded: config.addressPools.excluded,
      }),
    log,
    now: () => Date.now(),
  });
  const collector: Collector = new Collector({
    ...{ state, kernel, locks, log },
    releaseLeases: ({ network, addresses, leases }) => ipam.releaseLeases(network, addresses, leases),
    remove: (id) => endpoints.remove(id),
    now: () => performance.now(),
  });
  const hostAccess = new HostAccess({ state, kernel, log });
  const parents = new ParentWatch({ state, kernel, log });
  const announcements = new Announcements({ state, kernel, log });
  const modes = new Modes({
    bridge: new BridgeMode({ kernel, firewall, forwarding, removals }),
    lan: new LanMode({ state, kernel, hostAccess, parents, removals, log, dockerNetworks: () => docker.networks() }),
  });
  const endpoints = new Endpoints({
    ...{ state, modes, firewall, ports, flows, locks, log },
    collect: (endpoint, atLeast) => collector.collect(endpoint, atLeast),
    leasesAt: (network, addresses) => ipam.leasesAt(network, addresses),
  });
  const networks = new Networks({
    ...{ state, modes, endpoints, locks, log },
    attach: (network, subnets) => ipam.attach(network, subnets),
    hold: (network, addresses) => holdForHost(ipam, network, addresses),
  });
  const reconciler = new Reconciler({
    ...{ state, kernel, firewall, forwarding, ports, networks, collector, removals, locks, log },
    ...{ hostAccess, parents, announcements },
  });
  const observer = new Observer();
  const report = new Report({
    ...{ state, kernel, mark: config.mark },
    observeRules: () => observer.observeRules(),
    repairs: () => reconciler.repairs(),
  });
  const linkReport = new LinkReport({ state, observeLinks: (sandboxes) => observer.observeLinks(sandboxes) });
  const ipamCheck = new IpamCheck({
    ...{ ipam, state, docker, hostId, log },
    deleteNetwork: (id) => networks.delete(id),
    graceMs: config.orphanGraceMs,
    now: () => Date.now(),
  });
  const ipamReport = new IpamReport({ ipam, state, checker: ipamCheck });
  return { docker, endpoints, flows, ipam, ipamCheck, ipamReport, linkReport, networks, reconciler, removals, report };
}

/**
 * Where name servers are: /etc/resolv.conf may name systemd-resolved alone, 127.0.0.53, which keeps its own list. That of a managed
 * plugin is the file that was there when it was started, also after the host has another.
 */
const resolvConf = ["/etc/resolv.conf", "/host/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/** Etcd is not asked yet: it may be away, and nothing here waits for it. Without it, its modules (TLS) take no memory. */
async function openEtcd({ etcd }: Config, log: Logger): Promise<EtcdStore | undefined> {
  if (etcd === null) return undefined;
  const fields = { endpoints: etcd.endpoints };
  const { EtcdStore } = await import("./store/etcd-store.ts");
  return EtcdStore.open(etcd, {
    report: (trouble) => {
      if (trouble === null) log.info(fields, "etcd can be reached again");
      else log.warn({ ...fields, error: explain(trouble) }, "etcd cannot be followed; pools of this host alone go on");
    },
  });
}

/**
 * Restores the state and serves until a signal ends it.
 * @throws AggregateError with each thing that is missing or cannot be used; Error
 */
export async function run(config: Config, sockets: Sockets, threads: Threads): Promise<void> {
  const log = pino({ level: config.logLevel }, pino.destination(1));
  const { pluginId } = threads;
  const opened = await Promise.allSettled([threads.kernel, threads.store, openEtcd(config, log)]);
  const failed = opened.flatMap((result) => (result.status === "rejected" ? [result.reason as unknown] : []));
  if (failed.length > 0)
    throw new AggregateError(failed.flatMap((e) => (e instanceof AggregateError ? e.errors : [e])));
  const [kernel, store, etcd] = opened.map((result) => (result as PromiseFulfilledResult<unknown>).value) as [
    KernelClient,
    SqliteStore,
    EtcdStore | undefined,
  ];
  kernel.onExit((error) => {
    log.fatal({ error: explain(error) }, "cannot go on; running containers keep their network");
    process.exit(1);
  });

  const driver = await createDriver(kernel, { records: store, shared: etcd }, config, log);
  const { promise: ready, resolve: isReady, reject: isBroken } = Promise.withResolvers<void>();
  ready.catch(() => {}); // who waits for it hears of it
  const names = sockets.plugin.length;
  for (const [index, socket] of sockets.plugin.entries()) {
    // of a managed plugin's two names a swarm takes the last, which is its own
    const methods = methodsOf({ ...driver, ...config, servesSwarm: index === names - 1 });
    serve(createApp({ methods, ready, log }), socket);
  }
  const { report, linkReport: links, ipamReport: ipam } = driver;
  serve(createAdminApp({ report, links, ipam, ready, log }), sockets.admin);
  log.info(
    {
      sockets: sockets.plugin.map(({ path }) => path),
      adminSocket: config.adminSocket,
      scope: config.scope,
      stateDir: config.stateDir,
    },
    "listening",
  );

  const pluginName = new PluginName({ socketPath: config.dockerSocket, pluginId, log });
  const stop = async (signal: string): Promise<void> => {
    log.info({ signal }, "stopping; running containers keep their network");
    await Promise.all([
      ...sockets.plugin.map((socket) => socket.close()),
      sockets.admin.close(),
      driver.docker.stop(),
      driver.ipamCheck.stop(),
      pluginName.stop(),
    ]);
    await driver.reconciler.stop();
    await driver.flows.idle();
    await driver.removals.flush();
    await Promise.all([driver.ipam.close(), etcd?.close()]);
    await store.close();
    await kernel.close();
    process.exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT"]) process.removeAllListeners(signal).once(signal, () => void stop(signal));

  const startedAt = performance.now();
  try {
    // First: what the reconciler removes gives its addresses back.
    await driver.ipam.restore();
    driver.docker.start();
    await driver.reconciler.restore();
  } catch (error) {
    isBroken(new TsnetError("kernel", "tsnet cannot start", { cause: error }));
    throw error;
  }
  driver.ipamCheck.start();
  pluginName.start();
  isReady();
  log.info({ ms: Math.round(performance.now() - startedAt) }, "state restored");
}
