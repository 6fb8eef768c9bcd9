import { expect } from "chai";
import type { ServiceAnswer } from "../../../src/driver/report-service-answers.ts";
import { useAdmin } from "../../support/admin.ts";
import { idOf } from "../../support/values.ts";

const serviceOf = (name: string): ServiceAnswer => ({
  ...{ network: idOf("a1"), name, vip: "10.5.0.2", connections: 1 },
  tasks: [{ name: `${name}.1.x`, address: "10.5.0.3", isHere: true, state: "active", connections: 1 }],
});

describe("the admin API, of services", () => {
  const { open, ask } = useAdmin();
  beforeEach(() =>
    open({
      services: {
        async *services() {
          yield [serviceOf("web")];
          yield [serviceOf("api")];
        },
      },
    }),
  );

  it("lists services, in however many parts they come", async () => {
    const services = [serviceOf("web"), serviceOf("api")];
    expect(await ask("/v1/services")).to.deep.equal({ status: 200, body: { services } });
  });

  it("refuses parameters", async () => {
    const error = "service: unknown parameter; known: none";
    expect(await ask("/v1/services?service=web")).to.deep.equal({ status: 400, body: { error } });
  });
});
