import { expect } from "chai";
import { parentConflict } from "../../../src/plan/lan-conflicts.ts";
import { idOf, ipvlanOf, macvlanOf, networkOf } from "../../support/values.ts";

const other = { id: idOf("b2") };
const passthru = { macvlan_mode: "passthru" };
const remedy = "; give another parent, or a VLAN of its own";

describe("networks on one parent", () => {
  it("may be several of mode macvlan, also in different modes of the kernel's", () => {
    expect(parentConflict(macvlanOf(), [macvlanOf({}, other), macvlanOf({ macvlan_mode: "vepa" }, other)])).to.equal(
      "",
    );
  });

  it("are none besides one in mode passthru, whichever comes first", () => {
    expect(parentConflict(macvlanOf(passthru), [macvlanOf({}, other)])).to.equal(
      `parent=eth0: cannot use mode passthru, macvlan network ${other.id} is already using parent interface eth0${remedy}`,
    );
    expect(parentConflict(macvlanOf(), [macvlanOf(passthru, other)])).to.equal(
      `parent=eth0: macvlan network ${other.id} is already using parent interface eth0 in mode passthru${remedy}`,
    );
  });

  it("are one only of mode ipvlan", () => {
    expect(parentConflict(ipvlanOf(), [ipvlanOf({ ipvlan_mode: "l3" }, other)])).to.equal(
      `parent=eth0: network ${other.id} is already using parent interface eth0${remedy}`,
    );
  });

  it("are of one mode", () => {
    expect(parentConflict(ipvlanOf(), [macvlanOf({}, other)])).to.equal(
      `parent=eth0: macvlan network ${other.id} is already using parent interface eth0${remedy}`,
    );
    expect(parentConflict(macvlanOf(), [ipvlanOf({}, other)])).to.equal(
      `parent=eth0: ipvlan network ${other.id} is already using parent interface eth0${remedy}`,
    );
  });

  it("are in nobody's way who has another parent or none, nor in their own", () => {
    const others = [ipvlanOf({ parent: "eth1" }, other), ipvlanOf({ parent: "eth0.10" }, other), networkOf(other)];
    expect(parentConflict(macvlanOf(passthru), [...others, macvlanOf(passthru)])).to.equal("");
    expect(parentConflict(ipvlanOf({ parent: "" }), [ipvlanOf({ parent: "" }, other)])).to.equal("");
  });
});
