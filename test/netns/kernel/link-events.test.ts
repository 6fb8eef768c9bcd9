import { execFileSync } from "node:child_process";
import { expect } from "chai";
import { LinkEvents } from "../../../src/kernel/events.ts";
import { expectNoLeftovers, ip } from "../../support/netns.ts";

const noPaths = { getPath: () => expect.fail("nobody is followed") };

describe("link events", () => {
  expectNoLeftovers(() => {
    for (const name of ["docker0", "br-user"]) ip(`link del ${name}`);
  });

  it("misses nothing of what comes after it has said that messages were lost", () => {
    ip("link add br-user type bridge");
    const events = new LinkEvents(noPaths);
    try {
      const changes = Array.from({ length: 6000 }, (_, n) => `link set br-user mtu ${1400 + (n % 2)}\n`);
      execFileSync("ip", ["-batch", "-"], { input: changes.join("") });
      expect(events.read()).to.deep.equal([{ what: "everything" }]);
      ip("link add docker0 type bridge");
      expect(events.read().map((change) => change.what === "link" && change.link.name)).to.deep.equal(["docker0"]);
      execFileSync("ip", ["-batch", "-"], { input: changes.join("") });
      expect(events.read()).to.deep.equal([{ what: "everything" }]);
      ip("addr add 192.0.2.1/24 dev docker0");
      ip("addr del 192.0.2.1/24 dev docker0");
      expect(events.read()).to.deep.equal([{ what: "addresses" }]);
      ip("link set docker0 mtu 1400");
      ip("link set docker0 mtu 1500");
      expect(events.read().map((change) => change.what)).to.deep.equal(["link"]);
    } finally {
      events.close();
    }
  });
});
