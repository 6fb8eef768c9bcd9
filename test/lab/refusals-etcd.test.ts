import { expect } from "chai";
import { run } from "../support/commands.ts";
import type { Container } from "../support/container.ts";
import type { Host } from "../support/host.ts";
import { image } from "../support/image.ts";
import { EtcdCluster } from "../support/lab-etcd.ts";
import { useLab } from "../support/lab-suite.ts";
import { until } from "../support/poll.ts";
import { talkDuring } from "../support/probe.ts";

/** A plugin lists again what etcd has within this time after etcd is back. */
const settleMs = 20_000;

describe("with an etcd that does not serve, overlay networks are not made, and those that there are go on", () => {
  const lab = useLab({ plane: "etcd" });
  let servers: Container[];
  let here: Container;
  let there: Container;

  beforeEach("containers on two hosts", async () => {
    await lab().network("mesh");
    servers = await lab().servers("mesh");
    [here, there] = servers as [Container, Container];
  });

  /** Traffic between the hosts, all the time. @returns how many messages were answered, which is all */
  const whileTalking = async (work: () => Promise<unknown>): Promise<void> => {
    expect(await talkDuring(here, await there.ipv4("mesh"), work)).to.be.greaterThan(0);
  };

  /** One call of etcd's JSON API by the host's own member. */
  async function call(host: Host, path: string, body: object, token = ""): Promise<Record<string, string>> {
    const init = { method: "POST", body: JSON.stringify(body), headers: token ? { authorization: token } : {} };
    const script = `fetch("http://127.0.0.1:2379${path}", ${JSON.stringify(init)}).then(async (answer) => {
      console.log(await answer.text()); process.exit(answer.ok ? 0 : 1); })`;
    return JSON.parse(await run(host.enter([process.execPath, "-e", script]), { env: process.env }));
  }

  const createOther = ["network", "create", "-d", "tsnet", "-o", "mode=overlay", "--subnet", "10.9.0.0/24", "other"];

  it("with wrong credentials, of which the error says which setting it is", async () => {
    const host = lab().host(2);
    const token = await enableUsers(host);
    const restart = async (settings: NodeJS.ProcessEnv): Promise<void> => {
      await host.plugin.stop();
      await host.plugin.start({ ...lab().settingsOf(host), ...settings });
    };
    try {
      await whileTalking(async () => {
        expect(await host.dockerError(...createOther)).to.include("TSNET_ETCD_USER");
        await restart({ TSNET_ETCD_USER: "tsnet:wrong" });
        expect(await host.dockerError(...createOther)).to.include("TSNET_ETCD_USER");
        expect(await host.dockerError("run", "-d", "--network", "mesh", image)).to.include("TSNET_ETCD_USER");
      });
      await restart({ TSNET_ETCD_USER: "tsnet:right" });
      await host.docker(...createOther);
    } finally {
      await call(host, "/v3/auth/disable", {}, token);
      await restart({});
    }
  });

  /** From now on etcd asks who one is: "tsnet:right" may do all. @returns root's token */
  async function enableUsers(host: Host): Promise<string> {
    for (const name of ["root", "tsnet"]) {
      await call(host, "/v3/auth/user/add", { name, password: "right" });
      await call(host, "/v3/auth/user/grant", { user: name, role: "root" }).catch(async () => {
        await call(host, "/v3/auth/role/add", { name: "root" });
        await call(host, "/v3/auth/user/grant", { user: name, role: "root" });
      });
    }
    await call(host, "/v3/auth/enable", {});
    return (await call(host, "/v3/auth/authenticate", { name: "root", password: "right" }))["token"] ?? "";
  }

  it("while most of it is away, of which the error says where it should be", async () => {
    const host = lab().host(1);
    for (const number of [2, 3] as const) await lab().etcd.kill(lab().host(number));
    await whileTalking(async () => {
      expect(await host.dockerError(...createOther)).to.include(host.ipv4);
      expect(await host.dockerError("run", "-d", "--network", "mesh", image)).to.include(host.ipv4);
    });
    await servers[2]?.remove(); // nobody waits for etcd to remove something
    await lab().etcd.heal();
    await host.docker(...createOther);
  });

  it("which is another one all of a sudden, and empty: it is told again what there is, and a log says so", async () => {
    await whileTalking(async () => {
      for (const host of lab().hosts) await lab().etcd.kill(host);
      for (const host of lab().hosts) await host.sh(`rm -rf ${host.directory}/etcd`);
      const other = await EtcdCluster.start(lab().hosts);
      try {
        await until("the new etcd is told of all endpoints", settleMs, async () => {
          return (await other.keys("/tsnet/place/")).length === 2 * servers.length;
        });
      } finally {
        for (const host of lab().hosts) await other.kill(host);
      }
      await lab().etcd.heal();
    });
    for (const host of lab().hosts) {
      const said = host.plugin.logged(50).filter(({ msg }) => msg === "etcd is not what it was");
      expect(said.map(({ error }) => String(error)).join("\n")).to.match(/^etcd is another cluster than it was/);
    }
  });
});
