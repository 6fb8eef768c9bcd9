/** The commands tsnet networks and tsnet endpoints on a real Docker host; what is there is judged by Docker and by ip. */
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { addUplink } from "../support/lan.ts";
import { driver } from "../support/plugin.ts";
import { until } from "../support/poll.ts";

const program = fileURLToPath(new URL("../../src/cli/tsnet", import.meta.url));

/** How long tsnet may take to put a link back, and the kernel to say that a carrier has changed. */
const followedMs = 10_000;

describe("the commands tsnet networks and tsnet endpoints on a Docker host", () => {
  const host = useHost();
  /** Runs it on the host. @returns the exit code, and what it prints */
  const tsnet = async (words: string): Promise<[code: number, text: string]> => {
    const said = await host().sh(`DOCKER_HOST=unix://${host().socket} ${program} ${words} 2>&1; echo "exit $?"`);
    const [, text = "", code] = /^(.*)exit (\d+)\n?$/s.exec(said) ?? [];
    return [Number(code), text];
  };
  const answerOf = async (words: string): Promise<string> => {
    const [code, text] = await tsnet(words);
    expect([code, code === 0 ? "" : text]).to.deep.equal([0, ""]);
    return text;
  };
  const rowsOf = async (words: string): Promise<string[][]> =>
    (await answerOf(words))
      .trimEnd()
      .split("\n")
      .map((line) => line.split(/ {3,}/));
  /** The last cells: of networks by name, of endpoints by container. */
  const statesOf = async (words: string): Promise<Record<string, string>> =>
    Object.fromEntries((await rowsOf(words)).slice(1).map((row) => [row[0], row.at(-1)]));

  const create = (...args: string[]) => host().docker("network", "create", "-d", driver, ...args);
  const onEth9 = [
    "-o",
    "mode=macvlan",
    "-o",
    "parent=eth9",
    "--subnet",
    "10.91.0.0/24",
    "-o",
    "tsnet.duplicate_check=false",
  ];
  beforeEach(() => addUplink(host().outside, host(), "eth9"));
  afterEach(() => host().sh("ip link del eth9 2>/dev/null || true"));

  it("show networks of several modes and their containers, as Docker and the kernel have them", async () => {
    const web = await create("--ipv6", "--subnet", "10.90.0.0/24", "--subnet", "fd00:90::/64", "web");
    await create(...onEth9, "-o", "com.docker.network.driver.mtu=1400", "lan");
    const one = await Container.run(host(), { network: "web" }, "--name", "one");
    const two = await Container.run(host(), { network: "lan" }, "--name", "two");
    await host().docker("network", "connect", "web", "two");
    const bridge = `tsb-${web.slice(0, 11)}`;

    expect(await rowsOf("networks")).to.deep.equal([
      ["NAME", "MODE", "PARENT", "VLAN", "MTU", "SUBNETS", "ENDPOINTS", "STATE"],
      ["lan", "macvlan bridge", "eth9", "-", "1400", "10.91.0.0/24", "1", "up"],
      ["web", "bridge", bridge, "-", "1500", "10.90.0.0/24, fd00:90::/64", "2", "up"],
    ]);
    const { networks } = JSON.parse(await answerOf("networks --json"));
    expect(networks[0]).to.deep.include({ name: "lan", duplicateCheck: false, mtuIsSet: true, hostAccess: null });

    const linkOf = async (container: Container, address: string): Promise<string> =>
      // biome-ignore lint/suspicious/noExplicitAny: the output of ip
      (await container.ip("addr")).find((link: any) => link.addr_info.some(({ local }: any) => local === address))
        .ifname;
    const rowOf = async (container: Container, name: string) => {
      const { EndpointID, MacAddress, IPAddress, GlobalIPv6Address } = await container.endpoint("web");
      const addresses = `${IPAddress}, ${GlobalIPv6Address}`;
      const link = await linkOf(container, IPAddress);
      return [name, "web", "bridge", bridge, "-", MacAddress, addresses, link, `tsv-${EndpointID.slice(0, 11)}`, "up"];
    };
    const { MacAddress, IPAddress } = await two.endpoint("lan");
    const onLan = ["two", "lan", "macvlan bridge", "eth9", "-", MacAddress, IPAddress];
    const [header, ...rows] = await rowsOf("endpoints");
    expect(header).to.deep.equal([
      ...["CONTAINER", "NETWORK", "MODE", "PARENT", "VLAN", "MAC", "ADDRESSES", "LINK", "HOST LINK", "STATE"],
    ]);
    expect(rows).to.deep.equal([
      [...onLan, await linkOf(two, IPAddress), "-", "up"],
      await rowOf(one, "one"),
      await rowOf(two, "two"),
    ]);
    expect((await rowsOf("endpoints lan")).slice(1).map(([container]) => container)).to.deep.equal(["two"]);
    expect((await rowsOf(`endpoints ${web.slice(0, 7)}`)).slice(1)).to.deep.equal(rows.slice(1));
  });

  it("say that a parent is down, and that it is up again", async () => {
    await create(...onEth9, "lan");
    await Container.run(host(), { network: "lan" }, "--name", "one");
    expect([await statesOf("networks"), await statesOf("endpoints")]).to.deep.equal([{ lan: "up" }, { one: "up" }]);
    await host().sh("ip link set eth9 down");
    expect(await statesOf("networks")).to.deep.equal({ lan: "parent eth9 down" });
    await until(
      "the container has no carrier",
      followedMs,
      async () => (await statesOf("endpoints"))["one"] === "no carrier",
    );
    await host().sh("ip link set eth9 up");
    await until("all is up", followedMs, async () => (await statesOf("endpoints"))["one"] === "up");
    expect(await statesOf("networks")).to.deep.equal({ lan: "up" });
  });

  it("say that a parent is missing and its containers have lost their links, until it is back", async () => {
    await create(...onEth9, "lan");
    const one = await Container.run(host(), { network: "lan" }, "--name", "one");
    const [, before] = await rowsOf("endpoints");
    await host().sh("ip link del eth9");
    expect(await statesOf("networks")).to.deep.equal({ lan: "parent eth9 missing" });
    const { MacAddress, IPAddress } = await one.endpoint("lan");
    const lost = ["one", "lan", "macvlan bridge", "eth9", "-", MacAddress, IPAddress, "-", "-", "lost with its parent"];
    expect((await rowsOf("endpoints"))[1]).to.deep.equal(lost);
    const { networks } = JSON.parse(await answerOf("networks --json"));
    expect(networks[0]).to.deep.include({ state: "missing", at: "eth9", mtuBytes: null });

    await addUplink(host().outside, host(), "eth9");
    await until("the link is back", followedMs, async () => (await statesOf("endpoints"))["one"] === "up");
    expect((await rowsOf("endpoints"))[1]).to.deep.equal(before);
    expect(await statesOf("networks")).to.deep.equal({ lan: "up" });
  });

  it("say that a link is down in its container", async () => {
    await create("--subnet", "10.90.0.0/24", "web");
    const one = await Container.run(host(), { network: "web" }, "--name", "one");
    await Container.run(host(), { network: "web" }, "--name", "two");
    await one.exec("ip link set eth0 down");
    expect(await statesOf("endpoints")).to.deep.equal({ one: "down", two: "up" });
    await one.exec("ip link set eth0 up");
    await until("it is up", followedMs, async () => (await statesOf("endpoints"))["one"] === "up");
  });

  it("show the host's own link on a parent, and its address", async () => {
    const access = ["-o", "tsnet.host_access=true", "-o", "tsnet.host_address=10.91.0.250"];
    const id = await create(...onEth9, ...access, "--ipam-driver", "tsnet", "lan");
    const shim = `tsh-${id.slice(0, 11)}`;
    const [header, row] = await rowsOf("networks");
    expect([header?.[7], row?.slice(7)]).to.deep.equal(["HOST ACCESS", [`${shim}, 10.91.0.250`, "up"]]);
    const [link] = await host().ip(`link show dev ${shim}`);
    expect(link.flags).to.include("UP");
    const { networks } = JSON.parse(await answerOf("networks --json"));
    expect(networks[0].hostAccess).to.deep.equal({ link: shim, state: "up", addresses: ["10.91.0.250"] });
  });

  it("say of a network that there is not which there are, and of one of Docker's own that it is not tsnet's", async () => {
    const id = await create(...onEth9, "lan");
    for (const wanted of ["nal", "bridge"]) {
      expect(await tsnet(`endpoints ${wanted}`)).to.deep.equal([
        1,
        `tsnet: ${wanted}: no such network of tsnet; there are lan (${id.slice(0, 12)})\n`,
      ]);
    }
  });
});
