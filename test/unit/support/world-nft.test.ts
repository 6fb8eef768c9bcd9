import { expect } from "chai";
import { tableScript } from "../../../src/plan/firewall-script.ts";
import { WorldNft } from "../../support/world-nft.ts";

const mark = 0x0100_0000;

import { errnoOf } from "../../support/errno.ts";

describe("the interpreter of these tests", () => {
  const installed = (): WorldNft => {
    const nft = new WorldNft();
    nft.run(tableScript({}, mark));
    return nft;
  };
  const wrong: [script: string, errno: string][] = [
    ["flush ruleset\n", "EINVAL"],
    ["add element inet tsnet bridges { eth0 }\n", "EINVAL"],
    ['add element inet tsnet bridges { "a" }; flush ruleset\n', "EINVAL"],
    ['add element inet tsnet bridges { "a"b" }\n', "EINVAL"],
    ["add element inet tsnet port4 { tcp . http : 1.2.3.4 . 80 }\n", "EINVAL"],
    ["add element inet tsnet port4 { tcp . 80 : ::1 . 80 }\n", "EINVAL"],
    ["add element inet tsnet port4 { tcp . 80 }\n", "EINVAL"],
    ["add element inet tsnet masq4 { 10.0.0.1/8 }\n", "EINVAL"],
    ['add element inet tsnet into { ipv4 . "a" : goto nowhere }\n', "ENOENT"],
    ['add element inet tsnet into { 2 . "a" : drop }\n', "EINVAL"],
    ["add element inet tsnet port4 { tcp . 80-81 : 1.2.3.4 . 80 }\n", "EINVAL"],
    ["add element inet tsnet range4 { tcp . 81-80 : 1.2.3.4 }\n", "EINVAL"],
    ["add element inet tsnet range4 { tcp . 80-65536 : 1.2.3.4 }\n", "EINVAL"],
    ["add element inet tsnet range4 { tcp . 80-90 : 1.2.3.4, tcp . 90-91 : 1.2.3.4 }\n", "EEXIST"],
    ["add element inet tsnet open4 { 1.2.3.4 . tcp . 80, 1.2.3.4 . tcp . 79-81 }\n", "EEXIST"],
    ['add element inet tsnet sources4 { "a" . 10.0.0.0/8, "a" . 10.0.0.1 }\n', "EEXIST"],
    ['add element inet tsnet nosuchset { "a" }\n', "ENOENT"],
    ['delete element inet tsnet bridges { "a" }\n', "ENOENT"],
    ["add element inet tsnet masq4 { 10.0.0.0/8 }\nadd element inet tsnet masq4 { 10.1.0.0/16 }\n", "EEXIST"],
  ];
  for (const [script, errno] of wrong) {
    it(`refuses with ${errno}, and changes nothing: ${JSON.stringify(script)}`, () => {
      const nft = installed();
      expect(errnoOf(() => nft.run(`add element inet tsnet bridges { "before" }\n${script}`))).to.equal(errno);
      expect(nft.observe()?.elements).to.deep.equal({});
    });
  }
});
