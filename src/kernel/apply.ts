import { explain, TsnetError } from "../errors.ts";
import type { ForgetFlows, InsertForwardRule, Op, RemoveForwardRule } from "../plan/op.ts";
import type { Links } from "./links.ts";
import { setSysctl } from "./sysctl.ts";

/** What operations act on. */
export interface Targets {
  readonly links: Links;
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

/** @returns a promise for what takes a program, or many steps, to do */
function applyOne(op: Op, { links, nft, conntrack, forward }: Targets): Promise<void> | undefined {
  switch (op.op) {
    case "ensure-bridge":
      links.ensureBridge(op);
      return;
    case "ensure-veth":
      links.ensureVeth(op);
      return;
    case "ensure-port":
      links.ensurePort(op);
      return;
    case "ensure-address":
      links.ensureAddress(op);
      return;
    case "remove-address":
      links.removeAddress(op);
      return;
    case "ensure-route":
      links.ensureRoute(op);
      return;
    case "remove-links":
      for (const link of op.links) links.removeLink(link);
      return;
    case "set-sysctl":
      setSysctl(op);
      return;
    case "run-nft":
      nft.run(op.script);
      return;
    case "forget-flows":
      return conntrack.forgetFlows(op);
    case "insert-forward-rule":
      return forward.insertForwardRule(op);
    case "remove-forward-rule":
      return forward.removeForwardRule(op);
    default:
      return op satisfies never;
  }
}

/** The operation and its object: "ensure-address tsb-4f2a0000000 172.18.0.1/16". */
function describe(op: Op): string {
  switch (op.op) {
    case "ensure-bridge":
    case "ensure-veth":
    case "ensure-port":
      return `${op.op} ${op.name}`;
    case "ensure-address":
    case "remove-address":
      return `${op.op} ${op.link} ${op.address}`;
    case "ensure-route":
      return `${op.op} ${op.link} ${op.destination}`;
    case "remove-links":
      return `${op.op} ${op.links.map((link) => link.name).join(" ")}`;
    case "set-sysctl":
      return `${op.op} ${op.key.join("/")} = ${op.value}`;
    case "run-nft":
      return op.op;
    case "forget-flows":
      return `${op.op} ${op.protocol} ${op.hostPorts.join(" ")} of ${op.addresses.join(" ")}`;
    case "insert-forward-rule":
    case "remove-forward-rule":
      return `${op.op} ${op.program}`;
    default:
      return op satisfies never;
  }
}
