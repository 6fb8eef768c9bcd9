import { Direct } from "../../src/driver/overlay/direct.ts";
import type { DirectNetwork } from "../../src/driver/overlay/direct-changes.ts";
import type { Element } from "../../src/plan/elements.ts";
import type { ObservedPath } from "../../src/plan/observed.ts";
import type { Op } from "../../src/plan/op.ts";
import type { RemoteEndpoint } from "../../src/plan/overlay-places.ts";
import { until } from "./poll.ts";
import { endpointOf, overlayOf } from "./values.ts";

const soonMs = 2_000;

export const local = "192.168.77.1";
const eth0 = {
  ...{ index: 2, name: "eth0", kind: "", alias: "", mac: "02:00:00:00:00:01", mtuBytes: 1500, up: true, master: 0 },
  ...{ group: 0, carrier: true, lower: 0 },
};
export const neighbor: ObservedPath = { source: local, link: "eth0", mtuBytes: 1500, gateway: "" };

/** A kernel and a control plane in memory, as far as the short way needs them. */
export class DirectFixture {
  readonly network: DirectNetwork["network"];
  readonly remotes = new Map<string, RemoteEndpoint>();
  readonly paths = new Map<string, ObservedPath>();
  /** Who answers probes. */
  readonly answering = new Set<string>();
  /** Until then no answer comes. */
  probed: Promise<void> = Promise.resolve();
  /** The host's. */
  addresses = [`${local}/24`, "fe80::1/64"];
  own = [endpointOf({ addresses: ["10.5.0.1/24", "fd00:5::1/64"], mac: "m1" })];
  /** How many endpoints of other hosts were asked for since the event loop was last given back, and the most ever. */
  asked = 0;
  mostAsked = 0;
  /** Routes to them cannot be put. */
  readonly refused = new Set<string>();
  /** What the table and the routes are like. */
  readonly elements = new Set<string>();
  readonly routes = new Map<string, string>();
  accepted: readonly Element[] = [];
  /** Of which networks routes were to be kept, each time that those of all others were removed. */
  readonly kept: (readonly string[])[] = [];
  readonly said: string[] = [];
  /** Whether tables and routes were complete, each time that they were compared. */
  repairs: [tables: boolean, routes: boolean][] = [];
  /** Whether the control plane has told all that it knows; whether that is all that there is. */
  isTold = true;
  isComplete = true;
  /** Whether the network is all there. */
  isActive = true;
  recorded: DirectNetwork["network"][] = [];
  /** Where other hosts are by IPv6. */
  ipv6 = "fe80::2";
  /** Of the next operations: fails that many. */
  failures = 0;
  /** Is told of each operation before it is done. */
  onApply: (op: Op) => void = () => {};
  /** What routes led to who was asked by a probe, when it began. */
  readonly triedBy: (string | undefined)[] = [];
  readonly direct: Direct;

  constructor(options: Readonly<Record<string, string>> = {}) {
    this.network = overlayOf({ "tsnet.vni": "7", ...options });
    const say =
      (level: string) =>
      (fields: object, message: string): void =>
        void this.said.push(`${level} ${message} ${JSON.stringify(fields)}`);
    this.direct = new Direct(
      {
        kernel: {
          apply: async (ops) => {
            for (const op of ops) this.#apply(op);
          },
          observe: async () => ({
            ...{ links: [eth0], routes: [], neighbors: [] },
            addresses: this.addresses.map((address) => ({ link: 2, address })),
          }),
          observePath: async (host) => this.paths.get(host),
          followPaths: async () => {},
          probeWays: async ({ targets }) => {
            this.triedBy.push(...targets.map((target) => this.routes.get(target)));
            const answers = targets.filter((target) => this.answering.has(target));
            await this.probed;
            return answers;
          },
          repairDirect: async (_, isComplete, hasAllRoutes = isComplete) => {
            this.repairs.push([isComplete, hasAllRoutes]);
            return [];
          },
        },
        plane: {
          knowsPlaces: true,
          isTold: () => this.isTold,
          isComplete: () => this.isComplete,
          remotes: () => this.remotes.values(),
          remote: (_, mac) => {
            this.mostAsked = Math.max(this.mostAsked, ++this.asked);
            setImmediate(() => {
              this.asked = 0;
            });
            return this.remotes.get(mac);
          },
          ipv6Of: () => this.ipv6,
          hostsOf: () => [...new Set([...this.remotes.values()].flatMap(({ vtep }) => vtep ?? []))],
        },
        firewall: {
          setDirect: async (_, elements, isMore = false) => {
            this.accepted = isMore ? [...this.accepted, ...elements] : elements;
          },
        },
        recorded: () => this.recorded,
        log: { debug: say("debug"), info: say("info"), warn: say("warn"), error: say("error") },
      },
      () => (this.isActive ? [{ network: this.network, local, endpoints: this.own }] : []),
    );
  }

  /** An endpoint of another host that is a neighbor. */
  add(n: number, host = "192.168.77.2"): void {
    this.remotes.set(`m${n}`, { mac: `m${n}`, ips: [`10.5.0.${n}`], vtep: host });
    this.paths.set(host, neighbor);
    this.answering.add(`10.5.0.${n}`);
  }

  /** @throws Error if the table does not have these elements soon, and no others */
  isTurnedOver(...keys: string[]): Promise<unknown> {
    return until(`turned over: ${keys}`, soonMs, () => `${this.turnedOver}` === `${keys}`);
  }

  get turnedOver(): string[] {
    return [...this.elements].filter((key) => key.includes(" . ")).sort();
  }

  #apply(op: Op): void {
    this.onApply(op);
    if (this.failures-- > 0) throw new Error("no");
    this.failures = 0;
    if (op.op === "put-direct-routes") {
      const isRefused = ({ destination }: { destination: string }): boolean => this.refused.has(destination);
      for (const one of op.routes) if (!isRefused(one)) this.routes.set(one.destination, one.via);
      if (op.routes.some(isRefused)) throw new Error("no such route");
    }
    if (op.op === "remove-direct-routes") for (const destination of op.destinations) this.routes.delete(destination);
    if (op.op === "keep-direct-routes") this.kept.push(op.subnets);
    if (op.op !== "in-namespace" || op.ops[0]?.op !== "change-direct") return;
    const { add, remove } = op.ops[0];
    for (const content of Object.values(remove)) for (const key of Object.keys(content)) this.elements.delete(key);
    for (const content of Object.values(add)) for (const key of Object.keys(content)) this.elements.add(key);
  }
}
