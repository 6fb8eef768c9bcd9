import { expect } from "chai";
import { type Bind, startProgram, tryBinds } from "../support/binds.ts";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { image } from "../support/image.ts";
import { client, hostNetwork } from "../support/outside.ts";
import { driver } from "../support/plugin.ts";
import { until } from "../support/poll.ts";
import { answerSeconds, answers, ask, type Protocol, SteadySender, silenceSeconds } from "../support/probe.ts";

const protocols: readonly Protocol[] = ["tcp", "udp"];
const dual = ["--ipv6", "--subnet", "10.82.0.0/24", "--subnet", "fd00:82::/64"];
const publish = (port: number) => protocols.flatMap((protocol) => ["-p", `${port}:80/${protocol}`]);
const ids = /on endpoint \S+ \([0-9a-f]{64}\)/;

describe("ports that somebody else wants as well", () => {
  const host = useHost();
  const create = (name: string, ...args: string[]) => host().docker("network", "create", "-d", driver, ...args, name);
  const serve = (network: string, ...args: string[]) => Container.run(host(), { network, serve: true }, ...args);
  const outside = () => host().outside.client;

  for (const protocol of protocols) {
    it(`are kept from programs of the host while a container has them, and no others are: ${protocol}`, async () => {
      await create("web", ...dual);
      const other = protocol === "tcp" ? "udp" : "tcp";
      const where = ["", `${host().ipv4}:`, "127.0.0.1:", "[::]:", `[${host().ipv6}]:`];
      const container = await serve("web", ...where.flatMap((at, n) => ["-p", `${at}${8080 + n}:80/${protocol}`]));
      const at = (port: number, ...addresses: string[]): Bind[] =>
        addresses.map((address) => ({ protocol, address, port }));
      const refused = [
        ...at(8080, "0.0.0.0", "127.0.0.1", host().ipv4, "::", "[::]", "::1", host().ipv6),
        ...at(8081, "0.0.0.0", host().ipv4, "::"),
        ...at(8082, "0.0.0.0", "127.0.0.1", "::"),
        ...at(8083, "::", "[::]", "::1", host().ipv6),
        ...at(8084, "::", "[::]", host().ipv6),
      ];
      const free = [
        ...[8080, 8081, 8082, 8083, 8084].map((port) => ({ protocol: other, address: "::", port }) as const),
        ...at(8081, "127.0.0.1", "[::]", host().ipv6),
        ...at(8082, "127.0.0.2", host().ipv4, "[::]"),
        ...at(8084, "0.0.0.0", "::1"),
      ];
      expect(unlike(await tryBinds(host(), refused, { isRuthless: true }), "EADDRINUSE")).to.deep.equal({});
      expect(unlike(await tryBinds(host(), free), "")).to.deep.equal({});
      await container.remove();
      expect(unlike(await tryBinds(host(), refused), "")).to.deep.equal({});
    });

    for (const address of ["0.0.0.0", hostNetwork.ipv4(1), "::"]) {
      it(`are left to a program of the host that has them, and the container has them later: ${protocol} on ${address}`, async () => {
        await create("web");
        const program = await startProgram(host(), { protocol, address, port: 8084 });
        const wanted = ["-p", `8083:80/${protocol}`, "-p", `8084:80/${protocol}`, "-p", `8085:80/${protocol}`];
        const error = await host().dockerError(
          "run",
          "-d",
          "--name",
          "late",
          "--network",
          "web",
          ...wanted,
          image,
          "serve",
        );
        expect(error).to.match(ids);
        expect(error).to.include("driver failed programming external connectivity");
        expect(error).to.include(`failed to bind host port 0.0.0.0:8084/${protocol}: address already in use`);
        expect(await ask(outside(), protocol, host().ipv4, 8084)).to.equal("host");
        expect(await traces()).to.deep.equal([]);
        const neighbors = [8083, 8085].map((port) => ({ protocol, address: "::", port }));
        expect(unlike(await tryBinds(host(), neighbors), "")).to.deep.equal({});
        await program[Symbol.asyncDispose]();
        await host().docker("start", "late");
        await new Container(host(), "late").listens();
        expect(await ask(outside(), protocol, host().ipv4, 8084)).to.equal(client.ipv4);
      });
    }

    for (const address of [protocol === "tcp" ? "0.0.0.0" : hostNetwork.ipv4(1)]) {
      const wanted = ["-p", `${address}:8086:80/${protocol}`];
      it(`are refused to Docker's own bridge while a container of tsnet has them: ${protocol} on ${address}`, async () => {
        await create("web");
        const ours = await serve("web", ...wanted);
        const error = await host().dockerError("run", "-d", "--name", "theirs", ...wanted, image, "serve");
        expect(error).to.include("8086").and.include("address already in use");
        expect(await ask(outside(), protocol, host().ipv4, 8086)).to.equal(client.ipv4);
        await ours.remove();
        await host().docker("start", "theirs");
        await new Container(host(), "theirs").listens();
        expect(await ask(outside(), protocol, host().ipv4, 8086)).to.equal(client.ipv4);
      });

      it(`are left to Docker's own bridge where that has them: ${protocol} on ${address}`, async () => {
        await create("web");
        const theirs = await serve("bridge", ...wanted);
        const run = ["run", "-d", "--name", "ours", "--network", "web", ...wanted, image, "serve"];
        const error = await host().dockerError(...run);
        expect(error).to.match(ids);
        expect(error).to.include(`failed to bind host port ${address}:8086/${protocol}: address already in use`);
        expect(await ask(outside(), protocol, host().ipv4, 8086)).to.equal(client.ipv4);
        await theirs.remove();
        await host().docker("start", "ours");
        await new Container(host(), "ours").listens();
        expect(await ask(outside(), protocol, host().ipv4, 8086)).to.equal(client.ipv4);
      });
    }
  }

  it("are shared with Docker's own bridge by address", async () => {
    await create("web");
    await serve("web", "-p", `${host().ipv4}:8087:80`);
    await serve("bridge", "-p", "127.0.0.1:8087:80");
    expect(await ask(outside(), "tcp", host().ipv4, 8087)).to.equal(client.ipv4);
    expect(await ask(host(), "tcp", "127.0.0.1", 8087)).to.be.a("string");
  });

  it("are free the moment the container is gone, with connections that are open or were just closed", async () => {
    await create("web", ...dual);
    const wanted = ["-p", "8088:80/tcp", "-p", "8088:80/udp", "-p", "7007:7"];
    for (let round = 0; round < 2; round++) {
      const container = await serve("web", ...wanted);
      const asked = protocols.flatMap((protocol) => [
        ask(outside(), protocol, host().ipv4, 8088),
        ask(host(), protocol, host().ipv4, 8088),
        ask(host(), protocol, "127.0.0.1", 8088),
      ]);
      await Promise.all(asked);
      const open = host().exec(`exec 3<>/dev/tcp/${host().ipv4}/7007; timeout 10 cat <&3`);
      await until("a connection is open", 5_000, async () => {
        const { stdout } = await container.exec("ss -Htn state established 'sport = :7'");
        return stdout.includes(":7 ");
      });
      await container.remove();
      const strict = await host().exec(
        "for l in TCP4-LISTEN:8088 TCP6-LISTEN:7007 TCP4-LISTEN:7007; do timeout 0.2 socat $l - || echo $?; done",
      );
      expect(strict.stdout.trim().split("\n"), strict.stderr).to.deep.equal(["124", "124", "124"]);
      const binds = [8088, 7007].flatMap((port) => protocols.map((protocol) => ({ protocol, address: "::", port })));
      expect(unlike(await tryBinds(host(), binds), "")).to.deep.equal({});
      await host().exec("ss -K dport = :7007");
      await open;
    }
  });

  it("are published again at once where the proxy has served them, whose closed connections the host remembers", async () => {
    await create("web");
    for (let round = 0; round < 2; round++) {
      const container = await serve("web", "-p", "8089:80/tcp", "-p", "8089:80/udp");
      for (const protocol of protocols) {
        await ask(host(), protocol, "::1", 8089);
        await ask(outside(), protocol, host().ipv6, 8089);
      }
      await container.remove();
      const binds = protocols.map((protocol) => ({ protocol, address: "::", port: 8089 }));
      expect(unlike(await tryBinds(host(), binds), "")).to.deep.equal({});
    }
  });

  it("take the kernel's memory of their udp clients with them", async () => {
    await create("web", ...dual);
    await using sender = await SteadySender.start(outside(), host().ipv4, 8090);
    const container = await serve("web", "--ip", "10.82.0.77", "-p", "8090:80/udp");
    await sender.isAnswered();
    const flows = async () => (await host().exec("conntrack -L -p udp 2>/dev/null")).stdout;
    expect(await flows()).to.include("src=10.82.0.77 ");
    await container.remove();
    await until("no flow is left", 1_000, async () => !(await flows()).includes("src=10.82.0.77 "));
    const next = await serve("web", "-p", "8090:80/udp");
    await sender.isAnswered();
    expect(await flows()).to.include(`src=${await next.ipv4("web")} `);
  });

  it("do not answer an internal network by way of the host, be they tsnet's or Docker's, and answer others", async () => {
    await create("inside", "--internal");
    await create("web");
    await create("plain");
    await serve("web", ...publish(8091));
    await serve("bridge", ...publish(8092));
    const internal = await Container.run(host(), { network: "inside" });
    const plain = await Container.run(host(), { network: "plain" });
    // an internal network has no default route: give it one, as a container with NET_ADMIN could
    const gateway = JSON.parse(await host().docker("network", "inspect", "inside"))[0].IPAM.Config[0].Gateway;
    expect((await internal.exec(`ip route add default via ${gateway}`)).code).to.equal(0);
    const asked = [8091, 8092].map((port) => [host().ipv4, port] as const);
    expect(await answersOf(internal, asked)).to.deep.equal([false, false, false, false]);
    expect(await answersOf(plain, asked, answerSeconds)).to.deep.equal([true, true, true, true]);
  });

  it("do not answer an internal network by a socket of the plugin, and answer others", async () => {
    await create("inside", "--internal", "--ipv6", "--subnet", "10.83.0.0/24", "--subnet", "fd00:83::/64");
    await create("plain", ...dual);
    await create("four");
    await create("proxied", "-o", "tsnet.publish_policy=host");
    await serve("four", ...publish(8096));
    await serve("proxied", ...publish(8097));
    await using _ = await startProgram(host(), { protocol: "tcp", address: "0.0.0.0", port: 8098 });
    const targets = (ipv4: string, ipv6: string) =>
      [
        [ipv6, 8096],
        [ipv4, 8097],
        [ipv6, 8097],
      ] as const;
    const internal = await Container.run(host(), { network: "inside" });
    expect(await answersOf(internal, targets("10.83.0.1", "fd00:83::1"))).to.deep.equal(Array(6).fill(false));
    await ask(internal, "tcp", "10.83.0.1", 8098);
    const plain = await Container.run(host(), { network: "plain" });
    expect(await answersOf(plain, targets("10.82.0.1", "fd00:82::1"), answerSeconds)).to.deep.equal(
      Array(6).fill(true),
    );
  });

  it("are no way for a container of tsnet to reach what a container of Docker's does not publish, and not the other way round", async () => {
    await create("ours");
    await host().docker("network", "create", "theirs");
    const own = await serve("ours", ...publish(8093));
    const onDocker0 = await serve("bridge", ...publish(8094));
    const onTheirs = await serve("theirs", ...publish(8095));
    const addresses = [
      await own.ipv4("ours"),
      (await onDocker0.inspect()).NetworkSettings.IPAddress,
      await onTheirs.ipv4("theirs"),
    ];
    const places = [own, onDocker0, onTheirs];
    const pairs = [
      [0, 1],
      [0, 2],
      [1, 0],
      [2, 0],
    ] as const;
    const seen = await Promise.all(
      pairs.map(async ([from, to]) => ({
        byHost: await Promise.all(
          protocols.map((protocol) =>
            answers(places[from] as Container, protocol, host().ipv4, 8093 + to, answerSeconds),
          ),
        ),
        direct: await Promise.all(
          [80, 7].map((port) => answers(places[from] as Container, "tcp", addresses[to] ?? "", port)),
        ),
      })),
    );
    for (const each of seen) expect(each).to.deep.equal({ byHost: [true, true], direct: [false, false] });
    for (const address of addresses) await ask(host(), "tcp", address);
  });

  /** What a failed start may leave nowhere: elements of maps and records of endpoints. */
  async function traces(): Promise<string[]> {
    const objects = await host().nft("list table inet tsnet");
    const maps = objects.map(({ map }) => map).filter((map) => /^(port|bound|range)/.test(map?.name ?? "") && map.elem);
    return [...maps.map(({ name, elem }) => `${name}: ${JSON.stringify(elem)}`), ...host().records("endpoint").keys()];
  }
});

/** Whether each of these ports of the host answers, by tcp and by udp. */
const answersOf = (
  from: Container,
  targets: readonly (readonly [address: string, port: number])[],
  seconds = silenceSeconds,
) =>
  Promise.all(
    targets.flatMap(([address, port]) => protocols.map((protocol) => answers(from, protocol, address, port, seconds))),
  );

/** Those whose outcome is another one. */
const unlike = (outcomes: Record<string, string>, expected: string): Record<string, string> =>
  Object.fromEntries(Object.entries(outcomes).filter(([, outcome]) => outcome !== expected));
