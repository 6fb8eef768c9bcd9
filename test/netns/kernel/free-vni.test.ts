import { expect } from "chai";
import { TsnetError } from "../../../src/errors.ts";
import { isVniFree } from "../../../src/kernel/free-vni.ts";
import { Rtnetlink } from "../../../src/kernel/netlink/rtnetlink.ts";
import { ip } from "../../support/netns.ts";

/** 0x800123: nobody else's here. */
const vni = 8388899;
const [v4, v6] = ["127.0.0.1", "::1"];

describe("a VNI", () => {
  let rtnetlink: Rtnetlink;
  const isFree = (local = v4, port = 4789): boolean => isVniFree(rtnetlink, { vni, port, local });
  const links = (): string[] => ip("-br link show type vxlan").split("\n").filter(Boolean);

  beforeEach(() => {
    rtnetlink = new Rtnetlink();
  });
  afterEach(() => rtnetlink.close());

  it("is free where no link has it, and asking leaves nothing behind", () => {
    expect(isFree()).to.equal(true);
    expect(isFree(v6)).to.equal(true);
    expect(isFree()).to.equal(true);
    expect(links()).to.deep.equal([]);
  });

  it("is not where a link has it, with the same port and family, in whichever namespace it is by now", () => {
    ip(`link add vx-other type vxlan id ${vni} dstport 4789 local ${v4}`);
    try {
      expect(isFree()).to.equal(false);
      expect(isFree(v4, 4790)).to.equal(true);
      expect(isFree(v6)).to.equal(true);
      ip("netns add hidden");
      ip("link set vx-other netns hidden");
      expect(links()).to.deep.equal([]);
      expect(isFree()).to.equal(false);
      ip("-n hidden link del vx-other");
      expect(isFree()).to.equal(true);
    } finally {
      ip("netns del hidden");
    }
  });

  it("is asked about in vain if the kernel does not make the link, with the reason", () => {
    expect(() => isVniFree(rtnetlink, { vni: 2 ** 24, port: 4789, local: v4 }))
      .to.throw(TsnetError)
      .with.property("message")
      .that.matches(/^RTM_NEWLINK: ERANGE/);
  });
});
