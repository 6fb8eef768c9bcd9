/** The real command, as a user starts it, against a real admin socket: what it says of services. */
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { expect } from "chai";
import type { ServiceAnswer } from "../../../src/driver/report-service-answers.ts";
import { useAdmin } from "../../support/admin.ts";
import { attempt, type Outcome } from "../../support/commands.ts";
import { idOf } from "../../support/values.ts";

const program = new URL("../../../src/cli/tsnet", import.meta.url).pathname;

const taskOf = (name: string, n: number, values = {}): ServiceAnswer["tasks"][number] => ({
  ...{ name: `${name}.${n}.k3v`, address: `10.5.0.${10 + n}`, isHere: n === 1, state: "active", connections: n },
  ...values,
});

const web: ServiceAnswer = {
  ...{ network: idOf("b1"), name: "web", vip: "10.5.0.2", connections: 15 },
  tasks: [taskOf("web", 10), taskOf("web", 1), taskOf("web", 2, { state: "draining", connections: 4 })],
};
const names: ServiceAnswer = {
  ...{ network: idOf("b2"), name: "names", vip: null, connections: null },
  tasks: [taskOf("names", 1, { connections: null })],
};

describe("the command tsnet services", () => {
  const { open, socket, directory } = useAdmin();
  let dockerd: Server;
  let services: readonly ServiceAnswer[];

  beforeEach(async () => {
    services = [web, names];
    await open({
      services: {
        async *services() {
          yield services;
        },
      },
    });
    dockerd = createServer((request, response) => {
      response.end(JSON.stringify(request.url === "/networks" ? [{ Id: idOf("b1"), Name: "mesh" }] : []));
    });
    await new Promise<void>((resolve) => dockerd.listen(join(directory(), "docker.sock"), resolve));
  });
  afterEach(() => new Promise((resolve) => dockerd.close(resolve)));

  const tsnet = (words: string): Promise<Outcome> =>
    attempt([program, ...words.split(" ")], {
      env: {
        ...{ PATH: process.env["PATH"], TSNET_ADMIN_SOCKET: socket() },
        DOCKER_HOST: `unix://${join(directory(), "docker.sock")}`,
      },
    });

  it("lists services, with tasks that get new connections of all", async () => {
    const { code, stdout, stderr } = await tsnet("services");
    expect([code, stderr]).to.deep.equal([0, ""]);
    expect(stdout).to.equal(`NETWORK        SERVICE   VIRTUAL IP   TASKS   CONNECTIONS
${idOf("b2").slice(0, 12)}   names     -            1/1     -
mesh           web       10.5.0.2     2/3     15
`);
  });

  it("lists the tasks of a service", async () => {
    const { code, stdout } = await tsnet("services web");
    expect(code).to.equal(0);
    expect(stdout).to.equal(`Service web on network mesh, virtual IP 10.5.0.2

TASK         ADDRESS     NODE       STATE      CONNECTIONS
web.1.k3v    10.5.0.11   this one   active     1
web.2.k3v    10.5.0.12   another    draining   4
web.10.k3v   10.5.0.20   another    active     10
`);
    expect((await tsnet("services names")).stdout).to.match(/^Service names on network b2\d+, virtual IP none\n\nTASK/);
  });

  it("lists the tasks of a service on each of its networks", async () => {
    services = [web, { ...web, network: idOf("b2"), vip: "10.6.0.2" }];
    const titles = (await tsnet("services web")).stdout.split("\n").filter((line) => line.startsWith("Service"));
    expect(titles).to.have.length(2);
    expect(titles[1]).to.equal("Service web on network mesh, virtual IP 10.5.0.2");
  });

  it("prints JSON, of all or of one", async () => {
    const sorted = { ...web, networkName: "mesh", tasks: [web.tasks[1], web.tasks[2], web.tasks[0]] };
    const all = JSON.parse((await tsnet("services --json")).stdout);
    expect(all).to.deep.equal({ services: [{ ...names, networkName: null }, sorted] });
    expect(JSON.parse((await tsnet("services web --json")).stdout)).to.deep.equal({ services: [sorted] });
  });

  it("ends with 1 for a service that this node does not serve, and with 2 for two", async () => {
    const what = "this node serves no such service: it has none of its networks, or is not told of it";
    const unknown = { code: 1, stdout: "", stderr: `tsnet: wep: ${what}; there are names, web\n` };
    expect(await tsnet("services wep")).to.deep.equal(unknown);
    services = [];
    expect((await tsnet("services web")).stderr).to.equal(`tsnet: web: ${what}; there is no service yet\n`);
    expect((await tsnet("services")).stdout).to.equal("NETWORK   SERVICE   VIRTUAL IP   TASKS   CONNECTIONS\n");
    const { code, stderr } = await tsnet("services web api");
    expect([code, stderr]).to.deep.equal([
      2,
      "tsnet: web api: expected one service at most, by its name; see --help\n",
    ]);
  });

  it("says what it does", async () => {
    expect((await tsnet("services --help")).stdout).to.match(/^Usage: tsnet services \[SERVICE\]/);
  });
});
