/** The real command, as a user starts it, against a Docker that is not one: each thing that can go wrong, and what is done then. */
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { expect } from "chai";
import { knownOnceStarted } from "../../../src/cli/upgrade-known.ts";
import { attempt, type Outcome } from "../../support/commands.ts";
import { FakePlugins, type Published } from "../../support/fake-plugins.ts";
import { removeDirectory } from "../../support/scratch.ts";
import { scratchDirectory } from "../../support/wire.ts";

const program = new URL("../../../src/cli/tsnet", import.meta.url).pathname;
const [name, one, two] = ["tsnet-plugin:latest", "reg.example/tsnet:1", "reg.example/tsnet:2"];
const permissions = "network=host mount=/run capabilities=CAP_NET_ADMIN";

describe("the command tsnet upgrade", () => {
  let directory: string;
  let docker: FakePlugins;
  beforeEach(async () => {
    directory = await scratchDirectory();
    docker = new FakePlugins(directory);
    docker.registry.set(one, { digest: "sha256:1", does: "works" });
    publish({});
    docker.install(name, one);
    await docker.listen();
  });
  afterEach(async () => {
    await docker.close();
    removeDirectory(directory);
  });

  const publish = (changes: Partial<Published>) =>
    docker.registry.set(two, { digest: "sha256:2", does: "works", ...changes });
  const tsnet = (words: string): Promise<Outcome> =>
    attempt([program, "upgrade", ...words.split(" ")], {
      env: {
        ...{ PATH: process.env["PATH"], HOME: directory, TSNET_ADMIN_SOCKET: docker.adminSocket },
        DOCKER_HOST: `unix://${docker.dockerSocket}`,
      },
    });
  /** What was done to the plugin itself. */
  const done = () => docker.calls.filter((call) => call.includes(`/plugins/${name}`));
  const expectUnchanged = ({ code, stderr }: Outcome, said: RegExp) => {
    expect(stderr).to.match(said);
    expect(code).to.equal(1);
    expect(done()).to.deep.equal([]);
    expect([...docker.installed.keys()], "what was fetched is removed").to.deep.equal([name]);
    expect(docker.installed.get(name)).to.deep.include({ reference: one, enabled: true });
  };
  const upgrade = (reference: string) => `POST /plugins/${name}/upgrade ${reference} ${permissions}`;
  const [disable, enable] = [`POST /plugins/${name}/disable`, `POST /plugins/${name}/enable`];

  it("fetches both builds, then disables, upgrades, enables and looks", async () => {
    const { code, stdout, stderr } = await tsnet(two);
    expect([code, stderr]).to.deep.equal([0, ""]);
    expect(stdout.replaceAll(/ +\d+\.\d s/g, " T")).to.equal(
      `${name}: from ${one} to ${two}
  look     T   it knows 2 networks and 1 endpoint
  find     T   no new permissions
  fetch    T   ${two}
  fetch    T   ${one}, for the way back
  disable  T
  upgrade  T
  enable   T
  check    T   it answers, and knows 2 networks and 1 endpoint
Upgraded. For T Docker's calls had to wait.
`.replaceAll(/(\w) +T/g, "$1 T"),
    );
    expect(docker.calls).to.deep.equal([
      `POST /plugins/pull ${two} ${permissions}`,
      `POST /plugins/pull ${one} ${permissions}`,
      ...[disable, upgrade(two), enable],
      ...["DELETE /plugins/tsnet-upgrade-to:latest", "DELETE /plugins/tsnet-upgrade-from:latest"],
    ]);
    expect(docker.installed.get(name)).to.deep.include({ reference: two, enabled: true });
  });

  it("takes no other build for the way back than what is installed", async () => {
    docker.registry.set(one, { digest: "sha256:3", does: "works" });
    expectUnchanged(await tsnet(two), /reg.example\/tsnet:1 is another build in the registry now .*--no-way-back/);
    expect((await tsnet(`${two} --no-way-back`)).code).to.equal(0);
  });

  it("prints its steps as JSON", async () => {
    const answer = JSON.parse((await tsnet(`${two} --json`)).stdout);
    expect(answer).to.deep.include({ plugin: name, from: one, to: two, result: "upgraded", error: null });
    expect(answer.steps[0]).to.have.keys("step", "ms", "text", "failed");
    expect(answer.awayMs).to.be.a("number");
  });

  const failing: [does: Published["does"], why: string, isEnabled: boolean][] = [
    ["ends", "it has ended, or does not listen: dial unix tsnet.sock: no such file", false],
    ["refuses", "tsnet cannot start: no disk", true],
    ["forgets", "it does not know any more: network net0", true],
  ];
  for (const [does, why, isEnabled] of failing) {
    it(`goes back from a build that ${does}`, async () => {
      publish({ does });
      const { code, stdout, stderr } = await tsnet(two);
      expect(stderr).to.contain(`tsnet: ${two} does not work: ${why}. ${one} is back.`);
      expect(stdout).to.match(/failed: .*\n.*\nGoing back\n(.*\n)* {2}check .* it answers, and knows 2 networks/);
      expect(code).to.equal(1);
      expect(done()).to.deep.equal([
        disable,
        upgrade(two),
        enable,
        ...(isEnabled ? [disable] : []),
        upgrade(one),
        enable,
      ]);
      expect(docker.installed.get(name)).to.deep.include({ reference: one, enabled: true });
    });
  }

  it("enables what is installed if the upgrade itself fails, in the middle of its stream as well", async () => {
    docker.failures.set(`POST /plugins/${name}/upgrade`, {
      status: 200,
      body: { errorDetail: { message: "no space" } },
    });
    const { code, stderr } = await tsnet(two);
    expect(stderr).to.contain(`${name} could not be upgraded: no space. ${one} is back.`);
    expect(code).to.equal(1);
    expect(done()).to.deep.equal([disable, upgrade(two), enable]);
  });

  it("says what to do by hand if going back fails as well", async () => {
    docker.failures.set(`POST /plugins/${name}/enable`, { status: 500, body: { message: "no runc" } });
    const { code, stdout, stderr } = await tsnet(`${two} --json`);
    expect(stderr).to.match(
      /Going back failed as well: .*no runc\. By hand: docker plugin disable -f .*; docker plugin upgrade .* reg\.example\/tsnet:1; docker plugin enable /,
    );
    expect([code, JSON.parse(stdout).result]).to.deep.equal([1, "broken"]);
  });

  it("asks before a build may do more", async () => {
    publish({ capabilities: ["CAP_NET_ADMIN", "CAP_SYS_TIME"] });
    const said =
      /may do more than what is installed: capabilities: CAP_SYS_TIME\. To allow it: --grant-all-permissions/;
    expectUnchanged(await tsnet(two), said);
    const { code, stdout } = await tsnet(`${two} --grant-all-permissions`);
    expect(code).to.equal(0);
    expect(stdout).to.contain("new permissions: capabilities: CAP_SYS_TIME\n");
  });

  it("says before it changes anything that there is no way back, and does without if it may", async () => {
    docker.registry.delete(one);
    const gone =
      /no way back: tsnet-plugin:latest comes from reg\.example\/tsnet:1, and no registry has that: .*unknown/;
    expectUnchanged(await tsnet(two), gone);
    docker.registry.set(one, { digest: "sha256:2", does: "works" });
    expectUnchanged(await tsnet(two), /no way back: .* is now the same as reg\.example\/tsnet:2/);
    publish({ does: "refuses" });
    const { code, stderr } = await tsnet(`${two} --no-way-back`);
    expect(stderr).to.contain("tsnet cannot start: no disk. It is left as it is (--no-way-back).");
    expect(code).to.equal(1);
    expect(done()).to.deep.equal([disable, upgrade(two), enable]);
  });

  it("says what is wrong before it changes anything", async () => {
    expectUnchanged(
      await tsnet("reg.example/none"),
      /none: Docker does not find it in the registry: .*manifest unknown/,
    );
    expectUnchanged(
      await tsnet(`${two} --plugin other`),
      /other: no such managed plugin; there are: tsnet-plugin:latest/,
    );
    publish({ types: ["docker.volumedriver/1.0"] });
    expectUnchanged(await tsnet(two), /is not tsnet: it is no docker\.networkdriver\/1\.0/);
    const nowhere = await attempt([program, "upgrade", two], {
      env: { ...process.env, DOCKER_HOST: "unix:///nowhere" },
    });
    expectUnchanged(nowhere, /Docker does not answer \(ENOENT\): see DOCKER_HOST/);
    docker.installed.set(name, { ...docker.installed.get(name), build: { digest: "", does: "refuses" } } as never);
    expectUnchanged(
      await tsnet(two),
      /does not say what it knows, .*no disk; to upgrade it without: docker plugin disable/,
    );
  });

  it("upgrades a plugin that is disabled, and a tsnet of another name if it is the only one", async () => {
    docker.installed.delete(name);
    docker.install("net:latest", one, { enabled: false });
    const { code, stdout } = await tsnet(two);
    expect(stdout).to.contain("it is disabled: nobody can tell what it knows");
    expect(code).to.equal(0);
    expect(docker.calls).not.to.contain("POST /plugins/net:latest/disable");
    docker.install("other:latest", one, { enabled: false });
    expect((await tsnet(two)).stderr).to.contain("several plugins are tsnet: net:latest, other:latest: name one");
  });

  it("asks a registry as who has logged in there", async () => {
    mkdirSync(join(directory, ".docker"));
    const auth = Buffer.from("ann:a:b").toString("base64");
    writeFileSync(join(directory, ".docker/config.json"), JSON.stringify({ auths: { "reg.example": { auth } } }));
    await tsnet(two);
    const logins = docker.logins.map((login) => JSON.parse(Buffer.from(login ?? "", "base64url").toString()));
    expect(logins.length).to.be.above(3);
    for (const login of logins)
      expect(login).to.deep.equal({ username: "ann", password: "a:b", serveraddress: "reg.example" });
  });

  it("ends with 2 for a command line that is wrong", async () => {
    for (const words of ["--json", `${two} ${one}`, "../json", `${two} --plugin`, "a?b"])
      expect((await tsnet(words)).code, words).to.equal(2);
  });

  it("waits for a plugin that answers only after a while, and not for ever", async () => {
    const plugin = join(directory, "plugin.sock");
    const sockets = { admin: docker.adminSocket, plugin };
    const failure = await knownOnceStarted(sockets, 200).catch((error: Error) => error);
    expect(failure)
      .to.be.an("error")
      .with.property("message")
      .that.matches(/plugin\.sock: it does not answer Docker/);
    const waiting = knownOnceStarted(sockets);
    let calls = 0;
    const server = createServer((_request, response) => {
      if (calls++ < 3) response.destroy();
      else response.end(JSON.stringify({ Scope: "local" }));
    });
    await new Promise<void>((resolve) => server.listen(plugin, resolve));
    expect((await waiting).networks.size).to.equal(2);
    await new Promise((resolve) => server.close(resolve));
  });
});
