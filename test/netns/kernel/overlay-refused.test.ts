/** One host's bad record, or a link that is gone, takes nothing from the others. */
import { expect } from "chai";
import type { TsnetError } from "../../../src/errors.ts";
import { planVxlan } from "../../../src/plan/overlay.ts";
import { ensurePlaces, remotePlace, removePlaces, setFloodList } from "../../../src/plan/overlay-places.ts";
import { entries, inside, names, network, remote, underlay, useOverlay } from "../../support/overlay-links.ts";

const { namespace, vxlan } = names;
const place = (n: number) => remotePlace(network, remote(n));
/** A host of the other family than the tunnel's, and one whose address is none. */
const [otherFamily, noAddress] = [
  { ...place(77), vtep: "fd00:9::77" },
  { ...place(78), vtep: "1.2.3" },
];
const refused = `forwarding entry ${otherFamily.mac} at host fd00:9::77: RTM_NEWNEIGH: EAFNOSUPPORT`;

describe("entries that cannot be put", () => {
  const fixture = useOverlay();
  const { ensure, failure } = fixture;
  beforeEach(() => fixture.make());

  const repair = (): Promise<readonly string[]> => fixture.namespaces.open(namespace).repairEntries(true);
  const repairFailure = (): Promise<TsnetError> =>
    repair().then(
      () => expect.fail("nothing failed"),
      (error) => error,
    );
  const lines = (text: string): string[] => entries().filter((line) => line.includes(text));
  /** How many of the places of other hosts are all there. */
  const whole = (): number => lines(" dst ").filter((line) => !line.startsWith("00:00")).length;

  it("are named, and the others are put", async () => {
    const { errno, message } = await failure(ensurePlaces(network, [place(1), otherFamily, place(2)]));
    expect(errno).to.equal("EAFNOSUPPORT");
    expect(message).to.include(refused);
    expect(whole()).to.equal(2);
    const { code, message: text } = await failure(ensurePlaces(network, [place(3), noAddress, place(4)]));
    expect({ code, text }).to.deep.equal({
      code: "invalid",
      text: `in-namespace ${namespace} ensure-places: expected an IP address, got "1.2.3"`,
    });
    expect(whole()).to.equal(4);
  });

  it("keep no other host out of the flood list", async () => {
    for (const bad of ["fd00:9::77", "1.2.3"]) {
      await failure(setFloodList(network, ["192.168.9.3", bad, "192.168.9.4"]));
      expect(lines("00:00:00:00:00:00").map((line) => line.split(" ")[4])).to.deep.equal([
        "192.168.9.3",
        "192.168.9.4",
      ]);
      await ensure(setFloodList(network, []));
    }
  });

  it("keep no other from being repaired, in whichever batch it is", async () => {
    const many = Array.from({ length: 1200 }, (_, n) => place(n + 100));
    await failure(ensurePlaces(network, [otherFamily, ...many]));
    expect(whole()).to.equal(1200);
    inside(`link del ${vxlan}`);
    expect(whole()).to.equal(0);
    await ensure(planVxlan(network, underlay));
    const { errno, message } = await repairFailure();
    expect({ errno, message }).to.deep.equal({ errno: "EAFNOSUPPORT", message: refused.split(": RTM")[0] });
    expect(whole()).to.equal(1200);
    await ensure(removePlaces(network, [otherFamily.mac]));
    expect(await repair()).to.deep.equal([]);
  });

  it("for want of the link are put by the next repair, all of them", async () => {
    inside(`link del ${vxlan}`);
    const { errno, message } = await failure(ensurePlaces(network, [place(1), place(2)]));
    expect({ errno, message }).to.deep.equal({
      errno: "ENODEV",
      message: `in-namespace ${namespace} ensure-places: RTM_GETLINK: ENODEV No such device: the VXLAN link`,
    });
    await failure(setFloodList(network, ["192.168.9.3"]));
    await ensure(planVxlan(network, underlay));
    expect(await repair()).to.have.length(2 * 2 + 1);
    expect(whole()).to.equal(2);
    expect(lines("dst 192.168.9.3 self")).to.have.length(1 + 1);
  });

  it("for want of the link leave what was removed meanwhile removed", async () => {
    await ensure(ensurePlaces(network, [place(1), place(2)]));
    inside(`link del ${vxlan}`);
    await ensure(removePlaces(network, [place(1).mac]));
    await ensure(planVxlan(network, underlay));
    expect(await repair()).to.have.length(2);
    expect(lines(place(1).mac)).to.deep.equal([]);
    expect(whole()).to.equal(1);
  });
});
