/** `tsnet ipam`: asks the plugin and Docker. */
import type { CheckAnswer, IpamAnswer, LeasesAnswer, RepairAnswer } from "../driver/ipam/answers.ts";
import type { IpamCommand } from "./arguments.ts";
import { askAdmin } from "./client.ts";
import { dockerNames } from "./docker-names.ts";
import { formatPools, formatShown, type ShownPool, shownPool } from "./ipam.ts";
import { formatCheck, formatRepair } from "./ipam-check.ts";
import { findPools, namedPools } from "./pools.ts";
import { toJson } from "./table.ts";

/** What a command prints. */
export interface Printed {
  readonly text: string;
  /** The exit code; 0 if left out. */
  readonly code?: number;
  /** For standard error: what is wrong. */
  readonly error?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws Error with what to do */
export async function runIpam(command: IpamCommand, env: Environment): Promise<Printed> {
  switch (command.name) {
    case "ipam":
      return await list(command, env);
    case "ipam show":
      return await show(command, env);
    case "ipam check":
      return await (command.repair ? repair(command) : check(command));
  }
}

async function poolsAndNames(socket: string, env: Environment) {
  const [answer, names] = await Promise.all([askAdmin<IpamAnswer>(socket, "/v1/ipam"), dockerNames(env)]);
  return { pools: namedPools(answer.pools, names), names };
}

async function list({ socket, json }: IpamCommand, env: Environment): Promise<Printed> {
  const { pools } = await poolsAndNames(socket, env);
  return { text: json ? toJson({ pools }) : formatPools(pools) };
}

async function show(command: Extract<IpamCommand, { name: "ipam show" }>, env: Environment): Promise<Printed> {
  const { pools, names } = await poolsAndNames(command.socket, env);
  const shown: ShownPool[] = [];
  for (const pool of findPools(command.pool, pools)) {
    const path = `/v1/ipam/leases?${new URLSearchParams({ pool: pool.id })}`;
    const { leases } = await askAdmin<LeasesAnswer>(command.socket, path);
    shown.push(shownPool(pool, leases, names));
  }
  return { text: command.json ? toJson({ pools: shown }) : formatShown(shown) };
}

async function check({ socket, json }: IpamCommand): Promise<Printed> {
  const answer = await askAdmin<CheckAnswer>(socket, "/v1/ipam/check");
  return { text: json ? toJson(answer) : formatCheck(answer), code: codeOf(answer) };
}

async function repair({ socket, json }: IpamCommand): Promise<Printed> {
  const answer = await askAdmin<RepairAnswer>(socket, "/v1/ipam/check", "POST");
  return { text: json ? toJson(answer) : formatRepair(answer), code: codeOf(answer) };
}

/** 1 if something is wrong: a pool may be nearly full. */
const codeOf = ({ findings }: CheckAnswer): number => (findings.some(({ kind }) => kind !== "nearly-full") ? 1 : 0);
