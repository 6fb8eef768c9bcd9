import { expect } from "chai";
import type { HostAnswer } from "../../../src/driver/overlay/host-answers.ts";
import { TsnetError } from "../../../src/errors.ts";
import { useAdmin } from "../../support/admin.ts";
import { post } from "../../support/wire.ts";

const host: HostAnswer = {
  ...{ id: "4f2a90c1d2e3", name: "web-1", address: "192.0.2.7", lastSeen: "2026-01-01T00:00:00.000Z" },
  ...{ networks: 1, endpoints: 2, addresses: 3, isThis: true },
};

describe("the admin API, of hosts", () => {
  const { open, ask, socket } = useAdmin();
  let removed: unknown[];

  beforeEach(async () => {
    removed = [];
    await open({
      hosts: {
        hosts: () => ({ hosts: [host] }),
        async remove(wanted, force) {
          if (wanted === "none") throw new TsnetError("not-found", "none: no such host");
          removed.push([wanted, force]);
          return { id: host.id, name: host.name, endpoints: 2, addresses: 3 };
        },
      },
    });
  });

  it("lists them", async () => {
    expect(await ask("/v1/hosts")).to.deep.equal({ status: 200, body: { hosts: [host] } });
  });

  it("removes one, and says how many endpoints and addresses went", async () => {
    const answer = { status: 200, body: { id: host.id, name: "web-1", endpoints: 2, addresses: 3 } };
    expect(await post(socket(), "/v1/hosts/remove?host=web-1", "")).to.deep.equal(answer);
    expect(await post(socket(), "/v1/hosts/remove?host=4f2a90c1d2e3&force=true", "")).to.deep.equal(answer);
    expect(removed).to.deep.equal([
      ["web-1", false],
      ["4f2a90c1d2e3", true],
    ]);
  });

  const refused: [path: string, status: number, error: RegExp][] = [
    ["/v1/hosts/remove", 400, /^host: expected the name or the ID of a host/],
    ["/v1/hosts/remove?host=a&force=yes", 400, /^force=yes: expected true or false$/],
    ["/v1/hosts/remove?host=a&all=true", 400, /^all: unknown parameter; known: host, force$/],
    ["/v1/hosts/remove?host=none", 404, /^none: no such host$/],
  ];
  for (const [path, status, error] of refused) {
    it(`refuses ${path}`, async () => {
      const answer = await post(socket(), path, "");
      expect(answer.status).to.equal(status);
      expect((answer.body as { error: string }).error).to.match(error);
      expect(removed).to.deep.equal([]);
    });
  }
});
