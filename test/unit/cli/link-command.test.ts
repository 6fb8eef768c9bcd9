/** The real command, as a user starts it, against a real admin socket: what it says of networks and endpoints. */
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { expect } from "chai";
import { TsnetError } from "../../../src/errors.ts";
import { useAdmin } from "../../support/admin.ts";
import { attempt, type Outcome } from "../../support/commands.ts";
import { endpointAnswerOf, failedAnswerOf, networkAnswerOf } from "../../support/link-answers.ts";
import { idOf } from "../../support/values.ts";

const program = new URL("../../../src/cli/tsnet", import.meta.url).pathname;

describe("the commands tsnet networks and tsnet endpoints", () => {
  const { open, socket, directory } = useAdmin();
  let dockerd: Server;
  let asked: (string | null)[];

  beforeEach(async () => {
    asked = [];
    await open({
      links: {
        async *networks() {
          yield [networkAnswerOf(), networkAnswerOf({ id: idOf("b2") })];
        },
        failedNetworks: () => [failedAnswerOf()],
        async *endpoints(network) {
          asked.push(network);
          if (network === idOf("b2")) throw new TsnetError("kernel", "RTM_GETLINK: EPERM");
          yield [endpointAnswerOf()];
        },
      },
    });
    dockerd = createServer((request, response) => {
      const networks = [
        { Id: idOf("b1"), Name: "lan" },
        { Id: failedAnswerOf().id, Name: "bad" },
      ];
      const containers = [{ Names: ["/one"], NetworkSettings: { Networks: { lan: { EndpointID: idOf("e1") } } } }];
      response.end(JSON.stringify(request.url === "/networks" ? networks : containers));
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

  it("lists networks, as text and as JSON", async () => {
    const { code, stdout, stderr } = await tsnet("networks");
    expect([code, stderr]).to.deep.equal([0, ""]);
    expect(stdout.split("\n")[2]).to.match(/^lan +macvlan bridge +eth1 +- +1500 +192\.168\.1\.0\/24 +2 +up$/);
    expect(stdout.split("\n")[3]).to.match(
      /^bad +overlay +- +- +- +10\.0\.1\.0\/24 +- +failed: unknown option tsnet\.vnii=5 .+ did you mean tsnet\.vni\?$/,
    );
    const { networks, failed } = JSON.parse((await tsnet("networks --json")).stdout);
    expect(failed).to.deep.equal([{ ...failedAnswerOf(), name: "bad" }]);
    const [unnamed, named] = [
      { ...networkAnswerOf({ id: idOf("b2") }), name: null },
      { ...networkAnswerOf(), name: "lan" },
    ];
    expect(networks).to.deep.equal([unnamed, named]);
  });

  it("lists endpoints, as text and as JSON", async () => {
    const { code, stdout, stderr } = await tsnet("endpoints");
    expect([code, stderr]).to.deep.equal([0, ""]);
    expect(stdout.split("\n")[1]).to.match(/^one +lan +macvlan bridge +eth1 .* 192\.168\.1\.10 +eth0 +- +up$/);
    const { endpoints } = JSON.parse((await tsnet("endpoints --json")).stdout);
    expect(endpoints).to.deep.equal([{ ...endpointAnswerOf(), containerName: "one", networkName: "lan" }]);
    expect(asked).to.deep.equal([null, null]);
  });

  it("lists the endpoints of one network, by its name or the beginning of its ID", async () => {
    for (const wanted of ["lan", "b10"]) {
      const { code, stdout, stderr } = await tsnet(`endpoints ${wanted}`);
      expect([code, stderr, stdout.split("\n").length]).to.deep.equal([0, "", 3]);
    }
    expect(asked).to.deep.equal([idOf("b1"), idOf("b1")]);
  });

  it("ends with 1 for a network that there is not, and for an answer that it does not get", async () => {
    const failures: [words: string, said: string][] = [
      ["endpoints nal", "nal: no such network of tsnet; there are b20000000000, lan (b10000000000)"],
      ["endpoints b2", "RTM_GETLINK: EPERM"],
    ];
    for (const [words, said] of failures) {
      expect(await tsnet(words)).to.deep.equal({ code: 1, stdout: "", stderr: `tsnet: ${said}\n` });
    }
  });
});
