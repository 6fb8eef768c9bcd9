import { expect } from "chai";
import { TsnetError } from "../../../src/errors.ts";
import { useAdmin } from "../../support/admin.ts";
import { endpointAnswerOf, failedAnswerOf, networkAnswerOf } from "../../support/link-answers.ts";
import { idOf } from "../../support/values.ts";

describe("the admin API, of networks and endpoints", () => {
  const { open, ask } = useAdmin();
  let asked: (string | null)[];
  beforeEach(async () => {
    asked = [];
    await open({
      links: {
        async *networks() {
          yield [networkAnswerOf()];
          yield [networkAnswerOf({ id: idOf("b2") })];
        },
        failedNetworks: () => [failedAnswerOf()],
        async *endpoints(network) {
          asked.push(network);
          if (network === "b9") throw new TsnetError("not-found", "network=b9: no such network");
          yield [endpointAnswerOf()];
          yield [endpointAnswerOf({ id: idOf("e2") })];
        },
      },
    });
  });

  it("lists networks, in however many parts they come, and those that could not be allocated", async () => {
    const networks = [networkAnswerOf(), networkAnswerOf({ id: idOf("b2") })];
    const failed = [failedAnswerOf()];
    expect(await ask("/v1/networks")).to.deep.equal({ status: 200, body: { networks, failed } });
  });

  it("lists endpoints, of all networks or of one", async () => {
    const answer = { status: 200, body: { endpoints: [endpointAnswerOf(), endpointAnswerOf({ id: idOf("e2") })] } };
    expect(await ask("/v1/endpoints")).to.deep.equal(answer);
    expect(await ask(`/v1/endpoints?network=${idOf("b1")}`)).to.deep.equal(answer);
    expect(asked).to.deep.equal([null, idOf("b1")]);
  });

  const wrong: [path: string, status: number, error: string][] = [
    ["/v1/networks?network=b1", 400, "network: unknown parameter; known: none"],
    ["/v1/endpoints?net=b1", 400, "net: unknown parameter; known: network"],
    ["/v1/endpoints?network=b1&network=b2", 400, "network: expected one value"],
    ["/v1/endpoints?network=", 400, "network: expected a full ID, as GET /v1/networks has them"],
    ["/v1/endpoints?network=b9", 404, "network=b9: no such network"],
  ];
  for (const [path, status, error] of wrong) {
    it(`answers GET ${path} with status ${status}`, async () => {
      expect(await ask(path)).to.deep.equal({ status, body: { error } });
    });
  }
});
