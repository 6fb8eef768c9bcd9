import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { expect } from "chai";
import { planInnerVeth, planInnerVethRemoval, planOverlay } from "../../../src/plan/overlay.ts";
import { ip, linkJson } from "../../support/netns.ts";
import {
  bridge,
  endpoint,
  inside,
  insideJson,
  linkInside,
  linksInside,
  names,
  network,
  sockets,
  underlay,
  useOverlay,
} from "../../support/overlay-links.ts";
import { until } from "../../support/poll.ts";

const { namespace, vxlan, port, gateway, gatewayPort, container } = names;
const overlay = planOverlay(network, underlay);
const veth = planInnerVeth(network, endpoint, underlay);
describe("links of an overlay network", () => {
  const fixture = useOverlay();
  const { ensure, failure } = fixture;

  it("are in a namespace of their own, with the UDP socket and the gateways in the host's", async () => {
    await fixture.make();
    const ours = { master: names.bridge, mtu: 1450, isUp: true, group: "default", hairpin: false };
    expect(linksInside().slice(1)).to.containSubset([
      { ifname: names.bridge, kind: "bridge", mtu: 1450, isUp: true, ifalias: `tsnet:bridge:${network.id}` },
      {
        ...ours,
        ifname: vxlan,
        kind: "vxlan",
        ifalias: `tsnet:vxlan:${network.id}`,
        learning: false,
        neigh_suppress: true,
      },
      { ...ours, ifname: gatewayPort, kind: "veth", ifalias: `tsnet:gateway-port:${network.id}`, learning: false },
      { ...ours, ifname: port, kind: "veth", ifalias: `tsnet:veth:${endpoint.id}`, learning: false, flood: true },
    ]);
    expect(linkInside(vxlan).linkinfo.info_data).to.include({
      ...{ id: 8388700, port: 4789, local: "192.168.9.1", learning: false, df: "set" },
    });
    expect(sockets()).to.match(/:4789 /);
    expect(linkJson(gateway)).to.include({ address: network.mac, mtu: 1450, ifalias: `tsnet:gateway:${network.id}` });
    expect(linkJson(container)).to.include({ mtu: 1450, ifalias: `tsnet:peer:${endpoint.id}`, operstate: "DOWN" });
    const settings = ["net.bridge.bridge-nf-call-iptables", "net.ipv6.conf.default.disable_ipv6"];
    const values = settings.map((key) => ip(`netns exec ${namespace} sysctl -en ${key}`).trim());
    expect(values[1]).to.equal("1");
    expect(values[0]).to.be.oneOf(["0", ""]); // not there without br_netfilter
  });

  it("are the same after each operation was done twice, and nothing is sent that is right already", async () => {
    await fixture.make();
    const before = linksInside().slice(1);
    const monitor = spawn("ip", ["-n", namespace, "-o", "monitor", "link"], { stdio: ["ignore", "pipe", "inherit"] });
    let seen = "";
    monitor.stdout.on("data", (data) => {
      seen += data;
    });
    const said = (mtu: number): Promise<boolean> =>
      until(`the monitor tells of the MTU ${mtu}`, 5000, () => seen.includes(`mtu ${mtu}`));
    try {
      await until("the monitor runs", 5000, () => {
        inside(`link set lo mtu ${seen === "" ? 60_000 : 60_001}`);
        inside("link set lo mtu 60002");
        return seen !== "";
      });
      await said(60_002);
      seen = "";
      await ensure(...overlay, ...veth);
      inside("link set lo mtu 60003");
      await said(60_003);
      expect(seen.split("\n").filter((line) => /ts[bxuv]-/.test(line))).to.deep.equal([]);
    } finally {
      monitor.kill();
      await once(monitor, "exit");
    }
    expect(linksInside().slice(1)).to.deep.equal(before);
  });

  const changes: readonly (readonly [what: string, ...commands: string[]])[] = [
    ["a port that learns", `bridge link set dev ${vxlan} learning on`],
    ["a port that asks for what is known", `bridge link set dev ${vxlan} neigh_suppress off`],
    ["a port that does not flood broadcasts", `bridge link set dev ${port} bcast_flood off`],
    ["a port that does not flood", `bridge link set dev ${gatewayPort} flood off mcast_flood off bcast_flood off`],
    ["a smaller MTU", `ip link set ${vxlan} mtu 1300`, `ip link set ${port} mtu 1300`],
    ["another alias", `ip link set ${vxlan} alias mine`],
    [
      "links that are down",
      `ip link set ${vxlan} down`,
      `ip link set ${port} down`,
      `ip link set ${names.bridge} down`,
    ],
    ["links that are no ports", `ip link set ${vxlan} nomaster`, `ip link set ${gatewayPort} nomaster`],
  ];
  for (const [what, ...commands] of changes) {
    it(`lose ${what}`, async () => {
      await fixture.make();
      const before = linksInside().map((link) => ({ ...link, ifindex: 0, address: "" }));
      for (const command of commands) {
        const [program, ...words] = command.split(" ");
        (program === "ip" ? inside : bridge)(words.join(" "));
      }
      const changed = linksInside().map((link) => ({ ...link, ifindex: 0, address: "" }));
      expect(changed).not.to.deep.equal(before);
      await ensure(...overlay, ...veth);
      const byName = (links: object[]) => links.map((link) => JSON.stringify(link)).toSorted();
      expect(byName(linksInside().map((link) => ({ ...link, ifindex: 0, address: "" })))).to.deep.equal(byName(before));
    });
  }

  it("get another VNI, port, address or learning with a VXLAN link that is made anew", async () => {
    await fixture.make();
    const learning = { ...underlay, knowsPlaces: false, local: "fd00:9::1", port: 4799 };
    await ensure(...planOverlay({ ...network, vni: 8388701 }, learning));
    expect(linkInside(vxlan)).to.include({ mtu: 1430, master: names.bridge });
    expect(linkInside(vxlan).linkinfo.info_data).to.include({ id: 8388701, port: 4799, local6: "fd00:9::1" });
    expect(linkInside(vxlan).linkinfo.info_data.learning).to.equal(true);
    expect(insideJson("link show").filter(({ linkinfo }) => linkinfo?.info_kind === "vxlan")).to.have.length(1);
  });

  it("have 70 bytes less than the hosts' network where that is IPv6", async () => {
    const ipv6 = { ...underlay, local: "fd00:9::1" };
    await ensure(...planOverlay(network, ipv6), ...planInnerVeth(network, endpoint, ipv6));
    expect(linkInside(vxlan).mtu).to.equal(1430);
    expect([linkJson(gateway).mtu, linkJson(container).mtu]).to.deep.equal([1430, 1430]);
  });

  it("are refused where the VNI is in use, with what to do, and leave nothing", async () => {
    ip("netns add other");
    ip("link add vx9 type vxlan id 8388700 dstport 4789 local 192.168.9.1");
    ip("link set vx9 netns other");
    const { code, errno, message } = await failure(...overlay);
    expect({ code, errno }).to.deep.equal({ code: "conflict", errno: "EEXIST" });
    expect(message).to.include("VNI 8388700 is in use on this host, UDP port 4789").and.include("tsnet.vni");
    expect(linkInside(vxlan)).to.equal(undefined);
    ip("-n other link del vx9");
    await ensure(...overlay);
    expect(linkInside(vxlan).flags).to.include("UP");
  });

  it("are refused where the UDP port is taken, with what to do, and leave nothing", async () => {
    const other = createSocket("udp4").bind(4799);
    await once(other, "listening");
    try {
      const { code, errno, message } = await failure(...planOverlay(network, { ...underlay, port: 4799 }));
      expect({ code, errno }).to.deep.equal({ code: "conflict", errno: "EADDRINUSE" });
      expect(message).to.include("UDP port 4799 of this host is taken").and.include("TSNET_VXLAN_PORT");
      expect(linkInside(vxlan)).to.equal(undefined);
    } finally {
      other.close();
      await once(other, "close");
    }
    await ensure(...planOverlay(network, { ...underlay, port: 4799 }));
    expect(linkInside(vxlan).flags).to.include("UP");
  });

  it("are not touched where one of somebody else's has their name", async () => {
    await ensure(...overlay);
    ip(`link add ${container} type bridge`);
    const { code, message } = await failure(...veth);
    expect(code).to.equal("conflict");
    expect(message).to.include(`the bridge ${container} without an alias`);
    expect(linkInside(port)).to.equal(undefined);
  });

  it("come back when the gateway's end was deleted, renamed, or given another MAC and MTU", async () => {
    await fixture.make();
    const find = () => {
      const { address, mtu, ifalias, flags } = linkJson(gateway) ?? {};
      return { address, mtu, ifalias, isUp: flags?.includes("UP") };
    };
    const before = find();
    expect(before).to.include({ address: network.mac, isUp: true });
    for (const command of [
      `link del ${gateway}`,
      `link set ${gateway} name mine`,
      `link set ${gateway} address 02:00:00:00:00:01 mtu 1300 down`,
    ]) {
      ip(command);
      expect(find()).not.to.deep.equal(before);
      await ensure(...overlay);
      expect(find()).to.deep.equal(before);
      const addresses = JSON.parse(ip(`-j addr show ${gateway}`))[0].addr_info;
      expect(addresses.map(({ local }: { local: string }) => local)).to.have.members([
        "10.1.0.1",
        "fd00:1::1",
        "fe80::1",
      ]);
    }
    expect(linkJson("mine")).to.equal(undefined);
  });

  it("of an endpoint that comes again while its earlier ones wait for deletion are new", async () => {
    await fixture.make();
    const before = linkInside(port).ifindex;
    await ensure(...planInnerVethRemoval(network, endpoint, null));
    expect(linkInside(port)).to.equal(undefined);
    await ensure(...veth);
    expect(linkInside(port).ifindex).not.to.equal(before);
    expect(linkJson(container).ifalias).to.equal(`tsnet:peer:${endpoint.id}`);
  });
});
