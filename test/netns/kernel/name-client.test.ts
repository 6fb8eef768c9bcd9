import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { expect } from "chai";
import { KernelClient } from "../../../src/kernel/kernel-client.ts";
import type { NameAnswer } from "../../../src/plan/name-questions.ts";
import type { Behaviour } from "../../support/name-server.ts";
import { expectNoLeftovers, ip } from "../../support/netns.ts";
import { openSockets } from "../../support/open-files.ts";
import { patience } from "../../support/patience.ts";

/** Also for the first answer of a server that has just started. */
const answerMs = 1000 * patience;
const sandbox = "/run/netns/c1";
const program = new URL("../../support/name-server.ts", import.meta.url).pathname;
const answered = (addresses: readonly string[]): NameAnswer => ({ outcome: "answered", addresses });
const silent: NameAnswer = { outcome: "silent", addresses: [] };
const manyAddresses = Array.from({ length: 60 }, (_, n) => `10.5.0.${n + 1}`);

describe("questions to Docker's name server in a container", () => {
  let kernel: KernelClient;
  let server: ChildProcess | undefined;

  expectNoLeftovers(async () => {
    await kernel.close();
    if (server?.kill()) await once(server, "exit");
    server = undefined;
    ip("netns del c1");
  });

  beforeEach(async () => {
    ip("netns add c1");
    ip("-n c1 link set lo up");
    kernel = await KernelClient.open({ mark: 0x0100_0000 });
  });

  async function serve(answers: Readonly<Record<string, Behaviour>>): Promise<void> {
    const stdio = ["ignore", "pipe", "inherit"] as const;
    server = spawn("ip", ["netns", "exec", "c1", process.execPath, program, JSON.stringify(answers)], {
      stdio: [...stdio],
    });
    await once(server.stdout ?? server, "data");
  }

  const ask = (names: readonly string[], waitMs = answerMs): Promise<readonly NameAnswer[]> =>
    kernel.askNames({ sandbox, names, waitMs });

  it("are answered with the addresses, in the order of the questions", async () => {
    await serve({ "tasks.web.ov": ["10.5.0.1", "10.5.0.2"], "tasks.db.ov": ["10.5.0.3"], "tasks.none": [] });
    const before = performance.now();
    const answers = await ask(["tasks.db.ov", "tasks.none", "tasks.web.ov"], 5000);
    expect(answers).to.deep.equal([answered(["10.5.0.3"]), answered([]), answered(["10.5.0.1", "10.5.0.2"])]);
    expect(performance.now() - before).to.be.below(2500); // nobody waits for what is all there
    expect(await ask([])).to.deep.equal([]);
  });

  it("are 200 with 60 addresses each at once, of which none is lost", async () => {
    const names = Array.from({ length: 200 }, (_, n) => `tasks.service-${n}.ov`);
    await serve({ "*": manyAddresses });
    for (let round = 0; round < 5; round++) {
      const answers = await ask(names, 2000);
      expect(answers).to.deep.equal(names.map(() => answered(manyAddresses)));
    }
  });

  it("say that there is no answer, of each that has none, when the time is over", async () => {
    await serve({ "tasks.a": "SERVFAIL", "tasks.b": "garbage", "tasks.c": "elsewhere", "tasks.d": ["10.5.0.4"] });
    const before = performance.now();
    const answers = await ask(["tasks.a", "tasks.b", "tasks.c", "tasks.d", "tasks.silent"]);
    expect(performance.now() - before).to.be.within(answerMs - 10, 3 * answerMs);
    expect(answers.map(({ outcome }) => outcome)).to.deep.equal([
      "SERVFAIL",
      "malformed",
      "silent",
      "answered",
      "silent",
    ]);
    expect(answers.flatMap(({ addresses }) => addresses)).to.deep.equal(["10.5.0.4"]);
  });

  it("take the first answer that is one to the question", async () => {
    await serve({ "tasks.web": "another" });
    expect(await ask(["tasks.web", "tasks.silent"])).to.deep.equal([answered(["10.5.0.1"]), silent]);
  });

  it("are not held up by others that nobody answers", async () => {
    await serve({ "tasks.web": ["10.5.0.1"] });
    const mute = Array.from({ length: 150 }, (_, n) => `tasks.mute-${n}`);
    expect(await ask([...mute, "tasks.web"])).to.deep.equal([...mute.map(() => silent), answered(["10.5.0.1"])]);
  });

  it("fail where there is no such server, and no such container", async () => {
    const errnoOf = async (where: string, names: readonly string[]): Promise<string> => {
      const error = await kernel.askNames({ sandbox: where, names, waitMs: 5000 }).catch((reason: unknown) => reason);
      return (error as { errno: string }).errno;
    };
    expect(await errnoOf(sandbox, ["tasks.web"])).to.equal("ECONNREFUSED");
    expect(await errnoOf(sandbox, ["tasks.web", "tasks.db"])).to.equal("ECONNREFUSED");
    expect(await errnoOf("/run/netns/none", ["tasks.web"])).to.equal("ENOENT");
  });

  it("end at once when the kernel is closed", async () => {
    await serve({});
    const asking = ask(["tasks.web"], 60_000);
    await kernel.close();
    expect(await asking).to.deep.equal([silent]);
  });

  it("leave no socket behind, whatever comes of them", async () => {
    await serve({ "tasks.web": ["10.5.0.1"] });
    await ask(["tasks.web"]);
    const before = openSockets();
    for (let round = 0; round < 20; round++) await ask(["tasks.web", ...(round % 5 === 0 ? ["tasks.silent"] : [])], 20);
    server?.kill();
    await once(server as ChildProcess, "exit");
    server = undefined;
    for (let round = 0; round < 5; round++) await ask(["tasks.web"]).catch(() => {});
    expect(openSockets()).to.be.at.most(before);
  });
});
