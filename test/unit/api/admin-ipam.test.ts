import { get } from "node:http";
import { expect } from "chai";
import type { FindingAnswer, LeaseAnswer } from "../../../src/driver/ipam/answers.ts";
import { TsnetError } from "../../../src/errors.ts";
import { nothing, useAdmin } from "../../support/admin.ts";
import { leaseAnswerOf, poolAnswerOf } from "../../support/ipam-answers.ts";
import { post } from "../../support/wire.ts";

const finding: FindingAnswer = {
  ...{ kind: "orphan", pool: poolAnswerOf().id, address: "172.18.0.9", since: null },
  ...{ text: "no container has it", repairable: true },
};

describe("the admin API, of addresses", () => {
  const { open: openAdmin, ask, socket } = useAdmin();
  const open = (ipam: Partial<typeof nothing.ipam>): Promise<void> => openAdmin({ ipam: { ...nothing.ipam, ...ipam } });

  it("lists pools", async () => {
    await open({ pools: () => ({ pools: [poolAnswerOf()] }) });
    expect(await ask("/v1/ipam")).to.deep.equal({ status: 200, body: { pools: [poolAnswerOf()] } });
  });

  it("lists what a pool has given out, in however many parts it comes", async () => {
    const parts = [[], [leaseAnswerOf({ address: "172.18.0.1" })], [leaseAnswerOf()]];
    const asked: string[] = [];
    await open({
      async *leases(pool) {
        asked.push(pool);
        yield* parts;
      },
    });
    const path = `/v1/ipam/leases?pool=${encodeURIComponent("tsnet-local/fd00::/64")}`;
    expect(await ask(path)).to.deep.equal({ status: 200, body: { leases: parts.flat() } });
    expect(asked).to.deep.equal(["tsnet-local/fd00::/64"]);
  });

  it("makes no more of a long list than its reader takes", async () => {
    const part: LeaseAnswer[] = Array.from({ length: 100 }, () => leaseAnswerOf());
    let made = 0;
    const stopped = Promise.withResolvers<void>();
    await open({
      async *leases() {
        try {
          for (; made < 10_000; made++) yield part;
        } finally {
          stopped.resolve();
        }
      },
    });
    await new Promise<void>((resolve, reject) => {
      const call = get({ socketPath: socket(), path: "/v1/ipam/leases?pool=x", agent: false }, (response) => {
        response.once("readable", () => {
          call.destroy(); // it has read the beginning, and goes
          resolve();
        });
      }).on("error", reject);
    });
    await stopped.promise;
    expect(made).to.be.lessThan(1000);
  });

  it("tells what is wrong, and repairs it when it is posted to, with or without a body", async () => {
    let repairs = 0;
    await open({
      check: async () => ({ findings: [finding] }),
      repair: async () => {
        repairs++;
        return { released: [finding], findings: [] };
      },
    });
    expect(await ask("/v1/ipam/check")).to.deep.equal({ status: 200, body: { findings: [finding] } });
    expect(repairs).to.equal(0);
    const released = { status: 200, body: { released: [finding], findings: [] } };
    expect(await post(socket(), "/v1/ipam/check", "")).to.deep.equal(released);
    expect(await post(socket(), "/v1/ipam/check", "{}")).to.deep.equal(released);
    expect(repairs).to.equal(2);
  });

  it("says of a pool that there is not which there are, and of a store that is away what it is", async () => {
    await open({
      // biome-ignore lint/correctness/useYield: it fails before there is anything
      async *leases() {
        throw new TsnetError("not-found", "pool=x: no such pool; there is none yet");
      },
      check: () => Promise.reject(new TsnetError("store", "etcd at http://127.0.0.1:2379 does not answer")),
    });
    expect(await ask("/v1/ipam/leases?pool=x")).to.deep.equal({
      status: 404,
      body: { error: "pool=x: no such pool; there is none yet" },
    });
    expect(await ask("/v1/ipam/check")).to.deep.equal({
      status: 500,
      body: { error: "etcd at http://127.0.0.1:2379 does not answer" },
    });
  });

  const wrong: [method: "GET" | "POST" | "DELETE", path: string, status: number, error: RegExp][] = [
    ["GET", "/v1/ipam?pool=x", 400, /^pool: unknown parameter; known: none$/],
    ["GET", "/v1/ipam/leases", 400, /^pool: expected the ID of a pool, as GET \/v1\/ipam has them$/],
    ["GET", "/v1/ipam/leases?pool=", 400, /^pool: expected the ID of a pool/],
    ["GET", "/v1/ipam/leases?pool=x&pool=y", 400, /^pool: expected one value$/],
    ["GET", "/v1/ipam/leases?pool=x&subnet=y", 400, /^subnet: unknown parameter; known: pool$/],
    ["GET", "/v1/ipam/check?repair=1", 400, /^repair: unknown parameter; known: none$/],
    ["POST", "/v1/ipam/check?pool=x", 400, /^pool: unknown parameter; known: none$/],
    ["POST", "/v1/ipam", 404, /^POST \/v1\/ipam: there is GET of .*, and POST of \/v1\/ipam\/check and /],
    ["DELETE", "/v1/ipam/check", 404, /^DELETE \/v1\/ipam\/check: there is GET of /],
  ];
  for (const [method, path, status, error] of wrong) {
    it(`answers ${method} ${path} with status ${status}`, async () => {
      await open({});
      const answer = await post(socket(), path, "", method);
      expect((answer.body as { error: string }).error).to.match(error);
      expect(answer.status).to.equal(status);
    });
  }
});
