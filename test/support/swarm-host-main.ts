/**
 * Program of swarm-host.ts: TUNNEL-ADDRESS NAMESPACE-DIRECTORY. A node of a swarm with one overlay network, as far as its containers
 * and other nodes go: a real kernel, and what Docker would say is told by lines of JSON, each answered by one.
 */
import { createInterface } from "node:readline";
import { Announcements } from "../../src/driver/announcements.ts";
import type { Firewall } from "../../src/driver/firewall.ts";
import type { Forwarding } from "../../src/driver/forwarding.ts";
import { Locks } from "../../src/driver/locks.ts";
import { OverlayMode } from "../../src/driver/overlay/overlay-mode.ts";
import { Overlays } from "../../src/driver/overlay/overlays.ts";
import { ownOverlays } from "../../src/driver/overlay/own-overlays.ts";
import { SwarmPlane } from "../../src/driver/overlay/swarm-plane.ts";
import { Removals } from "../../src/driver/removals.ts";
import { State } from "../../src/driver/state.ts";
import { KernelClient } from "../../src/kernel/kernel-client.ts";
import { planEndpoint } from "../../src/plan/endpoint-request.ts";
import type { GossipNetwork } from "../../src/plan/gossip.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import { FakeGossip, FakeNodes } from "./fake-gossip.ts";
import { swarmNetwork as network } from "./swarm-host.ts";

const [local = "", namespaceDir = ""] = process.argv.slice(2);
const say = (_: object, text: string): void => void process.stderr.write(`${text}\n`);
const log = { debug: say, info: say, warn: say, error: say };

const kernel = await KernelClient.open({ mark: 0x0100_0000, namespaceDir });
const state = new State(new MemoryStore());
await state.saveNetwork(network);
const gossip = Object.assign(new FakeGossip(), { address: local });
const plane = new SwarmPlane({
  ...{ gossip, nodes: new FakeNodes(), makesMacs: true, isFree: async () => true, log },
  own: () => ownOverlays(state),
  isOwn: (endpoint) => state.endpoint(endpoint) !== undefined,
  ownAddresses: async () => [],
});
const underlay = async () => ({ local, port: 4789, mtuBytes: 1500, knowsPlaces: false });
const overlays: Overlays = new Overlays({
  ...{ state, kernel, locks: new Locks(), plane, underlay, log },
  onChange: () => gossip.follow(overlays.active().map(({ network: one }) => one.id)),
});
const removals = new Removals(kernel, log);
// an internal network has neither
const mode = new OverlayMode({
  ...{ plane, overlays, removals, firewall: {} as Firewall, forwarding: {} as Forwarding },
});
const namespacePath = (name: string): string => `${namespaceDir}/${name}`;
const announcements = new Announcements({ state, kernel, plane, namespacePath, log });
overlays.start();

const endpointOf = (id: string) => {
  const endpoint = state.endpoint(id);
  if (endpoint === undefined) throw new Error(`no endpoint ${id}`);
  return endpoint;
};

const commands = {
  gossip: async ({ heard }: { heard: GossipNetwork }): Promise<void> => {
    gossip.put(network.id, heard);
    await new Promise(setImmediate);
    await overlays.idle();
  },
  create: async ({ id, address }: { id: string; address: string }): Promise<void> => {
    const endpoint = planEndpoint({ network: network.id, id, addresses: [address], mac: null }, network);
    await state.saveEndpoint(endpoint);
    await mode.createEndpoint(network, endpoint);
  },
  /** Its link is in its container. */
  joined: async ({ id, sandbox }: { id: string; sandbox: string }): Promise<void> => {
    await state.saveEndpoint({ ...endpointOf(id), sandbox });
    announcements.announce(id);
    await announcements.idle();
  },
  remove: async ({ id }: { id: string }): Promise<void> => {
    const endpoint = endpointOf(id);
    state.removing.add(id);
    await mode.removeEndpoint(network, endpoint);
    await state.forgetEndpoint(id);
  },
  repair: (): Promise<string[]> => overlays.repair(),
  stop: async (): Promise<void> => {
    await removals.flush();
    await overlays.stop();
    for (const name of await kernel.observeNamespaces()) await kernel.apply([{ op: "remove-namespace", name }]);
    await kernel.close();
  },
};

createInterface(process.stdin)
  .on("line", (line) => {
    const { what, ...values } = JSON.parse(line) as { what: keyof typeof commands };
    const run = commands[what] as (values: object) => Promise<unknown>;
    run(values).then(
      (answer) => process.stdout.write(`${JSON.stringify({ answer: answer ?? null })}\n`),
      (error: unknown) => process.stdout.write(`${JSON.stringify({ error: `${error}` })}\n`),
    );
  })
  .on("close", () => process.exit());
process.stdout.write(`${JSON.stringify({ answer: null })}\n`);
