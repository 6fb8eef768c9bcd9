/** The real command, as a user starts it, against a real admin socket. */
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createServer as listenOn } from "node:net";
import { join } from "node:path";
import { expect } from "chai";
import { createAdminApp } from "../../../src/api/admin.ts";
import { listen } from "../../../src/api/server.ts";
import { Report } from "../../../src/driver/report.ts";
import { log, nothing } from "../../support/admin.ts";
import { attempt, type Outcome } from "../../support/commands.ts";
import { factsOf } from "../../support/report.ts";
import { removeDirectory } from "../../support/scratch.ts";
import { endpointOf, idOf, mappingOf, networkOf } from "../../support/values.ts";
import { scratchDirectory } from "../../support/wire.ts";

const program = new URL("../../../src/cli/tsnet", import.meta.url).pathname;

const web = networkOf();
const endpoints = [endpointOf({ ports: [mappingOf()] })];
const facts = factsOf({ networks: [web], endpoints });
const counters = {
  elements: {
    port4: { "tcp . 8080": { packets: 2, bytes: 120 } },
    traffic4: { "172.18.0.2 . tcp . 80": { packets: 10, bytes: 1000 } },
  },
  proxied: [],
};
const report = new Report({
  state: {
    endpoints: () => endpoints,
    network: (id) => facts.networks.get(id),
    networks: () => facts.networks.values(),
  },
  kernel: {
    observe: async () => facts.observed,
    observeCounters: async () => counters,
  },
  observeRules: async () => facts,
  mark: facts.mark,
  repairs: () => ({}),
});

/** Docker's answers about one container. */
const docker = (request: { url?: string | undefined }): object[] =>
  request.url === "/networks"
    ? [{ Id: web.id, Name: "web" }]
    : [{ Names: ["/one"], NetworkSettings: { Networks: { web: { EndpointID: idOf("e1") } } } }];

describe("the command tsnet", () => {
  let directory: string;
  let socket: string;
  let dockerSocket: string;
  const servers: AsyncDisposableStack = new AsyncDisposableStack();

  before(async () => {
    directory = await scratchDirectory();
    socket = join(directory, "admin.sock");
    dockerSocket = join(directory, "docker.sock");
    const admin = await listen(createAdminApp({ ...nothing, report, ready: Promise.resolve(), log }), socket);
    servers.defer(() => admin.close());
    const dockerd = createServer((request, response) => response.end(JSON.stringify(docker(request))));
    await new Promise<void>((resolve) => dockerd.listen(dockerSocket, resolve));
    servers.defer(() => new Promise((resolve) => dockerd.close(() => resolve())));
  });
  after(async () => {
    await servers.disposeAsync();
    removeDirectory(directory);
  });

  const tsnet = (words: string, env: NodeJS.ProcessEnv = {}, file = program): Promise<Outcome> =>
    attempt([file, ...words.split(" ")], {
      env: { PATH: process.env["PATH"], TSNET_ADMIN_SOCKET: socket, DOCKER_HOST: `unix://${dockerSocket}`, ...env },
    });

  it("lists ports with Docker's names, as text and as JSON", async () => {
    const { code, stdout, stderr } = await tsnet("ports");
    expect(stderr).to.equal("");
    expect(stdout.split("\n")[1]?.split(/ {3,}/)).to.deep.equal([
      ...["0.0.0.0:8080", "tcp", "172.18.0.2:80", "one", "web", "kernel", "2", "10", "1kB"],
    ]);
    expect(code).to.equal(0);
    const { ports } = JSON.parse((await tsnet("ports --json")).stdout);
    expect(ports).to.have.length(1);
    expect(ports[0]).to.deep.include({ hostPort: 8080, containerName: "one", networkName: "web", bytes: 1000 });
  });

  it("shows short IDs where Docker cannot be asked", async () => {
    for (const host of [`unix://${directory}/nobody.sock`, "ssh://elsewhere", `unix://${socket}`]) {
      const { code, stdout, stderr } = await tsnet("ports", { DOCKER_HOST: host });
      expect([code, stderr]).to.deep.equal([0, ""]);
      expect(stdout).to.contain("endpoint e10000000000   a10000000000");
    }
  });

  it("shows the firewall, and explains a port", async () => {
    expect((await tsnet("firewall")).stdout).to.contain("Table:              inet tsnet: in place");
    expect(JSON.parse((await tsnet("firewall --json")).stdout)).to.have.property("mark", "0x01000000");
    const explained = await tsnet("firewall explain 8080/tcp --from 198.51.100.7");
    expect(explained.stdout).to.contain("translated to 172.18.0.2:80, container one of network web\n");
    expect(explained.stdout).to.match(/\nReaches: the container, at 172\.18\.0\.2:80\n$/);
    expect(JSON.parse((await tsnet("firewall explain 8080 --json")).stdout)).to.have.property("from", null);
  });

  it("names the program that has a port which tsnet has not", async () => {
    const other = listenOn();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as { port: number };
    const { stdout } = await tsnet(`firewall explain ${port}`);
    await new Promise((resolve) => other.close(resolve));
    expect(stdout).to.match(new RegExp(`\nListening here: .*\\(pid ${process.pid}\\) on 127\\.0\\.0\\.1:${port}\n$`));
  });

  it("runs by a link to it, and with an old Node in the PATH", async () => {
    const bin = join(directory, "bin");
    await mkdir(bin);
    await writeFile(join(bin, "node"), "#!/bin/sh\necho too old >&2\nexit 1\n");
    await chmod(join(bin, "node"), 0o755);
    await symlink(program, join(bin, "tsnet"));
    const { code, stderr } = await tsnet("ports", { PATH: `${bin}:${process.env["PATH"]}` }, join(bin, "tsnet"));
    expect([code, stderr]).to.deep.equal([0, ""]);
  });

  it("says at once that an answer was broken off", async () => {
    const path = join(directory, "broken.sock");
    const broken = createServer((_request, response) => {
      response.write('{"ports":[');
      setImmediate(() => response.destroy());
    });
    await new Promise<void>((resolve) => broken.listen(path, resolve));
    const { code, stderr } = await attempt([program, "ports", "--socket", path], { timeoutMs: 5000 });
    await new Promise((resolve) => broken.close(resolve));
    expect(stderr).to.match(/broken\.sock: the plugin has broken off its answer: see its log .*\n$/);
    expect(code).to.equal(1);
  });

  it("ends without a word when its reader has seen enough, and with 1 when the answer cannot be written", async () => {
    const [piped, full] = await Promise.all(
      ["| true", "> /dev/full"].map((end) => attempt(["bash", "-o", "pipefail", "-c", `${program} --help ${end}`])),
    );
    expect(piped).to.deep.equal({ code: 0, stdout: "", stderr: "" });
    expect(full).to.deep.equal({ code: 1, stdout: "", stderr: "tsnet: ENOSPC: no space left on device, write\n" });
  });

  it("ends with 2 for a command line that is wrong, and with 1 for an answer that it does not get", async () => {
    const failures: [words: string, code: number, said: RegExp][] = [
      ["prots", 2, /^tsnet: prots: no such command; "tsnet --help" lists them\n$/],
      [
        "ports --socket /nowhere/admin.sock",
        1,
        /^tsnet: \/nowhere\/admin\.sock: no such socket: start the plugin .*\n$/,
      ],
      [`ports --socket ${program}`, 1, /: nobody answers: .*\n$|: it is no socket: .*\n$/],
      ["firewall explain 70000", 1, /^tsnet: port=70000: expected a number from 1 to 65535\n$/],
      ["firewall explain 80 --to 203.0.113.9", 1, /^tsnet: to=203\.0\.113\.9: no link of this host has this address/],
    ];
    for (const [words, code, said] of failures) {
      const outcome = await tsnet(words);
      expect(outcome.stderr).to.match(said);
      expect([outcome.code, outcome.stdout]).to.deep.equal([code, ""]);
    }
  });
});
