/** A network's links, made by the code under test in the namespace of this process. */
import { expect } from "chai";
import { TsnetError } from "../../src/errors.ts";
import { Addresses } from "../../src/kernel/addresses.ts";
import { apply, type Targets } from "../../src/kernel/apply.ts";
import { DirectRoutes } from "../../src/kernel/direct/direct-routes.ts";
import * as forward from "../../src/kernel/forward.ts";
import { LanLinks } from "../../src/kernel/lan-links.ts";
import { Links } from "../../src/kernel/links.ts";
import { Namespaces } from "../../src/kernel/namespaces.ts";
import { Rtnetlink } from "../../src/kernel/netlink/rtnetlink.ts";
import { OverlayLinks } from "../../src/kernel/overlay-links.ts";
import { OwnLinks } from "../../src/kernel/own-links.ts";
import type { Op } from "../../src/plan/op.ts";
import type { EnsureBridge, EnsureLanLink, EnsureVeth } from "../../src/plan/op-links.ts";
import { expectNoLeftovers, ip, ipJson, linkJson } from "./netns.ts";

export const bridge: EnsureBridge = {
  op: "ensure-bridge",
  name: "tsb-1",
  alias: "tsnet:bridge:1",
  mac: "02:42:ac:12:00:01",
  mtuBytes: 1450,
  nfCall: true,
};

export const veth = (id: number, changes: Partial<EnsureVeth> = {}): EnsureVeth => ({
  op: "ensure-veth",
  name: `tsv-${id}`,
  peer: `tsc-${id}`,
  alias: `tsnet:veth:${id}`,
  peerAlias: `tsnet:peer:${id}`,
  master: "tsb-1",
  mtuBytes: 1450,
  hairpin: false,
  ...changes,
});

export const lanLink = (id: number, changes: Partial<EnsureLanLink> = {}): EnsureLanLink => ({
  op: "ensure-lan-link",
  name: `tsm-${id}`,
  alias: `tsnet:lan:${id}`,
  parent: "p0",
  link: { kind: "macvlan", mode: "bridge" },
  mac: `02:42:0a:09:00:${id.toString(16).padStart(2, "0")}`,
  mtuBytes: null,
  up: false,
  ...changes,
});

export const removal = (name: string, alias: string): Op => ({ op: "remove-links", links: [{ name, alias }] });

export interface LinksFixture {
  /** New for each test. */
  own: OwnLinks;
  /** As above. */
  namespaces: Namespaces;
  ensure(...ops: Op[]): Promise<void>;
  /** The error of the operations. Fails if there is none. */
  failure(...ops: Op[]): Promise<TsnetError>;
}

/** To be called in a describe: its tests begin and end with loopback alone. @param cleanUp what is run after each test before that */
export function useLinks(cleanUp: () => Promise<void> | void = () => {}): LinksFixture {
  let rtnetlink: Rtnetlink;
  let targets: Targets;
  let direct: DirectRoutes;
  const nft = { run: () => expect.fail("no nft here") };
  const conntrack = { forgetFlows: () => expect.fail("no flows here") };
  const fixture: LinksFixture = {
    own: undefined as unknown as OwnLinks, // set before each test
    namespaces: undefined as unknown as Namespaces,
    ensure: (...ops) => apply(ops, targets),
    failure: async (...ops) => {
      const error = await fixture.ensure(...ops).catch((reason: unknown) => reason);
      expect(error).to.be.instanceOf(TsnetError);
      return error as TsnetError;
    },
  };
  expectNoLeftovers(async () => {
    await cleanUp();
    for (const { ifname } of ipJson("link show")) {
      if (ifname !== "lo" && linkJson(ifname)) ip(`link del ${ifname}`);
    }
    fixture.namespaces.close();
    direct.close();
    rtnetlink.close();
  });
  beforeEach(() => {
    rtnetlink = new Rtnetlink();
    const own = new OwnLinks(rtnetlink);
    fixture.own = own;
    const makers = { links: new Links(own), lan: new LanLinks(own), addresses: new Addresses(own) };
    const namespaces = new Namespaces("/run/netns");
    fixture.namespaces = namespaces;
    direct = new DirectRoutes(rtnetlink);
    const overlay = new OverlayLinks(own, namespaces);
    targets = { own, ...makers, namespaces, overlay, direct, nft, conntrack, forward };
  });
  return fixture;
}
