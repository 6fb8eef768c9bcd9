import { explain, TsnetError } from "../errors.ts";
import type { ForgetFlows, InnerOp, InsertForwardRule, Op, RemoveForwardRule } from "../plan/op.ts";
import type { Addresses } from "./addresses.ts";
import type { DirectRoutes } from "./direct/direct-routes.ts";
import type { LanLinks } from "./lan-links.ts";
import type { Links } from "./links.ts";
import type { Namespaces } from "./namespaces.ts";
import type { OverlayLinks } from "./overlay-links.ts";
import type { OwnLinks } from "./own-links.ts";
import { restoreLanLink, setSandboxMtu } from "./restore-lan-link.ts";
import { setSysctl } from "./sysctl.ts";

/** What operations act on. */
export interface Targets {
  readonly own: OwnLinks;
  readonly links: Links;
  readonly lan: LanLinks;
  readonly addresses: Addresses;
  readonly namespaces: Namespaces;
  readonly overlay: OverlayLinks;
  readonly direct: DirectRoutes;
  readonly nft: { run(script: string): void };
  readonly conntrack: { forgetFlows(op: ForgetFlows): Promise<void> };
  readonly forward: {
    insertForwardRule(op: InsertForwardRule): Promise<void>;
    removeForwardRule(op: RemoveForwardRule): Promise<void>;
  };
}

/**
 * Executes the operations in order and stops at the first that fails.
 * @throws TsnetError whose message begins with the operation and its object, and which keeps code and errno of the cause
 */
export async function apply(ops: readonly Op[], targets: Targets): Promise<void> {
  for (const op of ops) {
    try {
      const done = applyOne(op, targets);
      if (done) await done;
    } catch (error) {
      const known = error instanceof TsnetError ? error : undefined;
      const options = known?.errno === undefined ? {} : { errno: known.errno };
      throw new TsnetError(known?.code ?? "kernel", `${describe(op)}: ${explain(error)}`, options);
    }
  }
}

type OpOf<Name extends Op["op"]> = Extract<Op, { op: Name }>;

/** How each operation is executed, and what it is about. */
type Executors = {
  readonly [Name in Op["op"]]: {
    /** @returns a promise for what takes a program, or many steps, to do */
    run(targets: Targets, op: OpOf<Name>): Promise<void> | void;
    /** As in "tsb-4f2a0000000 172.18.0.1/16". */
    object(op: OpOf<Name>): string;
  };
};

const removals: readonly InnerOp["op"][] = ["remove-links", "remove-places", "remove-address", "remove-route"];
const isRemoval = ({ op }: InnerOp): boolean => removals.includes(op);

const byName = (op: { readonly name: string }): string => op.name;
const byAddress = (op: { readonly link: string; readonly address: string }): string => `${op.link} ${op.address}`;
const byRoute = (op: { readonly link: string; readonly destination: string }): string => `${op.link} ${op.destination}`;
const byProgram = (op: { readonly program: string }): string => op.program;

const executors: Executors = {
  "ensure-bridge": { run: ({ links }, op) => links.ensureBridge(op), object: byName },
  "ensure-veth": { run: ({ links }, op) => links.ensureVeth(op), object: byName },
  "ensure-port": { run: ({ links }, op) => links.ensurePort(op), object: byName },
  "ensure-vlan": { run: ({ lan }, op) => lan.ensureVlan(op), object: byName },
  "ensure-dummy": { run: ({ lan }, op) => lan.ensureDummy(op), object: byName },
  "ensure-lan-link": { run: ({ lan }, op) => lan.ensureLanLink(op), object: byName },
  "ensure-namespace": { run: ({ namespaces }, op) => namespaces.ensure(op.name), object: byName },
  "remove-namespace": { run: ({ namespaces }, op) => namespaces.remove(op.name), object: byName },
  "in-namespace": {
    run: ({ namespaces }, { namespace, ops }) => {
      // with a namespace that is gone, all is gone that was in it
      if (ops.every(isRemoval) && !namespaces.has(namespace)) return;
      const inside = namespaces.open(namespace);
      for (const op of ops) inside.apply(op);
    },
    object: ({ namespace, ops }) => `${namespace} ${ops.map(({ op }) => op).join(" ")}`,
  },
  "ensure-vxlan": { run: ({ overlay }, op) => overlay.ensureVxlan(op), object: byName },
  "ensure-inner-veth": { run: ({ overlay }, op) => overlay.ensureVeth(op), object: byName },
  "put-direct-routes": {
    run: ({ direct }, op) => direct.put(op),
    object: ({ from }) => from,
  },
  "remove-direct-routes": {
    run: ({ direct }, op) => direct.remove(op),
    object: ({ destinations }) => `${destinations.slice(0, 5).join(" ")}${destinations.length > 5 ? " …" : ""}`,
  },
  "keep-direct-routes": { run: ({ direct }, op) => direct.keep(op), object: ({ subnets }) => subnets.join(" ") },
  "set-link-down": { run: ({ lan }, op) => lan.setLinkDown(op), object: byName },
  "restore-lan-link": {
    run: ({ own }, op) => restoreLanLink(own, op),
    object: ({ name, sandbox }) => `${name} in ${sandbox}`,
  },
  "set-sandbox-mtu": {
    run: (_, op) => setSandboxMtu(op),
    object: ({ alias, sandbox, mtuBytes }) => `${alias} in ${sandbox} = ${mtuBytes}`,
  },
  "ensure-address": { run: ({ addresses }, op) => addresses.ensureAddress(op), object: byAddress },
  "remove-address": { run: ({ addresses }, op) => addresses.removeAddress(op), object: byAddress },
  "ensure-route": { run: ({ addresses }, op) => addresses.ensureRoute(op), object: byRoute },
  "remove-route": { run: ({ addresses }, op) => addresses.removeRoute(op), object: byRoute },
  "ensure-neighbor": { run: ({ addresses }, op) => addresses.ensureNeighbor(op), object: byAddress },
  "remove-neighbor": { run: ({ addresses }, op) => addresses.removeNeighbor(op), object: byAddress },
  "remove-links": {
    run: ({ links }, op) => {
      for (const link of op.links) links.removeLink(link);
    },
    object: (op) => op.links.map(byName).join(" "),
  },
  "set-sysctl": { run: (_, op) => setSysctl(op), object: ({ key, value }) => `${key.join("/")} = ${value}` },
  "run-nft": { run: ({ nft }, op) => nft.run(op.script), object: () => "" },
  "forget-flows": {
    run: ({ conntrack }, op) => conntrack.forgetFlows(op),
    object: ({ protocol, hostPorts, addresses }) => `${protocol} ${hostPorts.join(" ")} of ${addresses.join(" ")}`,
  },
  "forget-virtual-flows": {
    run: ({ namespaces }, op) =>
      namespaces.has(op.namespace) ? namespaces.open(op.namespace).forgetVirtualFlows(op) : undefined,
    object: ({ namespace, virtual }) => `${namespace} ${virtual.map(({ vip }) => vip).join(" ")}`,
  },
  "insert-forward-rule": { run: ({ forward }, op) => forward.insertForwardRule(op), object: byProgram },
  "remove-forward-rule": { run: ({ forward }, op) => forward.removeForwardRule(op), object: byProgram },
};

/** The executor of the operation; the type of one for all of them, since each is looked up by the name of its own. */
const executorOf = (op: Op): Executors["run-nft"] => executors[op.op] as unknown as Executors["run-nft"];

const applyOne = (op: Op, targets: Targets): Promise<void> | void => executorOf(op).run(targets, op as OpOf<"run-nft">);

/** The operation and its object: "ensure-address tsb-4f2a0000000 172.18.0.1/16". */
const describe = (op: Op): string => `${op.op} ${executorOf(op).object(op as OpOf<"run-nft">)}`.trimEnd();
