import { chmod, mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { type AdminNeeds, createAdminApp } from "../../../src/api/admin.ts";
import { listen } from "../../../src/api/server.ts";
import type { PublishedPort } from "../../../src/driver/report-answers.ts";
import type { ExplainQuery } from "../../../src/driver/report-explain.ts";
import { explain, TsnetError } from "../../../src/errors.ts";
import { log, nothing, useAdmin } from "../../support/admin.ts";
import { post } from "../../support/wire.ts";

const portOf = (hostPort: number): PublishedPort => ({
  ...{ protocol: "tcp", hostAddress: "0.0.0.0", hostPort, count: 1, containerAddress: "172.18.0.2", containerPort: 80 },
  ...{ network: "a1", endpoint: "e1", servedBy: "kernel", connections: 1, packets: 2, bytes: 3 },
});

describe("the admin API", () => {
  const { open: openAdmin, read, ask, socket, directory, server } = useAdmin();
  let asked: ExplainQuery[];

  /** Opens it on a report of which a test gives what matters to it. */
  function open(report: Partial<AdminNeeds["report"]>, ready?: Promise<void>): Promise<void> {
    const explain: AdminNeeds["report"]["explain"] = async (query) => {
      asked.push(query);
      return { protocol: query.protocol, port: query.port, from: query.from?.text ?? null, answers: [] };
    };
    return openAdmin({ report: { ...nothing.report, explain, ...report } }, ready);
  }

  beforeEach(() => {
    asked = [];
  });

  it("has a socket and a directory for its owner only", async () => {
    await open({});
    expect((await stat(join(directory(), "tsnet"))).mode & 0o777).to.equal(0o700);
    expect((await stat(socket())).mode & 0o777).to.equal(0o600);
  });

  it("is not taken from a plugin that lives, and the setting is named", async () => {
    await open({});
    const app = createAdminApp({ ...nothing, ready: Promise.resolve(), log });
    expect(await listen(app, socket(), "TSNET_ADMIN_SOCKET").catch(explain)).to.equal(
      `another program is answering on ${socket()}; stop it or set TSNET_ADMIN_SOCKET`,
    );
  });

  it("leaves the mode of a directory that was there as it is", async () => {
    await mkdir(join(directory(), "tsnet"));
    await chmod(join(directory(), "tsnet"), 0o750);
    await open({});
    expect((await stat(join(directory(), "tsnet"))).mode & 0o777).to.equal(0o750);
  });

  it("lists ports, in however many parts they come", async () => {
    const parts: number[][][] = [[], [[]], [[], []], [[1]], [[], [1, 2], [], [3]]];
    let given: number[][] = [];
    await open({
      async *ports() {
        for (const part of given) yield part.map(portOf);
      },
    });
    for (given of parts) {
      expect(await ask("/v1/ports")).to.deep.equal({ status: 200, body: { ports: given.flat().map(portOf) } });
    }
  });

  it("breaks an answer off that it cannot finish, so that nobody takes a part for the whole", async () => {
    await open({
      async *ports() {
        yield [portOf(1)];
        throw new Error("gone");
      },
    });
    expect(
      await read("/v1/ports").then(
        () => "an answer",
        () => "an error",
      ),
    ).to.equal("an error");
  });

  it("passes an explanation's question on, with tcp as the default", async () => {
    await open({});
    expect(await ask("/v1/firewall/explain?port=53&protocol=udp&from=2001:DB8::0:1")).to.deep.equal({
      status: 200,
      body: { protocol: "udp", port: 53, from: "2001:db8::1", answers: [] },
    });
    await ask("/v1/firewall/explain?port=80&to=192.0.2.1");
    expect(asked[1]).to.deep.include({ protocol: "tcp", port: 80, from: null });
    expect(asked[1]?.to?.text).to.equal("192.0.2.1");
  });

  const known =
    "there is GET of /v1/networks, /v1/endpoints, /v1/ports, /v1/firewall, /v1/firewall/explain, /v1/ipam, " +
    "/v1/ipam/leases, /v1/ipam/check, /v1/hosts, /v1/doctor, /v1/services, and POST of /v1/ipam/check and /v1/hosts/remove";
  const wrong: [path: string, status: number, error: string][] = [
    ["/v1/firewall/explain", 400, "port=: expected a number from 1 to 65535"],
    ["/v1/firewall/explain?port=0", 400, "port=0: expected a number from 1 to 65535"],
    ["/v1/firewall/explain?port=65536", 400, "port=65536: expected a number from 1 to 65535"],
    ["/v1/firewall/explain?port=8e1", 400, "port=8e1: expected a number from 1 to 65535"],
    ["/v1/firewall/explain?port=80&protocol=icmp", 400, "protocol=icmp: expected one of tcp, udp, sctp"],
    ["/v1/firewall/explain?port=80&from=here", 400, 'from=here: expected an IP address, got "here"'],
    ["/v1/firewall/explain?port=80&port=81", 400, "port: expected one value"],
    ["/v1/firewall/explain?port=80&form=::1", 400, "form: unknown parameter; known: port, protocol, from, to"],
    ["/v1/ports?verbose=1", 400, "verbose: unknown parameter; known: none"],
    ["/v1/firewall?verbose=1", 400, "verbose: unknown parameter; known: none"],
    ["/v1/nothing", 404, `GET /v1/nothing: ${known}`],
  ];
  for (const [path, status, error] of wrong) {
    it(`answers GET ${path} with status ${status}`, async () => {
      await open({});
      expect(await ask(path)).to.deep.equal({ status, body: { error } });
    });
  }

  it("answers an error of the kernel with its whole chain, and a POST with what there is", async () => {
    const cause = new TsnetError("kernel", "nft: EPERM");
    await open({ firewall: () => Promise.reject(new TsnetError("kernel", "observe", { cause })) });
    expect(await ask("/v1/firewall")).to.deep.equal({ status: 500, body: { error: "observe: nft: EPERM" } });
    expect(await post(socket(), "/v1/ports", "")).to.have.property("status", 404);
  });

  it("asks nothing before the state is restored", async () => {
    const ready = Promise.withResolvers<void>();
    let restored = false;
    const askedAfter: boolean[] = [];
    await open(
      {
        async *ports() {
          askedAfter.push(restored);
          yield [];
        },
      },
      ready.promise,
    );
    const answer = ask("/v1/ports");
    await new Promise<void>((resolve) => server().once("request", () => resolve()));
    restored = true;
    ready.resolve();
    expect(await answer).to.have.property("status", 200);
    expect(askedAfter).to.deep.equal([true]);
  });
});
