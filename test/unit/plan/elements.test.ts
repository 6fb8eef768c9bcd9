import { expect } from "chai";
import { differenceBetween, type Element } from "../../../src/plan/elements.ts";
import type { Elements } from "../../../src/plan/observed.ts";

const of = (...pairs: [key: string, data: string][]): Elements => ({ map: Object.fromEntries(pairs) });
const [A, B, C] = [of(["80", "a"]), of(["80", "b"]), of(["80", "c"])];
const none: Elements = {};
const both = (elements: Elements, leaving = none) => ({ wanted: elements, leaving });
const [a, b, c]: Element[] = [
  ["map", "80", "a"],
  ["map", "80", "b"],
  ["map", "80", "c"],
];
const nothing = { add: [], remove: [] };

describe("what is wrong with a table, by two looks at the records", () => {
  it("is what is not there, or is there, or is another, where the records stay as they are", () => {
    expect(differenceBetween(both(A), both(A), A)).to.deep.equal(nothing);
    expect(differenceBetween(both(A), both(A), none)).to.deep.equal({ add: [a], remove: [] });
    expect(differenceBetween(both(none), both(none), A)).to.deep.equal({ add: [], remove: [a] });
    expect(differenceBetween(both(A), both(A), C)).to.deep.equal({ add: [a], remove: [c] });
  });

  it("is nothing that a request has added, removed or changed in between, whether it was seen or not", () => {
    for (const observed of [none, A]) {
      expect(differenceBetween(both(none), both(A), observed)).to.deep.equal(nothing);
      expect(differenceBetween(both(A), both(none), observed)).to.deep.equal(nothing);
    }
    for (const observed of [A, B]) expect(differenceBetween(both(A), both(B), observed)).to.deep.equal(nothing);
    expect(differenceBetween(both(A), both(B), C)).to.deep.equal({ add: [], remove: [c] });
  });

  it("is nothing that is on its way out, before or after", () => {
    expect(differenceBetween(both(none, A), both(none), A)).to.deep.equal(nothing);
    expect(differenceBetween(both(none), both(none, A), A)).to.deep.equal(nothing);
    expect(differenceBetween(both(B, A), both(B, A), none)).to.deep.equal({ add: [b], remove: [] });
  });
});
