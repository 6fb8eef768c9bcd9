import { expect } from "chai";
import { parseVlanName } from "../../../src/net/vlan.ts";

const format = "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received";
const unparsable = (id: string): string => `unable to parse a valid vlan id from: ${id} (ex. eth0.10 for vlan 10)`;

const refused: [name: string, message: string][] = [
  ["eth0", `${format} eth0`],
  ["eth0.10.20", `${format} eth0.10.20`],
  [".10", `${format} .10`],
  ["", `${format} `],
  ["eth0.", unparsable("")],
  ["eth0.x", unparsable("x")],
  ["eth0.1e1", unparsable("1e1")],
  ["eth0.-1", unparsable("-1")],
  ["eth0.0", "vlan id must be between 1-4094, received: 0"],
  ["eth0.4095", "vlan id must be between 1-4094, received: 4095"],
  ["eth0.99999999999", "vlan id must be between 1-4094, received: 99999999999"],
];

describe("the name of a VLAN's link", () => {
  it("is a link and the ID", () => {
    expect(parseVlanName("eth0.1")).to.deep.equal({ base: "eth0", vlanId: 1 });
    expect(parseVlanName("br-lan.4094")).to.deep.equal({ base: "br-lan", vlanId: 4094 });
    expect(parseVlanName("eth0.010")).to.deep.equal({ base: "eth0", vlanId: 10 });
  });

  for (const [name, message] of refused) {
    it(`is not ${JSON.stringify(name)}, in Docker's words`, () => {
      expect(() => parseVlanName(name))
        .to.throw()
        .that.includes({ code: "invalid", message });
    });
  }
});
