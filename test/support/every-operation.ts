/** All that Docker asks a driver for, in each mode. */
import { etcdOf, other, swarmOf } from "./cluster.ts";
import { bridgeOperations, type Operation } from "./operations.ts";
import { lanOperations } from "./operations-lan.ts";
import { overlayOperations } from "./operations-overlay.ts";
import { World } from "./world.ts";

export const operations: readonly Operation[] = [...bridgeOperations, ...lanOperations, ...overlayOperations];

/** A host before tsnet, with a bridge of the user's, and on a LAN. */
export function hostFor({ plane = "none" }: Operation): World {
  const world = new World();
  if (plane === "static") world.peers = [other.vtep];
  if (plane === "etcd") world.etcd = etcdOf();
  if (plane === "swarm") world.swarm = swarmOf();
  world.links.add("lan", "bridge", { up: true });
  world.links.add("eth0", "", { up: true });
  return world;
}
