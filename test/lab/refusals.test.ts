import { expect } from "chai";
import { Container } from "../support/container.ts";
import type { Host } from "../support/host.ts";
import { image } from "../support/image.ts";
import { overlay } from "../support/lab.ts";
import { changesNothing } from "../support/lab-state.ts";
import { useLab } from "../support/lab-suite.ts";
import { ping } from "../support/probe.ts";

const create = (subnets: readonly string[], ...args: string[]): string[] => [
  ...["network", "create", ...overlay],
  ...subnets.flatMap((subnet) => ["--subnet", subnet]),
  ...[...args, "mesh"],
];
const vni = (value: number): string[] => ["-o", `tsnet.vni=${value}`];

/** @throws Error if it succeeds, or does not say all of it */
async function refused(host: Host, command: readonly string[], ...words: readonly string[]): Promise<void> {
  const error = await host.dockerError(...command);
  for (const word of words) expect(error).to.include(word);
}

describe("an overlay network that differs from what the cluster has is refused at the second host", () => {
  const lab = useLab({ plane: "etcd" });

  const cases: [what: string, first: string[], second: string[], ...words: string[]][] = [
    [
      "a VNI that another network has",
      create(["10.5.0.0/24"], ...vni(5000)),
      create(["10.6.0.0/24"], ...vni(5000)),
      ...["VNI 5000", "10.5.0.0/24", "10.6.0.0/24", "host1", "tsnet.vni"],
    ],
    [
      "a subnet that another network has a part of",
      create(["10.5.0.0/24"]),
      create(["10.5.0.0/16"]),
      ...["10.5.0.0/16 overlaps with 10.5.0.0/24", "host1", "--subnet"],
    ],
    [
      "a subnet that another network has a part of, and a VNI of its own",
      create(["10.5.0.0/24"]),
      create(["10.5.0.0/16"], ...vni(5001)),
      ...["10.5.0.0/16 overlaps with 10.5.0.0/24", "host1", "--subnet"],
    ],
    [
      "one subnet more",
      create(["10.5.0.0/24"]),
      create(["10.5.0.0/24", "10.6.0.0/24"]),
      ...["10.5.0.0/24", "10.6.0.0/24", "host1", "--subnet"],
    ],
    [
      "another VNI for the same subnet",
      create(["10.5.0.0/24"], ...vni(5000)),
      create(["10.5.0.0/24"], ...vni(5001)),
      ...["5000", "5001", "10.5.0.0/24", "host1", "tsnet.vni"],
    ],
    [
      "another gateway",
      create(["10.5.0.0/24"], "--gateway", "10.5.0.1"),
      create(["10.5.0.0/24"], "--gateway", "10.5.0.254"),
      ...["10.5.0.1", "10.5.0.254", "host1", "--gateway"],
    ],
  ];
  for (const [what, first, second, ...words] of cases) {
    it(`${what}, and the error names the difference and the host`, async () => {
      await lab()
        .host(1)
        .docker(...first);
      await changesNothing(lab(), () => refused(lab().host(2), second, ...words));
      await lab()
        .host(2)
        .docker(...first);
    });
  }

  it("an address that Docker's own IPAM has given out on another host, with its name and the advice", async () => {
    for (const number of [1, 2] as const)
      await lab()
        .host(number)
        .docker(...create(["10.5.0.0/24"]));
    const taken = await lab().run(1, { network: "mesh" });
    const ip = await taken.ipv4("mesh");
    await changesNothing(lab(), () =>
      refused(
        lab().host(2),
        ["run", "-d", "--network", "mesh", image],
        ...[`address ${ip} `, "host1", "--ip-range", "--ipam-driver tsnet"],
      ),
    );
    const other = await lab().run(2, { network: "mesh" }, "--ip", "10.5.0.77");
    await ping(other, ip);
  });

  it("a tunnel address that another host has", async () => {
    const pair = [lab().host(1), lab().host(2)] as const;
    const [one, two] = pair;
    // not one that etcd needs
    const shared = "192.168.99.9";
    const settings = (host: Host) => ({ ...lab().settingsOf(host), TSNET_ADVERTISE_ADDRESS: shared });
    for (const host of pair) {
      await host.sh(`ip addr add ${shared}/32 dev lo`);
      await host.plugin.stop();
    }
    try {
      await one.plugin.start(settings(one));
      await one.docker(...create(["10.5.0.0/24"]));
      await two.plugin.start(settings(two));
      await changesNothing(lab(), () =>
        refused(two, create(["10.5.0.0/24"]), shared, "host1", "TSNET_ADVERTISE_ADDRESS"),
      );
    } finally {
      for (const host of pair) {
        await host.sh(`ip addr del ${shared}/32 dev lo`);
        await host.plugin.stop();
        await host.plugin.start(lab().settingsOf(host));
      }
    }
    await two.docker(...create(["10.5.0.0/24"]));
  });
});

describe("an overlay network that a host cannot have is refused there", () => {
  const lab = useLab({ plane: "static" });
  const run = ["run", "-d", "--network", "mesh", image];

  /** What is in the way, and what takes it away. */
  const obstacles: [what: string, make: string, remove: string, args: string[], ...words: string[]][] = [
    [
      "where a VXLAN link of somebody else has its VNI",
      "ip link add theirs type vxlan id 5000 dstport 4789 local $(hostname -I | cut -d' ' -f1)",
      "ip link del theirs",
      vni(5000),
      ...["VNI 5000", "tsnet.vni"],
    ],
    [
      "where that link is in a network namespace",
      "ip netns add hidden && ip link add theirs type vxlan id 5000 dstport 4789 && ip link set theirs netns hidden",
      "ip netns del hidden",
      vni(5000),
      ...["VNI 5000", "namespace", "tsnet.vni"],
    ],
    [
      "where another program has the UDP port",
      "socat -u UDP4-RECV:4789 /dev/null >/dev/null 2>&1 & echo $! >/run/socat.pid; until ss -Hlun | grep -q :4789; do sleep 0.05; done",
      "kill $(cat /run/socat.pid)",
      [],
      ...["UDP port 4789", "TSNET_VXLAN_PORT"],
    ],
    [
      "where the way to the others carries too little for IPv6",
      "ip link set eth0 mtu 1329",
      "ip link set eth0 mtu 1500",
      ["--ipv6", "--subnet", "fd00:5::/64"],
      ...["1329", "1330", "IPv6"],
    ],
  ];
  for (const [what, make, remove, args, ...words] of obstacles) {
    it(`${what}, and works without`, async () => {
      const host = lab().host(2);
      await host.docker(...create(["10.5.0.0/24"], ...args));
      await host.sh(make);
      try {
        await changesNothing(lab(), () => refused(host, run, ...words));
      } finally {
        await host.sh(remove);
      }
      await Container.run(host, { network: "mesh" });
    });
  }

  it("at its creation already, where somebody else has its VNI", async () => {
    const host = lab().host(2);
    for (const [, make, remove, args, ...words] of obstacles.slice(0, 2)) {
      await host.sh(make);
      try {
        await changesNothing(lab(), () => refused(host, create(["10.5.0.0/24"], ...args), ...words));
      } finally {
        await host.sh(remove);
      }
    }
  });

  const options: [what: string, args: string[], ...words: string[]][] = [
    ["a VNI out of range", ["-o", "tsnet.vni=16777216"], "tsnet.vni=16777216", "16777215"],
    [
      "two VNIs",
      ["-o", "tsnet.vni=5000", "-o", "com.docker.network.driver.overlay.vxlanid_list=5001"],
      ...["tsnet.vni=5000", "vxlanid_list=5001"],
    ],
    ["encryption", ["-o", "encrypted"], "encrypted", "does not encrypt"],
    [
      "an MTU too small for IPv6",
      ["--ipv6", "--subnet", "fd00:5::/64", "-o", "com.docker.network.driver.mtu=1329"],
      ...["com.docker.network.driver.mtu=1329", "1330"],
    ],
    [
      "no flooding, where hosts find endpoints by it",
      ["-o", "tsnet.flood=false"],
      ...["tsnet.flood=false", "TSNET_ETCD_ENDPOINTS"],
    ],
    ["an option of another mode", ["-o", "parent=eth0"], "parent=eth0", "overlay"],
  ];
  for (const [what, args, ...words] of options) {
    it(`with ${what}`, () =>
      changesNothing(lab(), () => refused(lab().host(1), create(["10.5.0.0/24"], ...args), ...words)));
  }

  it("where nothing says which other hosts there are", async () => {
    const host = lab().host(3);
    await host.plugin.stop();
    await host.plugin.start({});
    try {
      await changesNothing(lab(), () =>
        refused(host, create(["10.5.0.0/24"]), "mode=overlay", "TSNET_ETCD_ENDPOINTS", "TSNET_PEERS"),
      );
    } finally {
      await host.plugin.stop();
      await host.plugin.start(lab().settingsOf(host));
    }
  });

  it("with a subnet that another network of this host has", async () => {
    const host = lab().host(1);
    // by an IPAM of its own, so that Docker's has nothing to refuse
    await host.docker(
      "network",
      "create",
      "-d",
      "tsnet",
      "--ipam-driver",
      "tsnet",
      "--subnet",
      "10.5.0.0/24",
      "bridged",
    );
    await changesNothing(lab(), () => refused(host, create(["10.5.0.128/25"]), "10.5.0.0/24"));
  });
});
