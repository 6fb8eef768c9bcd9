import { expect } from "chai";
import { LinkReport, type LinkReportNeeds } from "../../../src/driver/report-links.ts";
import { explain } from "../../../src/errors.ts";
import { linkAlias } from "../../../src/net/names.ts";
import type { Endpoint, Network } from "../../../src/plan/network.ts";
import { linkOf, macvlanOf } from "../../support/link-answers.ts";
import { endpointOf, idOf, networkOf, overlayOf } from "../../support/values.ts";

const web = networkOf();
const lan = macvlanOf();
const onWeb = endpointOf({ id: idOf("e1"), sandbox: "/run/ns/1" });
const onLan = endpointOf({ id: idOf("e2"), network: lan.id, sandbox: "/run/ns/1" });

/** A host of these records. */
class Lab {
  readonly networks = new Map<string, Network>([web, lan].map((network) => [network.id, network]));
  readonly endpoints = new Map<string, Endpoint>([onWeb, onLan].map((endpoint) => [endpoint.id, endpoint]));
  readonly removing = new Set<string>();
  /** The paths that were asked for, each time. */
  readonly asked: (readonly string[])[] = [];
  /** What is done while the links are observed. */
  meanwhile = (): void => {};

  readonly report = new LinkReport({
    state: {
      network: (id) => this.networks.get(id),
      networks: () => this.networks.values(),
      endpoint: (id) => this.endpoints.get(id),
      endpoints: () => this.endpoints.values(),
      endpointsOf: (id) => [...this.endpoints.values()].filter(({ network }) => network === id),
      removing: this.removing,
    },
    observeLinks: async (paths) => {
      this.asked.push(paths);
      this.meanwhile();
      return this.observed;
    },
    failedNetworks: () => [],
    namespacePath: (name) => `/run/netns/${name}`,
  });
  observed: Awaited<ReturnType<LinkReportNeeds["observeLinks"]>> = {
    links: new Map([["eth1", linkOf("eth1")]]),
    sandboxes: new Map([["/run/ns/1", [linkOf("eth0", { alias: linkAlias("lan", onLan.id) })]]]),
  };
}

async function all<T>(parts: AsyncIterable<readonly T[]>): Promise<T[]> {
  const found: T[] = [];
  for await (const part of parts) found.push(...part);
  return found;
}

describe("the report of networks and endpoints", () => {
  let lab: Lab;
  beforeEach(() => {
    lab = new Lab();
  });
  const networks = () => all(lab.report.networks());
  const endpoints = (network: string | null = null) => all(lab.report.endpoints(network));

  it("lists networks of all modes with the number of their endpoints, and enters no sandbox for it", async () => {
    lab.endpoints.set(idOf("e3"), endpointOf({ id: idOf("e3"), network: lan.id }));
    lab.removing.add(web.id);
    const found = (await networks()).map(({ id, mode, endpoints: count, state }) => [id, mode, count, state]);
    expect(found).to.deep.equal([
      [web.id, "bridge", 1, "removing"],
      [lan.id, "macvlan", 2, "up"],
    ]);
    expect(lab.asked).to.deep.equal([[]]);
  });

  it("lists endpoints of all networks, and enters a sandbox once", async () => {
    lab.endpoints.set(idOf("e3"), endpointOf({ id: idOf("e3"), network: lan.id }));
    lab.removing.add(onWeb.id);
    expect((await endpoints()).map(({ id, mode, link, state }) => [id, mode, link, state])).to.deep.equal([
      [onWeb.id, "bridge", null, "removing"],
      [onLan.id, "macvlan", "eth0", "up"],
      [idOf("e3"), "macvlan", null, "gone"],
    ]);
    expect(lab.asked).to.deep.equal([["/run/ns/1"]]);
  });

  it("lists the endpoints of one network, and says of one that it does not know", async () => {
    expect((await endpoints(lan.id)).map(({ id }) => id)).to.deep.equal([onLan.id]);
    expect(await endpoints("b1").catch(explain)).to.equal(
      "network=b1: no such network; GET /v1/networks has the full IDs",
    );
  });

  it("enters the namespace of each overlay network, for the network and for its endpoints", async () => {
    const mesh = overlayOf({ "tsnet.vni": "4097" }, { id: idOf("d1") });
    const path = "/run/netns/tsnet-d1000000000";
    lab.networks.set(mesh.id, mesh);
    lab.endpoints.set(idOf("e4"), endpointOf({ id: idOf("e4"), network: mesh.id, sandbox: "/run/ns/4" }));
    const alias = linkAlias("peer", idOf("e4"));
    const pair = linkOf("tsv-e4000000000", { master: 1, alias: linkAlias("veth", idOf("e4")) });
    const inside = ["tsb-d1000000000", "tsx-d1000000000", "tsu-d1000000000"].map((name) => linkOf(name));
    lab.observed = {
      links: new Map([["tsg-d1000000000", linkOf("tsg-d1000000000")]]),
      sandboxes: new Map([
        [path, [...inside, pair]],
        ["/run/ns/4", [linkOf("eth0", { alias })]],
      ]),
    };
    expect((await networks()).at(-1)).to.include({ id: mesh.id, vni: 4097, endpoints: 1, state: "up", mtuBytes: 1500 });
    expect(lab.asked.pop()).to.deep.equal([path]);
    expect(await endpoints(mesh.id)).to.deep.include({
      ...{ id: idOf("e4"), network: mesh.id, mode: "overlay", linkMode: null, ipvlanFlag: null, vlan: null },
      ...{ parent: "tsnet-d1000000000", vni: 4097, mac: "02:42:ac:12:00:02", macIsParents: false },
      ...{ addresses: ["172.18.0.2/16"], sandbox: "/run/ns/4", link: "eth0", mtuBytes: 1500 },
      ...{ hostLink: "tsv-e4000000000", state: "up" },
    });
    expect(lab.asked.pop()).to.deep.equal(["/run/ns/4", path]);
  });

  it("leaves out what is gone when the links have been seen, and what has come since", async () => {
    lab.meanwhile = () => {
      lab.networks.delete(web.id);
      lab.endpoints.delete(onWeb.id);
      lab.networks.set(idOf("c1"), macvlanOf({ id: idOf("c1") }));
      lab.endpoints.set(idOf("e3"), endpointOf({ id: idOf("e3"), network: lan.id }));
    };
    expect((await networks()).map(({ id }) => id)).to.deep.equal([lan.id]);
    lab = new Lab();
    lab.meanwhile = () => {
      lab.endpoints.delete(onWeb.id);
      lab.endpoints.set(idOf("e3"), endpointOf({ id: idOf("e3"), network: lan.id }));
    };
    expect((await endpoints()).map(({ id }) => id)).to.deep.equal([onLan.id]);
  });

  it("of 20,000 endpoints lets others run every few milliseconds", async () => {
    const parent = { name: "vlan7", kind: "link" as const };
    lab.networks.set(lan.id, macvlanOf({ parent }));
    const links = new Map([["vlan7", linkOf("vlan7", { vlanId: 7, lower: 9 })]]);
    for (let n = 0; n < 20_000; n++) {
      const id = `${n}`.padStart(64, "0");
      lab.endpoints.set(id, endpointOf({ id, network: lan.id, sandbox: `/run/ns/${n}` }));
      links.set(`link${n}`, linkOf(`link${n}`, { index: 10 + n }));
    }
    lab.observed = { links, sandboxes: new Map() };
    let turns = 0;
    const count = (): void => {
      turns++;
      timer = setImmediate(count);
    };
    let timer = setImmediate(count);
    const found = await endpoints();
    clearImmediate(timer);
    expect(found).to.have.length(20_002);
    expect(turns).to.be.greaterThan(5); // in one turn, they would take 100 ms
  });
});
