import { expect } from "chai";
import { Container } from "../support/container.ts";
import { dockerIsAsked, expectNothingLeft, useHost } from "../support/docker-suite.ts";
import { image } from "../support/image.ts";
import { hostSubnet, isSince, onParent } from "../support/lan.ts";

const long = "a_very_long_name_of_a_link";

/** `-o` of a network that neither Docker's own driver nor tsnet makes: what Docker says, of 28.5 on. */
const refusedByBoth: readonly (readonly [options: string, words: string])[] = [
  ["parent=lo", "loopback interface is not a valid macvlan parent link"],
  ["parent=missing0", "invalid subinterface vlan name missing0, example formatting is eth0.10"],
  [`parent=${long}`, `invalid subinterface vlan name ${long}, example formatting is eth0.10`],
  ["parent=eth0/x", "invalid subinterface vlan name eth0/x, example formatting is eth0.10"],
  [
    "parent=eth0.1.2",
    "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received eth0.1.2",
  ],
  ["parent=eth0.x", "unable to parse a valid vlan id from: x (ex. eth0.10 for vlan 10)"],
  ["parent=eth0.0", "vlan id must be between 1-4094, received: 0"],
  ["parent=eth0.4095", "vlan id must be between 1-4094, received: 4095"],
  ["parent=missing0.10", "-o parent interface was not found on the host: missing0"],
  [
    "parent=eth0 macvlan_mode=fancy",
    "requested macvlan mode 'fancy' is not valid, 'bridge' mode is the macvlan driver default",
  ],
];

/** `-o` of a network that Docker's own driver makes, or leaves without a parent: what tsnet's error has in it. */
const refusedByTsnet: readonly (readonly [options: string, ...parts: string[]])[] = [
  ["parnt=eth0", "parnt", "parent"],
  ["parent=eth0 tsnet.host_acess=true", "tsnet.host_acess", "tsnet.host_access"],
  ["parent=eth0 ipvlan_mode=l3", "ipvlan_mode", "macvlan", "ipvlan"],
  ["parent=eth0 com.docker.network.driver.mtu=big", "com.docker.network.driver.mtu=big"],
  ["parent=eth0 com.docker.network.driver.mtu=9000", "com.docker.network.driver.mtu=9000", "eth0", "1500"],
  ["parent=eth0 tsnet.duplicate_check=maybe", "tsnet.duplicate_check=maybe"],
  ["parent=port0", "parent=port0", "bridge", "br9"],
  ["parent=eth0 mode=macvlna", "mode=macvlna", "macvlan"],
];

const prepare = `
  ip link add br9 type bridge
  ip link add port0 type veth peer name port1
  ip link set port0 master br9 up`;

describe("networks of mode macvlan that cannot be", () => {
  const host = useHost([], { prepare });
  const options = (text: string): string[] => text.split(" ").flatMap((option) => ["-o", option]);
  const macvlan = (...args: string[]) => ["network", "create", "-d", "macvlan", ...args, "x"];
  const tsnet = (...args: string[]) => ["network", "create", "-d", "tsnet", "-o", "mode=macvlan", ...args, "x"];

  for (const [text, words] of refusedByBoth) {
    it(`are refused as Docker does it: ${text}`, async () => {
      const docker = await host().dockerError(...macvlan(...options(text)));
      expect(docker.replace("does was not", "was not")).to.include(words); // as 20.10 has it
      const error = await host().dockerError(...tsnet(...options(text)));
      expect(error).to.include(words).and.include(text.split(" ").at(-1));
      await expectNothingLeft(host());
    });
  }

  for (const [text, ...parts] of refusedByTsnet) {
    it(`are refused, with the reason: ${text}`, async () => {
      const error = await host().dockerError(...tsnet(...options(text)));
      for (const part of parts) expect(error).to.include(part);
      await expectNothingLeft(host());
    });
  }

  // the kernel of the machines that these tests are made for has neither; that of the vm ring has
  for (const [what, args, module] of [
    ["a VLAN", ["-o", "parent=eth0.10"], "8021q"],
    ["no parent", [], "dummy"],
    ["--internal and no parent", ["--internal"], "dummy"],
  ] as const) {
    it(`are refused where the kernel cannot make the parent, and the error names the module: ${what}`, async function () {
      const kind = module === "dummy" ? "dummy" : "vlan id 10";
      const hasModule =
        (await host().exec(`ip link add link lo name try0 type ${kind} && ip link del try0`)).code === 0;
      if (hasModule) return this.skip();
      expect(await host().dockerError(...tsnet(...args))).to.include(`modprobe ${module}`);
      await expectNothingLeft(host());
    });
  }

  it("do not share a parent with passthru, in either order", async () => {
    const create = (driver: readonly string[], mode: string, name: string) =>
      host().tryDocker("network", "create", ...driver, ...onParent("eth0"), "-o", `macvlan_mode=${mode}`, name);
    const own = ["-d", "tsnet", "-o", "mode=macvlan"];
    for (const [first, second, words] of [
      ["bridge", "passthru", "cannot use mode passthru, macvlan network ID is already using parent interface eth0"],
      ["passthru", "bridge", "macvlan network ID is already using parent interface eth0 in mode passthru"],
      ["passthru", "passthru", "is already using parent interface eth0"],
    ] as const) {
      for (const driver of (await isSince(host(), 27)) ? [["-d", "macvlan"], own] : [own]) {
        const id = (await create(driver, first, "first")).stdout.trim();
        expect(id).to.match(/^[0-9a-f]{64}$/);
        const { stderr } = await create(driver, second, "second");
        expect(stderr).to.include(words.replace("ID", id));
        await host().docker("network", "rm", "first");
        await dockerIsAsked(host());
      }
      await expectNothingLeft(host());
    }
  });

  it("do not share a parent with networks of Docker's own driver in passthru", async () => {
    await host().docker(...macvlan(...onParent("eth0"), "-o", "macvlan_mode=passthru", ...hostSubnet()));
    const theirs = await Container.run(host(), { network: "x" });
    const create = [
      "network",
      "create",
      "-d",
      "tsnet",
      "-o",
      "mode=macvlan",
      ...onParent("eth0"),
      "--subnet",
      "10.99.0.0/24",
      "y",
    ];
    const made = await host().tryDocker(...create);
    const error = made.code === 0 ? await host().dockerError("run", "-d", "--network", "y", image) : made.stderr;
    expect(error)
      .to.include("eth0")
      .and.match(/passthru|in use|busy/);
    await host().dockerd.api("DELETE", `/containers/${theirs.id}?force=1`);
    expect([...host().records("endpoint").keys()]).to.deep.equal([]);
  });
});
