import { expect } from "chai";
import { tasksName } from "../../../src/plan/task-names.ts";

describe("the name of a service's tasks", () => {
  it("is looked for in the network, where its name is known", () => {
    expect(tasksName("web", "backend")).to.equal("tasks.web.backend");
    expect(tasksName("st_API-2", "My_net-work")).to.equal("tasks.st_API-2.My_net-work");
    expect(tasksName("web", null)).to.equal("tasks.web");
  });

  it("is looked for anywhere, where the network's name fits into no question", () => {
    for (const network of ["", "a.b", "a b", "n".repeat(64)]) expect(tasksName("web", network)).to.equal("tasks.web");
  });

  it("is none of what swarm lets be no service", () => {
    const longest = "a".repeat(63);
    expect(tasksName(longest, longest)).to.equal(`tasks.${longest}.${longest}`);
    for (const service of ["1", "a__b", "a--b", "a_b-C"]) expect(tasksName(service, null)).to.equal(`tasks.${service}`);
    for (const service of ["", "_a", "a_", "a-", "-a", "a.b", "ä", "a\0b", "a\n", `${longest}a`])
      expect(tasksName(service, null), service).to.equal(null);
  });
});
