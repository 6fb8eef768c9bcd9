/** The real command, as a user starts it, against a real admin socket: what it says of addresses. */
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { expect } from "chai";
import { type Finding, IpamReport } from "../../../src/driver/ipam/report.ts";
import { useAdmin } from "../../support/admin.ts";
import { attempt, type Outcome } from "../../support/commands.ts";
import { leaseViewOf, poolViewOf } from "../../support/ipam-answers.ts";
import { endpointOf, idOf } from "../../support/values.ts";

const program = new URL("../../../src/cli/tsnet", import.meta.url).pathname;
const finding: Finding = {
  ...{ kind: "orphan", pool: poolViewOf().id, address: "172.18.0.9" },
  ...{ text: "no container has it", sinceMs: Date.UTC(2026, 0, 2, 3, 4, 5), repairable: true },
};
const stuck: Finding = { ...finding, address: "172.18.0.10", repairable: false };

describe("the command tsnet ipam", () => {
  const { open, socket, directory } = useAdmin();
  let dockerd: Server;
  let wrong: Finding[];

  beforeEach(async () => {
    const endpoint = endpointOf({ addresses: ["172.18.0.2/24"] });
    const leases = [leaseViewOf({ address: "172.18.0.1", role: "gateway" }), leaseViewOf()];
    wrong = [];
    await open({
      ipam: new IpamReport({
        ipam: {
          pools: () => [poolViewOf()],
          leasesOf: (id) => leases.filter(({ pool }) => pool === id),
          callHost: (id) => id,
        },
        state: { endpointAt: (_network, address) => (address === "172.18.0.2" ? endpoint : undefined) },
        checker: {
          check: async () => wrong,
          repair: async () => {
            const released = wrong.filter(({ repairable }) => repairable);
            wrong = wrong.filter(({ repairable }) => !repairable);
            return { released, left: wrong };
          },
        },
      }),
    });
    dockerd = createServer((request, response) => {
      const networks = [{ Id: idOf("a1"), Name: "web" }];
      const containers = [{ Names: ["/one"], NetworkSettings: { Networks: { web: { EndpointID: idOf("e1") } } } }];
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

  it("lists pools, as text and as JSON", async () => {
    const { code, stdout, stderr } = await tsnet("ipam");
    expect([code, stderr]).to.deep.equal([0, ""]);
    expect(stdout.split("\n")[1]).to.match(/^tsnet-local\/172\.18\.0\.0\/24 +web +256 +3 +1 +250 +1\.1%$/);
    const { pools } = JSON.parse((await tsnet("ipam --json")).stdout);
    expect(pools).to.have.length(1);
    expect(pools[0]).to.deep.include({ subnet: "172.18.0.0/24", networkName: "web", size: "256", free: "250" });
  });

  it("shows who has which address, as text and as JSON", async () => {
    const { code, stdout, stderr } = await tsnet("ipam show web");
    expect([code, stderr]).to.deep.equal([0, ""]);
    expect(stdout.split("\n").slice(3)).to.deep.equal([
      "172.18.0.1   gateway   2026-01-02T03:04:05Z",
      "172.18.0.2   one       2026-01-02T03:04:05Z",
      "",
    ]);
    const { pools } = JSON.parse((await tsnet("ipam show 172.18.0.0/24 --json")).stdout);
    expect(pools[0].leases.map((lease: Record<string, unknown>) => [lease["role"], lease["containerName"]])).to.eql([
      ["gateway", null],
      ["endpoint", "one"],
    ]);
  });

  it("says of a pool that there is not which there are", async () => {
    const { code, stdout, stderr } = await tsnet("ipam show wbe");
    expect([code, stdout]).to.deep.equal([1, ""]);
    expect(stderr).to.equal("tsnet: wbe: no such pool, subnet or network; there are tsnet-local/172.18.0.0/24 (web)\n");
  });

  it("ends with 0 if nothing is wrong", async () => {
    for (const words of ["ipam check", "ipam check --repair"]) {
      const { code, stdout, stderr } = await tsnet(words);
      expect([code, stderr]).to.deep.equal([0, ""]);
      expect(stdout).to.contain("Nothing is wrong");
    }
  });

  it("ends with 1 if something is wrong, as text and as JSON", async () => {
    wrong = [finding];
    const { code, stdout, stderr } = await tsnet("ipam check");
    expect([code, stderr]).to.deep.equal([1, ""]);
    expect(stdout).to.match(/ 172\.18\.0\.9 +2026-01-02T03:04:05Z +yes +no container has it\n/);
    const json = await tsnet("ipam check --json");
    expect(json.code).to.equal(1);
    expect(JSON.parse(json.stdout).findings).to.have.length(1);
  });

  it("repairs what is wrong, and only when it is told to", async () => {
    wrong = [finding];
    await tsnet("ipam check");
    expect(wrong).to.deep.equal([finding]);
    const { code, stdout } = await tsnet("ipam check --repair");
    expect(code).to.equal(0);
    expect(stdout).to.match(/^Given back:\n\n.*\n.* 172\.18\.0\.9 .*\n\nNothing is wrong now\.\n$/);
    expect(wrong).to.deep.equal([]);
  });

  it("ends with 1 if something is left after the repair", async () => {
    wrong = [finding, stuck];
    const { code, stdout } = await tsnet("ipam check --repair --json");
    expect(code).to.equal(1);
    const { released, findings } = JSON.parse(stdout);
    expect(released.map(({ address }: { address: string }) => address)).to.deep.equal(["172.18.0.9"]);
    expect(findings.map(({ address }: { address: string }) => address)).to.deep.equal(["172.18.0.10"]);
  });
});
