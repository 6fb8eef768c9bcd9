import { expect } from "chai";
import { architectureOf } from "../../../plugin/stage.ts";

describe("an architecture of the plugin", () => {
  it("is one of Docker's names", () => {
    expect(["amd64", "arm64"].map(architectureOf)).to.deep.equal(["amd64", "arm64"]);
  });

  for (const word of ["x64", "", "constructor"])
    it(`is not ${JSON.stringify(word)}`, () => {
      expect(() => architectureOf(word)).to.throw(`--arch ${word}: expected one of amd64, arm64`);
    });
});
