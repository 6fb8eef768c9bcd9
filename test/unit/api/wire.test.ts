/** Requests that real daemons have sent, recorded from three versions of Docker, one of each shape. */
import { readFileSync } from "node:fs";
import { expect } from "chai";
import { type Drivers, type Method, methodsOf } from "../../../src/api/methods.ts";
import { MalformedBody } from "../../../src/api/parse.ts";
import { planBridgeNetwork } from "../../../src/plan/network-request.ts";

type Recorded = Readonly<Record<string, readonly unknown[]>>;

/** Use cases that only say what they were asked for. */
const asked: unknown[] = [];
const note = (): unknown =>
  new Proxy(
    {},
    {
      get:
        () =>
        async (...values: unknown[]) =>
          void asked.push(values),
    },
  );
const methods: Readonly<Record<string, Method>> = methodsOf({
  networks: note(),
  ipam: note(),
  endpoints: endpoints(),
  allocations: note(),
  nodes: note(),
  scope: "local",
  requiresMacAddress: false,
} as Drivers);

function endpoints(): unknown {
  return {
    ...Object.fromEntries(
      ["create", "delete", "leave", "publish", "unpublish"].map((name) => [
        name,
        async (...values: unknown[]) => void asked.push(values),
      ]),
    ),
    join: async (...values: unknown[]) => {
      asked.push(values);
      return { onLink: [] };
    },
    operInfo: () => ({}),
  };
}

/** The options that the recording plugin had of its own, and this one refuses. */
const foreign = /^Options: unknown endpoint option /;

for (const version of ["20.10.24", "26.1.5", "28.5.2"]) {
  const file = new URL(`../../fixtures/wire/${version}.json`, import.meta.url);
  const recorded = JSON.parse(readFileSync(file, "utf8")) as Recorded;

  describe(`what Docker ${version} sends`, () => {
    for (const [name, bodies] of Object.entries(recorded)) {
      it(`is read: ${name}`, async () => {
        expect(bodies.length).to.be.greaterThan(0);
        for (const body of bodies) {
          const answer = await run(name, body).catch((error: unknown) => error);
          if (answer instanceof MalformedBody && foreign.test(answer.message)) continue;
          expect(answer, JSON.stringify(body)).to.be.an("object").that.is.not.instanceOf(Error);
        }
      });
    }

    it("tells with Join already which ports are published", async () => {
      asked.length = 0;
      for (const body of recorded["NetworkDriver.Join"] ?? []) await run("NetworkDriver.Join", body);
      const published = {
        tcp: { protocol: "tcp", containerPort: 80, hostAddress: "", hostPort: 8080, hostPortEnd: 8080 },
        udp: { protocol: "udp", containerPort: 53, hostAddress: "127.0.0.1", hostPort: 5353, hostPortEnd: 5353 },
      };
      const ports = asked.map((values) => (values as unknown[])[3]);
      expect(ports).to.deep.include([]).and.to.deep.include([published.tcp, published.udp]);
    });

    it("makes networks, but for the options and subnets that only the recording plugin took", async () => {
      asked.length = 0;
      for (const body of recorded["NetworkDriver.CreateNetwork"] ?? []) await run("NetworkDriver.CreateNetwork", body);
      const outcomes = asked.map((values) => {
        try {
          return planBridgeNetwork((values as Parameters<typeof planBridgeNetwork>)[0]).network.mode;
        } catch (error) {
          return (error as Error).message;
        }
      });
      expect(outcomes).to.include("bridge");
      const refusals = outcomes.filter((outcome) => outcome !== "bridge");
      expect(
        refusals.filter(
          (text) =>
            !/^unknown option |: a network that is not internal needs|^IPv[46]Data\[0\].Pool: mode bridge needs a subnet/.test(
              text,
            ),
        ),
      ).to.deep.equal([]);
    });
  });
}

describe("who publishes for IPv6", () => {
  const key = "com.docker.network.driver.private.no_proxy_6to4";
  const both = { NetworkID: "a".repeat(64), EndpointID: "b".repeat(64) };
  const published = async (Options: object | null): Promise<unknown> => {
    asked.length = 0;
    await run("NetworkDriver.ProgramExternalConnectivity", { ...both, Options });
    return asked[0];
  };

  it("is told by Docker 28, and is this endpoint for those before", async () => {
    const [network, endpoint] = [both.NetworkID, both.EndpointID];
    expect(await published({ [key]: true })).to.deep.equal([network, endpoint, [], true]);
    for (const options of [{ [key]: false }, {}, null]) {
      expect(await published(options)).to.deep.equal([network, endpoint, [], false]);
    }
  });
});

async function run(name: string, body: unknown): Promise<unknown> {
  const method = methods[name];
  if (method === undefined) throw new Error(`no method ${name}`);
  try {
    return await method.run(body ?? undefined, new AbortController().signal);
  } catch (error) {
    // What IPAM answers is made of what its use case gives, and the one here gives nothing.
    if (error instanceof TypeError && name.startsWith("IpamDriver.Request")) return {};
    throw error;
  }
}
