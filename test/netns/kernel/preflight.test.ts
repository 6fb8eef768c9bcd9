import { expect } from "chai";
import { missingLinkKind, missingPrerequisites } from "../../../src/kernel/preflight.ts";
import { expectNoLeftovers } from "../../support/netns.ts";

describe("the prerequisites", () => {
  expectNoLeftovers();

  it("are all there on a machine that runs the tests", () => {
    expect(missingPrerequisites()).to.deep.equal([]);
  });

  it("name a kind of link that the kernel does not know", () => {
    const messages = missingLinkKind("nonesuch").map(({ message }) => message);
    expect(messages).to.have.length(1);
    expect(messages[0]).to.match(/^the kernel knows no links of kind nonesuch: load the module/);
  });
});
