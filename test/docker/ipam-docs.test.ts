import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { attempt } from "../support/commands.ts";
import { expectNothingLeft, removeAll } from "../support/docker-suite.ts";
import { Host } from "../support/host.ts";
import { driver } from "../support/plugin.ts";
import { until } from "../support/poll.ts";

const clone = fileURLToPath(new URL("../..", import.meta.url));
const docs = readFileSync(`${clone}/docs/ipam.md`, "utf8");

/** Each command line of the page that stands in a block for the shell. */
const commands = [...docs.matchAll(/^```sh\n(.*?)^```$/gms)].flatMap(([, block = ""]) => block.trim().split("\n"));

const etcd = "http://127.0.0.1:2379";

describe("the page about addresses", () => {
  let host: Host;
  before("a host with etcd, dockerd and tsnet", async function () {
    const hasEtcd = (await attempt(["sh", "-c", "command -v etcd"])).code === 0; // the newer Docker's root has none
    if (driver !== "tsnet" || !hasEtcd) this.skip();
    host = await Host.create();
    await host.namespace.start(
      ["etcd", "--data-dir", `${host.directory}/etcd`, "--listen-client-urls", etcd, "--advertise-client-urls", etcd],
      `${host.directory}/etcd.log`,
      process.env,
    );
    await until("etcd answers", 20_000, async () => (await host.exec(`curl -sf ${etcd}/health`)).code === 0);
    await host.plugin.start({ TSNET_ETCD_ENDPOINTS: etcd });
    await host.dockerd.start();
    await until("tsnet sees Docker's networks", 20_000, () =>
      host.plugin.logged(30).some(({ msg }) => msg === "Docker tells of its networks"),
    );
  });
  after(() => host?.[Symbol.asyncDispose]());

  it("has commands, and each of them works as it stands", async () => {
    expect(commands).to.have.length.above(5);
    await host.sh(`ln -s ${clone}/src/cli/tsnet /run/tsnet`);
    for (const command of commands) await host.sh(`PATH=$PATH:/run; ${command}`);
    expect(await host.sh("/run/tsnet ipam"))
      .to.include("tsnet-shared/10.83.0.0/24")
      .and.include("10.81.0.0/24");
    await removeAll(host);
    await expectNothingLeft(host);
  });
});
