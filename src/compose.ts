/** The composition root: settings -> objects -> what answers on the sockets. */

import { pino } from "pino";
import { createAdminApp } from "./api/admin.ts";
import type { DoctorReports } from "./api/admin-doctor.ts";
import { methodsOf } from "./api/methods.ts";
import { createApp, serve } from "./api/server.ts";
import type { Config } from "./config.ts";
import { createDriver } from "./create-driver.ts";
import { PluginName } from "./docker/plugin-name.ts";
import { SwarmQuestions } from "./docker/swarm.ts";
import { SwarmDoctor, withSwarm } from "./driver/swarm/swarm-doctor.ts";
import { explain, TsnetError } from "./errors.ts";
import { hasBridgeFilter } from "./kernel/bridge-filter.ts";
import type { KernelClient } from "./kernel/kernel-client.ts";
import { probeTcp } from "./kernel/tcp-probe.ts";
import type { Sockets } from "./main.ts";
import { isSwarmNetwork } from "./plan/gossip.ts";
import type { EtcdStore } from "./store/etcd-store.ts";
import { openEtcd } from "./store/open-etcd.ts";
import type { SqliteStore } from "./store/sqlite-store.ts";
import type { Threads } from "./threads.ts";

/**
 * Restores the state and serves until a signal ends it.
 * @throws AggregateError with each thing that is missing or cannot be used; Error
 */
export async function run(config: Config, sockets: Sockets, threads: Threads): Promise<void> {
  const log = pino({ level: config.logLevel }, pino.destination(1));
  const { pluginId } = threads;
  const opened = await Promise.allSettled([threads.kernel, threads.store, openEtcd(config.etcd, log)]);
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

  await etcd?.resume(store);
  const driver = await createDriver(kernel, { records: store, shared: etcd }, config, log);
  const { promise: ready, resolve: isReady, reject: isBroken } = Promise.withResolvers<void>();
  ready.catch(() => {}); // who waits for it hears of it
  const names = sockets.plugin.length;
  for (const [index, socket] of sockets.plugin.entries()) {
    // of a managed plugin's two names a swarm takes the last, which is its own
    const methods = methodsOf({ ...driver, ...config, servesSwarm: index === names - 1 });
    serve(createApp({ methods, ready, log }), socket);
  }
  const { report, linkReport: links, ipamReport: ipam, serviceReport: services } = driver;
  const { hosts } = driver.cluster;
  const questions = pluginId === null ? null : new SwarmQuestions(config.dockerSocket, pluginId);
  const doctor = questions === null ? driver.cluster.doctor : doctorOf(driver, config, questions);
  serve(createAdminApp({ report, links, ipam, hosts, doctor, services, ready, log }), sockets.admin);
  log.info(
    {
      sockets: sockets.plugin.map(({ path }) => path),
      adminSocket: config.adminSocket,
      scope: config.scope,
      stateDir: config.stateDir,
    },
    "listening",
  );

  const { dockerSocket: socketPath } = config;
  const pluginName = socketPath === null ? null : new PluginName({ socketPath, pluginId, log });
  const startedAt = performance.now();
  const restored = restore(driver);
  let isStopping = false;
  const stop = async (signal: string): Promise<void> => {
    isStopping = true;
    log.info({ signal }, "stopping; running containers keep their network");
    questions?.stop(); // who has asked the doctor is answered without Docker
    await Promise.all([
      ...sockets.plugin.map((socket) => socket.close()),
      sockets.admin.close(),
      driver.docker.stop(),
      driver.gossip?.stop(),
      driver.ipamCheck.stop(),
      pluginName?.stop(),
      driver.allocations.stop(),
      driver.leftNetworks.stop(),
    ]);
    await restored.catch(() => {}); // who has started it says why
    await driver.reconciler.stop();
    await driver.cluster.overlays.stop();
    await driver.cluster.doctor.stop();
    await driver.draining?.stop();
    await driver.nodes.stop();
    await driver.flows.idle();
    await driver.removals.flush();
    await Promise.all([driver.ipam.close(), etcd?.close()]);
    await store.close();
    await kernel.close();
    process.exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT"]) process.removeAllListeners(signal).once(signal, () => void stop(signal));

  try {
    await restored;
  } catch (error) {
    isBroken(new TsnetError("kernel", "tsnet cannot start", { cause: error }));
    throw error;
  }
  if (isStopping) return isBroken(new TsnetError("kernel", "tsnet is being stopped"));
  driver.cluster.overlays.start();
  driver.cluster.doctor.lookSoon();
  driver.ipamCheck.start();
  driver.allocations.start();
  driver.leftNetworks.start();
  driver.draining?.start();
  pluginName?.start();
  isReady();
  log.info({ ms: Math.round(performance.now() - startedAt) }, "state restored");
}

async function restore(driver: Driver): Promise<void> {
  const { ipam, docker, gossip, reconciler, allocations, nodes } = driver;
  // First: what the reconciler removes gives its addresses back.
  await ipam.restore();
  await Promise.all([allocations.restore(), nodes.restore()]);
  docker.start();
  gossip?.start();
  await reconciler.restore();
}

type Driver = Awaited<ReturnType<typeof createDriver>>;

/** Of a managed plugin, since a swarm takes no other. Whoever asks has waited for the state. */
function doctorOf(
  { cluster, gossip, state }: Driver,
  { dockerSocket }: Config,
  questions: SwarmQuestions,
): DoctorReports {
  const networks = () => [...state.networks()].filter(isSwarmNetwork).map(({ id }) => id);
  const swarm = new SwarmDoctor({
    ask: () => questions.swarm(),
    pluginName: () => questions.pluginName(),
    ...{ hasSocket: dockerSocket !== null, hasNetworks: () => networks().length > 0 },
    hasVirtualIps: () => cluster.services?.list().some(({ vip }) => vip !== null) ?? false,
    hasBridgeFilter,
    staleSinceMs: () => gossip?.staleSinceMs() ?? null,
    peers: () => networks().flatMap((id) => gossip?.network(id)?.peers ?? []),
    probe: probeTcp,
  });
  return withSwarm(cluster.doctor, swarm);
}
