import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { expectNothingLeft, removeAll } from "../support/docker-suite.ts";
import { Host } from "../support/host.ts";
import { startEtcd } from "../support/host-etcd.ts";
import { driver } from "../support/plugin.ts";
import { until } from "../support/poll.ts";

const clone = fileURLToPath(new URL("../..", import.meta.url));
const docs = readFileSync(`${clone}/docs/ipam.md`, "utf8");

/** Each command line of the page that stands in a block for the shell. */
const commands = [...docs.matchAll(/^```sh\n(.*?)^```$/gms)].flatMap(([, block = ""]) => block.trim().split("\n"));

describe("the page about addresses", () => {
  let host: Host;
  before("a host with etcd, dockerd and tsnet", async function () {
    if (driver !== "tsnet") this.skip();
    host = await Host.create();
    await host.plugin.start({ TSNET_ETCD_ENDPOINTS: await startEtcd(host) });
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
