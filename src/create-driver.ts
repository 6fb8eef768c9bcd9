/** The use cases of one host, wired to each other. */

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import type { Logger } from "pino";
import { type Config, sharedSettings } from "./config.ts";
import { DockerView } from "./docker/docker-view.ts";
import { NoDockerView } from "./docker/no-docker-view.ts";
import { SwarmView } from "./docker/swarm-view.ts";
import { Allocations } from "./driver/allocations.ts";
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
import { createCluster } from "./driver/overlay/create-cluster.ts";
import { DiscoveredNodes } from "./driver/overlay/discovered-nodes.ts";
import { OverlayMode } from "./driver/overlay/overlay-mode.ts";
import { ParentWatch } from "./driver/parent-watch.ts";
import { Ports } from "./driver/ports.ts";
import { Reconciler } from "./driver/reconciler.ts";
import type { Records, SharedRecords } from "./driver/records.ts";
import { Removals } from "./driver/removals.ts";
import { Report } from "./driver/report.ts";
import { LinkReport } from "./driver/report-links.ts";
import { ServiceReport } from "./driver/report-services.ts";
import { State } from "./driver/state.ts";
import { Draining } from "./driver/swarm/draining.ts";
import { LeftNetworks } from "./driver/swarm/left-networks.ts";
import { explain, TsnetError } from "./errors.ts";
import { Observer } from "./kernel/observer.ts";
import { machineId } from "./machine-id.ts";
import { sharedMode } from "./plan/allocation.ts";
import { explainStorageError } from "./store/sqlite-error.ts";
import { ownVersion } from "./version.ts";

/** Where the state is: on this host, and what hosts share in etcd, if they do. */
interface Stores {
  readonly records: Records;
  readonly shared: SharedRecords | undefined;
}

/** The use cases of one host, wired to each other. */
export async function createDriver(kernel: Kernel, { records, shared }: Stores, config: Config, log: Logger) {
  const state = new State(records);
  const locks = new Locks();
  const firewall = new Firewall(kernel, state, records, config.mark);
  const forwarding = new Forwarding(kernel);
  const removals = new Removals(kernel, log);
  const ports = new Ports(kernel);
  const flows = new Flows(kernel, log);
  // a dockerd that has just started has brought back what it could: what else has died is not told
  const onReturn = (): void => void reconciler.run();
  const { dockerSocket: socketPath } = config;
  const docker = socketPath === null ? new NoDockerView(log) : new DockerView({ socketPath, log, onReturn });
  const gossip = socketPath === null ? undefined : new SwarmView({ socketPath, log });
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
  const nodes = new DiscoveredNodes({
    ...{ records, locks, log, ttlMs: config.overlay.hostTtlMs },
    now: () => Date.now(),
  });
  gossip?.onChange((id) => {
    if (id !== "" || gossip.isSwarm()) return;
    nodes.left().catch((error: unknown) => {
      log.warn({ error: explain(error) }, "the nodes of a swarm that this host has left could not be forgotten yet");
    });
  });
  const draining =
    gossip &&
    new Draining({
      ...{ kernel, log, now: () => performance.now() },
      gossip: (id) => gossip.network(id),
      hurry: (id) => gossip.hurry(id),
      networks: () => {
        const names = new Map(docker.networks()?.map(({ id, name }) => [id, name]));
        return cluster.overlays.active().map(({ network }) => ({
          ...{ id: network.id, name: names.get(network.id) ?? null },
          sandboxes: state.endpointsOf(network.id).flatMap(({ sandbox }) => sandbox ?? []),
        }));
      },
    });
  if (draining) gossip.onChange(() => draining.wake());
  const cluster = createCluster({
    ...{ kernel, state, locks, firewall, log, records, settings: config.overlay },
    etcd: shared && { records: shared, endpoints: config.etcd?.endpoints ?? [] },
    ...{ hostId, hostName: hostname(), hasTwin: () => ipam.hasTwin, pools: ipam },
    facts: { name: hostname(), version: await ownVersion(), settings: sharedSettings(config) },
    ...{ gossip, nodes, makesMacs: !config.requiresMacAddress },
    ...(draining && { draining }),
  });
  const { plane } = cluster;
  const namespacePath = (name: string): string => join(config.namespaceDir, name);
  const announcements = new Announcements({ state, kernel, log, plane, namespacePath });
  const modes = new Modes({
    overlay: new OverlayMode({ firewall, forwarding, removals, ...cluster }),
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
    defaultMode: config.scope === "global" ? sharedMode : "bridge",
    vxlanPort: config.overlay.port,
    attach: (network, subnets) => ipam.attach(network, subnets),
    hold: (network, addresses) => holdForHost(ipam, network, addresses),
  });
  const allocations = new Allocations({
    ...{ records, state, locks, log, isFree: cluster.isFree },
    networks: () => docker.networks(),
    refresh: () => docker.refresh(),
    role: () => docker.swarmRole(),
    shared: () => plane.networks?.() ?? new Map(),
    vxlanPort: config.overlay.port,
    now: () => Date.now(),
  });
  const reconciler = new Reconciler({
    ...{ state, kernel, firewall, forwarding, ports, networks, collector, removals, locks, log },
    ...{ hostAccess, parents, announcements, overlays: cluster.overlays },
  });
  const observer = new Observer();
  const report = new Report({
    ...{ state, kernel, mark: config.mark },
    observeRules: () => observer.observeRules(),
    repairs: () => reconciler.repairs(),
  });
  const linkReport = new LinkReport({
    state,
    observeLinks: (sandboxes) => observer.observeLinks(sandboxes),
    failedNetworks: () => allocations.failed(),
    namespacePath,
  });
  const serviceReport = new ServiceReport({
    services: { list: () => cluster.services?.list() ?? [] },
    observeTranslated: (paths) => observer.observeTranslated(paths),
    namespacePath,
  });
  const ipamCheck = new IpamCheck({
    ...{ ipam, state, docker, hostId, log },
    deleteNetwork: (id) => networks.delete(id),
    graceMs: config.orphanGraceMs,
    now: () => Date.now(),
  });
  const leftNetworks = new LeftNetworks({
    ...{ state, networks, locks, log, now: () => performance.now() },
    has: (id) => docker.has(id),
  });
  const ipamReport = new IpamReport({ ipam, state, checker: ipamCheck });
  return {
    allocations,
    cluster,
    docker,
    draining,
    endpoints,
    flows,
    gossip,
    ipam,
    ipamCheck,
    ipamReport,
    leftNetworks,
    linkReport,
    networks,
    nodes,
    reconciler,
    removals,
    report,
    serviceReport,
    state,
  };
}

/**
 * Where name servers are: /etc/resolv.conf may name systemd-resolved alone, 127.0.0.53, which keeps its own list. That of a managed
 * plugin is the file that was there when it was started, also after the host has another.
 */
const resolvConf = ["/etc/resolv.conf", "/host/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];
