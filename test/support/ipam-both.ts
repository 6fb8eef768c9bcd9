/** Does the same with address management and with its model, and compares. */
import { expect } from "chai";
import { TsnetError } from "../../src/errors.ts";
import { Both, candidates } from "./ipam-pair.ts";
import { textOf } from "./ipam-spans.ts";
import type { Step } from "./ipam-steps.ts";

/** Does a step. @returns what the model says, and what came of it, as texts */
async function run(step: Step, both: Both): Promise<[expected: string, actual: string]> {
  const { model, ipam } = both;
  const poolCall = (
    space: string,
    pool: string,
    subPool: string,
    v6: boolean,
    options: Readonly<Record<string, string>>,
  ) => codeOf(async () => (await ipam.requestPool({ addressSpace: space, pool, subPool, options, v6 })).poolId);
  const addressCall = (poolId: string, address: string, options: Record<string, string>) =>
    codeOf(async () => (await ipam.requestAddress({ poolId, address, options })).address);
  const done = (work: Promise<unknown>) => codeOf(async () => ((await work) === undefined ? "done" : "something"));
  switch (step.call) {
    case "request pool": {
      const [subnet, subPool = ""] = step.form;
      const expected = model.requestPool(step.space, subnet, subPool, step.options);
      return [expected, await poolCall(step.space, subnet, subPool, subnet.includes(":"), step.options.options)];
    }
    case "request any pool": {
      const { pool, v6 } = step.form;
      const expected = model.requestAny(step.space, candidates(step.space, step.form), step.options);
      return [expected, await poolCall(step.space, pool, "", v6, step.options.options)];
    }
    case "request malformed pool": {
      const [pool, subPool, v6, options] = step.form;
      return ["invalid", await poolCall("tsnet-local", pool, subPool, v6, options)];
    }
    case "release pool": {
      const id = both.pool(step.pool);
      model.releasePool(id);
      return ["done", await done(ipam.releasePool(id))];
    }
    case "replay": {
      const { space, subnet, subPool, options } = model.pools[step.pool % Math.max(1, model.pools.length)] ?? nothing;
      const expected = model.requestPool(space, subnet, subPool, options);
      return [expected, await poolCall(space, subnet, subPool, subnet.includes(":"), {})];
    }
    case "request any address": {
      const { serial, identity, isGateway } = step;
      const id = both.pool(step.pool);
      const expected = model.requestAddress(id, { address: null, serial, identity, isGateway });
      return [expected, await addressCall(id, "", optionsOf(step))];
    }
    case "request address": {
      const { identity, isGateway } = step;
      const id = both.pool(step.pool);
      const address = both.address(id, step.address);
      const expected = model.requestAddress(id, { address, serial: false, identity, isGateway });
      return [expected, await addressCall(id, textOf(address), optionsOf(step))];
    }
    case "release address": {
      const id = both.pool(step.pool);
      const address = both.address(id, step.address);
      model.releaseAddress(id, address);
      return ["done", await done(ipam.releaseAddress({ poolId: id, address: textOf(address) }))];
    }
    case "release held address": {
      const pool = at(model.pools, step.pool);
      const lease = pool && at(pool.leases, step.lease);
      if (!pool || !lease) return ["", ""];
      const network = model.pools.filter((one) => one === pool || (pool.network && one.network === pool.network));
      const { id } = at(network, step.via) ?? pool;
      model.releaseAddress(id, lease.address);
      return ["done", await done(ipam.releaseAddress({ poolId: id, address: textOf(lease.address) }))];
    }
    case "attach": {
      const pools = step.pools.flatMap((n) => at(model.pools, n) ?? []);
      const subnets = pools.map((pool) => {
        const gateway = at(pool.leases, step.gateway)?.address ?? null;
        const auxiliary = pool.leases.filter((_, n) => (step.auxiliary >> n) & 1).map(({ address }) => address);
        model.attach(step.network, pool.space, pool.subnet, gateway, auxiliary);
        return {
          ...{ addressSpace: pool.space, pool: pool.subnet, gateway: gateway === null ? null : textOf(gateway) },
          auxiliary: auxiliary.map(textOf),
        };
      });
      return ["done", await done(ipam.attach(step.network, subnets))];
    }
    case "note leases": {
      const { network } = step;
      const all = model.pools.flatMap(({ subnet, leases }) => leases.map(({ address }) => ({ address, subnet })));
      const wanted = [...new Set(step.leases.flatMap((n) => at(all, n) ?? []))];
      const addresses = wanted.map(({ address, subnet }) => `${textOf(address)}/${subnet.split("/")[1]}`);
      const leases = wanted.flatMap(({ address, subnet }) => model.held(network, address, subnet) ?? []);
      const grants = ipam.leasesAt(network, addresses);
      both.notes.push({ network, addresses, grants, leases });
      return [`held ${leases.length}`, `held ${grants.length}`];
    }
    case "release noted leases": {
      const note = at(both.notes, step.note);
      if (!note) return ["", ""];
      for (const { token } of note.leases) model.releaseToken(token, note.network);
      return ["done", await done(ipam.releaseLeases(note.network, note.addresses, note.grants))];
    }
    case "release noted grant": {
      const note = at(both.notes, step.note);
      const [lease] = note?.leases ?? [];
      const pool = lease && model.poolOf(lease.token);
      if (!note || !lease || !pool) return ["", ""];
      const isReleased = model.releaseToken(lease.token, null);
      const actual = await ipam.releaseGrant(pool, textOf(lease.address), note.grants[0] ?? "");
      return [`released ${Number(isReleased)}`, `released ${Number(actual)}`];
    }
    case "time passes":
      model.pass(step.ms);
      return ["", ""];
    case "restart":
      await both.restart();
      return ["", ""];
    case "new epoch":
      model.newEpoch();
      ipam.newEpoch();
      return ["", ""];
  }
}

const nothing = {
  space: "tsnet-local",
  subnet: "10.0.0.0/28",
  subPool: "",
  options: { sticky: false, stickyTtlMs: 0, quarantineMs: 0 },
};

const at = <T>(list: readonly T[], n: number): T | undefined => list[n % Math.max(1, list.length)];

function optionsOf({ serial, identity, isGateway }: { serial?: boolean; identity: string | null; isGateway: boolean }) {
  return {
    ...(serial ? { "com.docker.network.ipam.serial": "true" } : {}),
    ...(isGateway ? { RequestAddressType: "com.docker.network.gateway" } : {}),
    ...(identity?.startsWith("name:") ? { "com.docker.network.endpoint.name": identity.slice(5) } : {}),
    ...(identity?.startsWith("mac:") ? { "com.docker.network.endpoint.macaddress": identity.slice(4) } : {}),
  };
}

async function codeOf(work: () => Promise<string>): Promise<string> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof TsnetError) return error.code;
    throw error;
  }
}

/** What there is, of both, as texts. */
function expectSame({ model, ipam }: Both): void {
  const actual = [...ipam.pools()].map(({ id, network, used, resting, free }) => {
    const leases = [...ipam.leasesOf(id)].map((lease) =>
      [lease.address, lease.role, lease.identity, lease.restsUntilMs].join(" "),
    );
    return [id, network, used, resting, free, ...leases].join("; ");
  });
  const expected = model.pools.map((pool) => {
    const leases = pool.leases.toSorted((a, b) => a.address - b.address);
    const texts = leases.map((lease) =>
      [textOf(lease.address), lease.role, lease.identity, lease.restsUntil].join(" "),
    );
    const { used, resting, free } = model.countsOf(pool);
    return [pool.id, pool.network, used, resting, free, ...texts].join("; ");
  });
  const texts = [expected.sort(), actual.sort()].map((lines) => lines.join("\n"));
  if (texts[0] !== texts[1]) throw new Error(`it should be\n${texts[0]}\nand is\n${texts[1]}`);
}

/** @param seen counts the answers, by their kind */
export async function runBoth(steps: readonly Step[], seen: Map<string, number>): Promise<void> {
  const both = new Both();
  await both.restart();
  for (const step of steps) {
    both.model.pass(1);
    const [expected, actual] = await run(step, both);
    expect(actual, step.call).to.equal(expected);
    const kind = /^(10\.0\.0\.|fd00::)/.exec(expected)?.[1] ?? expected;
    seen.set(kind, (seen.get(kind) ?? 0) + 1);
    if (step.call === "restart" || step.call === "attach") expectSame(both);
  }
  expectSame(both);
  await both.restart();
  expectSame(both);
}
