/** `docker stack deploy`, and ports that are published for tasks. */
import { writeFileSync } from "node:fs";
import { expect } from "chai";
import { client } from "../support/outside.ts";
import { until } from "../support/poll.ts";
import { ask } from "../support/probe.ts";
import { appears } from "../support/swarm-lab-names.ts";
import { askOften, failures } from "../support/swarm-lab-requests.ts";
import { useSwarm } from "../support/swarm-lab-suite.ts";

const settleMs = 10_000;

const compose = `
version: "3.8"
services:
  web:
    image: tsnet-test
    command: [serve]
    networks: [front, back]
    deploy: { replicas: 3 }
  data:
    image: tsnet-test
    command: [serve]
    networks: { back: { aliases: [store] } }
    deploy: { replicas: 2, endpoint_mode: dnsrr }
  asker:
    image: tsnet-test
    networks: [front]
networks:
  front:
    driver: tsnet-plugin:latest
    attachable: true
  back:
    driver: tsnet-plugin:latest
    driver_opts: { com.docker.network.driver.mtu: "1400" }
    ipam: { config: [{ subnet: 10.9.0.0/24 }] }
`;

describe("services of a swarm", () => {
  const lab = useSwarm();

  it("come from a compose file, and go with it", async () => {
    const file = `${lab().manager.directory}/stack.yml`;
    writeFileSync(file, compose);
    await lab().docker("stack", "deploy", "--resolve-image", "never", "-c", file, "shop");
    const [asker] = await lab().serviceOf("shop_asker").running(1);
    const web = lab().serviceOf("shop_web");
    const [server] = await web.serving(3);
    const data = await lab().serviceOf("shop_data").serving(2);
    if (asker === undefined || server === undefined) throw new Error("there are no tasks");
    const vip = await web.vip("shop_front");
    await appears(asker, "web", [vip]);
    await until("it answers", settleMs, async () => failures(await askOften(asker, vip, 7, 30)).length === 0);
    const addresses = await Promise.all(data.map((task) => task.ipv4("shop_back")));
    for (const address of addresses) expect(address).to.match(/^10\.9\.0\./);
    for (const name of ["data", "store"]) await appears(server, name, addresses);
    for (const address of addresses) expect(failures(await askOften(server, address, 7, 3))).to.deep.equal([]);
    // Docker refuses to remove networks of tasks that it has not yet told to stop
    const remove = async (): Promise<boolean> => (await lab().docker("stack", "rm", "shop")) !== undefined;
    await until("the stack is removed", settleMs, remove);
    await lab().serviceOf("shop_web").gone();
    await lab().serviceOf("shop_data").gone();
    await lab().serviceOf("shop_asker").gone();
    await until("its networks are gone", settleMs, async () => {
      return !(await lab().docker("network", "ls", "--format", "{{.Name}}")).includes("shop_");
    });
  });

  it("publish ports of their tasks' nodes, mode=host", async () => {
    await lab().network("mesh");
    const publish = ["tcp", "udp"].flatMap((protocol) => [
      "--publish",
      `mode=host,published=8080,target=80,protocol=${protocol}`,
    ]);
    const service = await lab().service("web", "--network", "mesh", "--mode", "global", ...publish);
    await service.serving(3);
    const { client: world } = lab().outside;
    for (const { ipv4, ipv6 } of lab().hosts) {
      expect(await ask(world, "tcp", ipv4, 8080)).to.equal(client.ipv4);
      expect(await ask(world, "udp", ipv4, 8080)).to.equal(client.ipv4);
      expect(await ask(world, "tcp", ipv6, 8080)).to.be.a("string");
    }
    const [one] = await service.serving(3);
    const vip = await service.vip("mesh");
    if (one === undefined) throw new Error("there is no task");
    await until("it answers by its virtual IP too", settleMs, async () => {
      return failures(await askOften(one, vip, 7, 30)).length === 0;
    });
  });

  it("have a virtual IP of the plugin's network besides the ingress network", async () => {
    await lab().network("mesh");
    const service = await lab().service("web", "--network", "mesh", "--replicas", "3", "--publish", "8080:80");
    const [one] = await service.serving(3);
    const vip = await service.vip("mesh");
    if (one === undefined) throw new Error("there is no task");
    await until("it answers", settleMs, async () => failures(await askOften(one, vip, 7, 30)).length === 0);
    expect(await service.vip("ingress")).to.match(/^10\.0\.0\./);
    const name = await lab().service("asker", "--network", "mesh", "--", "idle");
    const [asker] = await name.running(1);
    if (asker === undefined) throw new Error("there is no task");
    await appears(asker, "web", [vip]);
    await until("it answers", settleMs, async () => failures(await askOften(asker, vip, 7, 30)).length === 0);
  });
});
