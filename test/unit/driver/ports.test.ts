import { expect } from "chai";
import type { Ports } from "../../../src/driver/ports.ts";
import { explain } from "../../../src/errors.ts";
import type { BridgeNetwork } from "../../../src/plan/network.ts";
import type { PortBinding } from "../../../src/plan/ports.ts";
import type { Faults } from "../../support/faults.ts";
import { asker, openPorts, reservations, textsOf } from "../../support/ports-fixture.ts";
import { bindingOf, bindingsOf, ipv6, mappingOf, networkOf } from "../../support/values.ts";
import type { World } from "../../support/world.ts";

const network = networkOf({ ipv6 });
const dual = { addresses: ["172.18.0.2/16", "fd00:18::2/64"] };

describe("ports of the host", () => {
  let world: World;
  let faults: Faults;
  let ports: Ports;
  beforeEach(() => {
    ({ world, faults, ports } = openPorts());
  });
  const allocate = (...bindings: PortBinding[]): Promise<string[]> =>
    ports.allocate(bindings, asker).then(textsOf, (error: unknown) => [explain(error)]);
  const held = (): string[] => world.heldPorts;
  const calls = (): number => reservations(faults);

  it("are held one for each binding, at the network's default address unless another is named", async () => {
    expect(await allocate(bindingOf(80), bindingOf(81, { hostAddress: "127.0.0.1", protocol: "udp" }))).to.deep.equal([
      "0.0.0.0 80",
      "127.0.0.1 81",
    ]);
    expect(held()).to.deep.equal(["tcp 0.0.0.0 80", "udp 127.0.0.1 81"]);
  });

  it("are held in both families, with a socket that passes on what the kernel cannot translate", async () => {
    await ports.allocate([bindingOf(8080)], { ...asker, noProxy6To4: false });
    await ports.allocate(bindingsOf(9000, 90, 2), { ...asker, endpoint: dual });
    expect(world.ports.list()).to.deep.equal([
      "tcp 0.0.0.0 8080",
      "tcp 0.0.0.0 9000-9001",
      "tcp :: 8080 to 172.18.0.2 80",
      "tcp :: 9000-9001 to fd00:18::2 90",
    ]);
  });

  it("let in the network's sources where a socket passes on", async () => {
    const restricted: BridgeNetwork = { ...network, publishFrom: ["192.0.2.0/24"] };
    await ports.allocate([bindingOf(80)], { ...asker, network: restricted });
    await ports.allocate([bindingOf(81)], { ...asker, network: { ...restricted, publishPolicy: "host" } });
    expect(world.ports.list()).to.deep.equal(["tcp 0.0.0.0 80", "tcp 0.0.0.0 81 to 172.18.0.2 80 from 192.0.2.0/24"]);
  });

  it("are held on IPv4 alone where the host has no IPv6, unless IPv6 is asked for", async () => {
    world.ports.hasIpv6 = false;
    const both = { ...asker, noProxy6To4: false };
    expect(textsOf(await ports.allocate([bindingOf(80), bindingOf(0)], both))).to.deep.equal([
      "0.0.0.0 80",
      "0.0.0.0 32768",
    ]);
    const before = calls();
    expect(textsOf(await ports.allocate([bindingOf(81)], both))).to.deep.equal(["0.0.0.0 81"]);
    expect(calls()).to.equal(before + 1);
    const refused = await ports.allocate([bindingOf(82, { hostAddress: "::" })], both).catch(explain);
    expect(refused).to.contain("failed to bind host port [::]:82/tcp: cannot assign requested address");
    expect(held()).to.deep.equal(["tcp 0.0.0.0 32768", "tcp 0.0.0.0 80", "tcp 0.0.0.0 81"]);
  });

  it("of another container are refused in Docker's words", async () => {
    await allocate(bindingOf(80));
    expect(await allocate(bindingOf(80))).to.deep.equal(["Bind for 0.0.0.0:80 failed: port is already allocated"]);
    await ports.allocate([bindingOf(80)], { ...asker, endpoint: { addresses: ["fd00:18::2/64"] } });
    const local = await ports
      .allocate([bindingOf(80, { hostAddress: "::1" })], { ...asker, endpoint: dual })
      .catch(explain);
    expect(local).to.equal("Bind for [::1]:80 failed: port is already allocated");
    expect(await allocate(bindingOf(80, { protocol: "udp" }))).to.deep.equal(["0.0.0.0 80"]);
  });

  it("of a program of the host are refused in Docker's words", async () => {
    world.foreignPorts.add("tcp 0.0.0.0 80");
    world.foreignPorts.add("tcp :: 80");
    expect(await allocate(bindingOf(80))).to.deep.equal([
      "failed to bind host port 0.0.0.0:80/tcp: address already in use",
    ]);
    const local = await ports
      .allocate([bindingOf(80, { hostAddress: "::1" })], { ...asker, endpoint: dual })
      .catch(explain);
    expect(local).to.equal("failed to bind host port [::1]:80/tcp: address already in use");
  });

  it("at an address that no link has are refused with that, and other errors keep their cause", async () => {
    void faults.arm({ kind: "before", at: 1, errno: "EMFILE" });
    expect(await allocate(bindingOf(80, { hostAddress: "192.0.2.9" }))).to.deep.equal([
      "failed to bind host port 192.0.2.9:80/tcp: reserve-ports: EMFILE",
    ]);
  });

  describe("in a block", () => {
    it("are held by one call, however many", async () => {
      expect(await allocate(...bindingsOf(8000, 8000, 200), ...bindingsOf(9000, 80, 5), bindingOf(1))).to.deep.equal([
        "0.0.0.0 1",
        "0.0.0.0 8000+200",
        "0.0.0.0 9000+5",
      ]);
      expect(calls()).to.equal(1);
      expect(held()).to.have.length(206);
    });

    it("are refused with the port in the way, and none is held then", async () => {
      world.foreignPorts.add("tcp 0.0.0.0 8050");
      expect(await allocate(bindingOf(1), ...bindingsOf(8000, 8000, 200))).to.deep.equal([
        "failed to bind host port 0.0.0.0:8050/tcp: address already in use",
      ]);
      expect(held()).to.deep.equal([]);
      await allocate(bindingOf(9003));
      expect(await allocate(...bindingsOf(9000, 80, 5))).to.deep.equal([
        "Bind for 0.0.0.0:9003 failed: port is already allocated",
      ]);
      expect(held()).to.deep.equal(["tcp 0.0.0.0 9003"]);
    });

    it("are 5,000, or 5,000 single ones, in a moment", async () => {
      const startedAt = performance.now();
      const block = await ports.allocate(bindingsOf(1000, 1000, 5000), asker);
      expect(textsOf(block)).to.deep.equal(["0.0.0.0 1000+5000"]);
      await ports.release(block);
      expect(held()).to.deep.equal([]);
      const scattered = Array.from({ length: 5000 }, (_, n) => bindingOf(1000 + n, { containerPort: 6000 - n }));
      expect(await ports.allocate(scattered, asker)).to.have.length(5000);
      expect(performance.now() - startedAt).to.be.lessThan(1500);
    });
  });

  it("are refused for a container that asks for one twice, also by a block and at another address", async () => {
    const taken = (where: string): string[] => [`Bind for ${where} failed: port is already allocated`];
    expect(await allocate(bindingOf(80), bindingOf(80, { containerPort: 81 }))).to.deep.equal(taken("0.0.0.0:80"));
    expect(await allocate(...bindingsOf(80, 80, 3), bindingOf(81, { containerPort: 9 }))).to.deep.equal(
      taken("0.0.0.0:81"),
    );
    expect(await allocate(bindingOf(80), bindingOf(80, { hostAddress: "127.0.0.1" }))).to.deep.equal(
      taken("127.0.0.1:80"),
    );
    expect(held()).to.deep.equal([]);
  });

  it("are all let go of if one cannot be had, those that were looked for too", async () => {
    world.foreignPorts.add("tcp 0.0.0.0 82");
    await allocate(bindingOf(80), bindingOf(81), bindingOf(82));
    expect(held()).to.deep.equal([]);
    expect(
      await allocate(
        bindingOf(80),
        bindingOf(0),
        bindingOf(82, { hostPortEnd: 83 }),
        bindingOf(82, { hostPortEnd: 83, containerPort: 81 }),
      ),
    ).to.deep.equal(["all ports are allocated: 82-83 on 0.0.0.0"]);
    expect(held()).to.deep.equal([]);
  });

  it("whose release fails go with the next one", async () => {
    await allocate(bindingOf(80), bindingOf(81));
    void faults.arm({ kind: "before", at: 1, errno: "EIO" });
    expect(await ports.release([mappingOf({ hostPort: 80, count: 2 })]).catch(explain)).to.equal("release-ports: EIO");
    expect(held()).to.have.length(2);
    await ports.release([mappingOf({ hostPort: 80 })]);
    expect(await allocate(bindingOf(80))).to.deep.equal(["0.0.0.0 80"]);
    await ports.release([]);
    expect(held()).to.deep.equal(["tcp 0.0.0.0 80", "tcp 0.0.0.0 81"]);
  });
});
