import { expect } from "chai";
import { isDraining, judgeTasks, keepTasks, type TaskStates } from "../../../src/plan/draining.ts";
import type { GossipTask } from "../../../src/plan/gossip.ts";

/** "a1" is the endpoint "a" with the address 10.5.0.1. */
const tasks = (...texts: readonly string[]): GossipTask[] =>
  texts.map((text) => ({ name: `web.${text}`, endpoint: text.slice(0, 1), ip: `10.5.0.${text.slice(1)}` }));
const answer = (...ends: readonly number[]): Set<string> => new Set(ends.map((end) => `10.5.0.${end}`));
const none: TaskStates = new Map();

/** What is known after these answers, while the same tasks are listed. */
const statesAfter = (listed: readonly GossipTask[], ...answers: readonly Set<string>[]): TaskStates =>
  answers.reduce((states, addresses) => judgeTasks(states, listed, addresses) ?? states, none);

describe("which tasks are draining", () => {
  const both = tasks("a1", "b2");

  it("is what was found once and is not found any more", () => {
    const states = statesAfter(both, answer(1, 2), answer(2));
    expect([...states]).to.deep.equal([
      ["a", "draining"],
      ["b", "active"],
    ]);
    expect(isDraining(states, both, "10.5.0.1")).to.equal(true);
    expect(isDraining(states, both, "10.5.0.2")).to.equal(false);
  });

  it("is not yet what is listed and was never found: it may be new; twice, it is", () => {
    const once = statesAfter(both, answer(2));
    expect(isDraining(once, both, "10.5.0.1")).to.equal(false);
    const twice = statesAfter(both, answer(2), answer(2));
    expect(isDraining(twice, both, "10.5.0.1")).to.equal(true);
  });

  it("ends when it is found again", () => {
    const states = statesAfter(both, answer(1, 2), answer(2), answer(1, 2));
    expect(isDraining(states, both, "10.5.0.1")).to.equal(false);
  });

  it("is not said by an answer that has none of the tasks", () => {
    for (const addresses of [answer(), answer(9)]) expect(judgeTasks(none, both, addresses)).to.equal(null);
  });

  it("is not what nobody has looked up", () => {
    const states = statesAfter(both, answer(1, 2), answer(2));
    expect(isDraining(states, tasks("a1", "b2", "c3"), "10.5.0.3")).to.equal(false);
    expect(isDraining(states, both, "10.5.0.9")).to.equal(false);
    expect(isDraining(none, both, "10.5.0.1")).to.equal(false);
  });

  it("is never all that is listed: when the others have gone meanwhile, connections go there", () => {
    const states = statesAfter(both, answer(1, 2), answer(2));
    expect(isDraining(states, tasks("a1"), "10.5.0.1")).to.equal(false);
  });

  it("is said of an endpoint, and not of its address", () => {
    const states = statesAfter(both, answer(1, 2), answer(2));
    expect(isDraining(states, tasks("b2", "c1"), "10.5.0.1")).to.equal(false);
    // while both are listed, the address is the new one's as well
    expect(isDraining(states, tasks("a1", "b2", "c1"), "10.5.0.1")).to.equal(false);
  });

  it("is forgotten with what is not listed any more", () => {
    const states = statesAfter(both, answer(1, 2), answer(2));
    expect([...keepTasks(states, tasks("b2", "c3"))]).to.deep.equal([["b", "active"]]);
  });
});
