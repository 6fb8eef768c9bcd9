import { expect } from "chai";
import { run } from "../support/commands.ts";
import { useHost } from "../support/docker-suite.ts";
import type { Host } from "../support/host.ts";
import { image } from "../support/image.ts";
import { isSince } from "../support/lan.ts";
import { router } from "../support/outside.ts";

const range = "--subnet 192.168.77.0/24 --gateway 192.168.77.254 --ip-range 192.168.77.64/27";
const range6 = "--ipv6 --subnet fd00:77::/64 --gateway fd00:77::254 --ip-range fd00:77::1:0/112";

/** Commands as they stand in scripts that use Docker's own driver; DRIVER is what is changed in them for a move to tsnet, ! what is refused. */
const moves: Readonly<Record<string, string>> = {
  "a network and two containers": `
    network create DRIVER -o parent=eth0 ${range} --aux-address gone=192.168.77.65 lan
    run -d --name one --network lan ${image}
    run -d --name two --network lan --ip 192.168.77.90 --hostname printer --network-alias printer ${image}
    exec one ping -c 1 -W 2 printer`,
  "both families": `
    network create DRIVER -o parent=eth0 ${range} ${range6} lan
    run -d --name one --network lan ${image}
    run -d --name two --network lan --ip6 fd00:77::1:9 --mac-address 02:00:5e:00:53:09 ${image}
    exec one ping -c 1 -W 2 ${router.ipv6}`,
  "several subnets": `
    network create DRIVER -o parent=eth0 ${range} --subnet 192.168.78.0/24 --gateway 192.168.78.1 lan
    run -d --name one --network lan --ip 192.168.77.70 ${image}
    run -d --name two --network lan --ip 192.168.78.20 ${image}`,
  "no gateway that Docker was told of": `
    network create DRIVER -o parent=eth0 --subnet 192.168.79.0/29 lan
    run -d --name one --network lan ${image}`,
  "a container that stops, starts and is made again": `
    network create DRIVER -o parent=eth0 ${range} lan
    create --name one --network lan --ip 192.168.77.70 ${image}
    start one
    restart -t 1 one
    rm -f one
    run -d --name one --network lan --ip 192.168.77.70 ${image}`,
  "a second network of a container": `
    network create inner --subnet 10.99.0.0/24
    network create DRIVER -o parent=eth0 ${range} lan
    run -d --name one --network inner ${image}
    network connect --ip 192.168.77.70 lan one
    exec one ping -c 1 -W 2 ${router.ipv4}
    network disconnect lan one
    network connect --ip 192.168.77.71 lan one
    network disconnect inner one`,
  "a network that is in use": `
    network create DRIVER -o parent=eth0 ${range} lan
    run -d --name one --network lan --ip 192.168.77.70 ${image}
    ! run -d --name two --network lan --ip 192.168.77.70 ${image}
    ! network rm lan
    ! network create DRIVER -o parent=eth0 ${range} lan
    rm -f one two
    network rm lan`,
  "published ports": `
    network create DRIVER -o parent=eth0 ${range} lan
    run -d --name one --network lan -p 8080:80 ${image}
    port one`,
};

interface Outcome {
  readonly command: string;
  readonly result: string;
  /** Of each running container: addresses, routes, neighbors of its own. */
  readonly containers: readonly string[];
}

describe("a move from Docker's own macvlan driver", () => {
  const host = useHost();
  const outcomesOf = async (script: string, driver: string): Promise<Outcome[]> => {
    const outcomes: Outcome[] = [];
    for (const line of script.trim().split("\n")) {
      const [, refused, command = ""] = /^\s*(! )?(.*)$/.exec(line) ?? [];
      const { code, stderr } = await host().tryDocker(...command.replace("DRIVER", driver).split(" "));
      expect(code === 0, `${command}: ${stderr}`).to.equal(refused === undefined);
      outcomes.push({ command, result: code === 0 ? "done" : words(stderr), containers: await describeAll(host()) });
    }
    await host().sh(clear);
    return outcomes;
  };

  for (const [name, script] of Object.entries(moves)) {
    it(`changes -d only: ${name}`, async () => {
      const withDocker = await outcomesOf(script, "-d macvlan");
      const withTsnet = await outcomesOf(script, "-d tsnet -o mode=macvlan");
      // Docker's own driver takes an address for a gateway that nobody has, up to 28
      const meant = name.startsWith("no gateway") && (await isSince(host(), 28));
      if (meant) expect(withTsnet).to.not.deep.equal(withDocker);
      else expect(withTsnet).to.deep.equal(withDocker);
    });
  }
});

const clear = `
  docker ps -aq | xargs -r docker rm -f
  docker network prune -f`;

/** What the docker command says, without what differs each time. */
const words = (stderr: string): string =>
  stderr
    .replace(/\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b/g, "ID")
    .replaceAll(/remote: |NetworkDriver\.\w+: /g, "")
    .split("\n")[0] ?? "";

async function describeAll(host: Host): Promise<string[]> {
  const running: { Id: string; Names: string[] }[] = await host.dockerd.api("GET", "/containers/json");
  const described = running.map(async ({ Id, Names }) => {
    const { NetworkSettings } = await host.dockerd.api("GET", `/containers/${Id}/json`);
    const script = "ip -br addr show scope global; ip route; ip -6 route show scope global; ip -6 route show default";
    const command = ["nsenter", `--net=${host.path(NetworkSettings.SandboxKey)}`, "--", "bash", "-c", script];
    return `${Names}: ${(await run(command)).replace(/@if\d+/g, "").replace(/\s+/g, " ")}`;
  });
  return (await Promise.all(described)).toSorted();
}
