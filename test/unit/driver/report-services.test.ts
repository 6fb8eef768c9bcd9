import { expect } from "chai";
import type { ServiceAnswer } from "../../../src/driver/report-service-answers.ts";
import { ServiceReport, type Translated } from "../../../src/driver/report-services.ts";
import type { ListedService } from "../../../src/driver/swarm/services.ts";
import { idOf } from "../../support/values.ts";

const [mesh, other] = [idOf("a1"), idOf("a2")];
const pathOf = (network: string): string => `/run/netns/tsnet-${network.slice(0, 11)}`;

const taskOf = (n: number, values = {}): ListedService["tasks"][number] => ({
  ...{ name: `web.${n}.x`, ip: `10.5.0.1${n}`, isHere: n === 1, state: "active" },
  ...values,
});

const web: ListedService = {
  ...{ network: mesh, service: "web", vip: "10.5.0.2", tasks: [taskOf(1), taskOf(2, { state: "draining" })] },
};

describe("the report of services", () => {
  let asked: (readonly string[])[];
  beforeEach(() => {
    asked = [];
  });

  async function reportOf(served: readonly ListedService[], translated: Translated): Promise<ServiceAnswer[]> {
    const report = new ServiceReport({
      services: { list: () => served },
      observeTranslated: async (paths) => {
        asked.push(paths);
        return translated;
      },
      namespacePath: (name) => `/run/netns/${name}`,
    });
    const found: ServiceAnswer[] = [];
    for await (const part of report.services()) found.push(...part);
    return found;
  }

  it("has each service with its tasks, and the connections to each by the virtual IP", async () => {
    const counts = { "10.5.0.2 10.5.0.11": 3, "10.5.0.2 10.5.0.19": 2, "10.5.0.3 10.5.0.11": 7 };
    expect(await reportOf([web], { [pathOf(mesh)]: counts })).to.deep.equal([
      {
        ...{ network: mesh, name: "web", vip: "10.5.0.2", connections: 5 },
        tasks: [
          { name: "web.1.x", address: "10.5.0.11", isHere: true, state: "active", connections: 3 },
          { name: "web.2.x", address: "10.5.0.12", isHere: false, state: "draining", connections: 0 },
        ],
      },
    ]);
    expect(asked).to.deep.equal([[pathOf(mesh)]]);
  });

  it("counts the connections of each network by themselves, and looks into each namespace once", async () => {
    const served = [web, { ...web, service: "api", vip: "10.5.0.3" }, { ...web, network: other }];
    const translated = {
      [pathOf(mesh)]: { "10.5.0.2 10.5.0.11": 1, "10.5.0.3 10.5.0.11": 2 },
      [pathOf(other)]: { "10.5.0.2 10.5.0.11": 4 },
    };
    const found = await reportOf(served, translated);
    expect(found.map(({ connections }) => connections)).to.deep.equal([1, 2, 4]);
    expect(found.map(({ tasks }) => tasks[0]?.connections)).to.deep.equal([1, 2, 4]);
    expect(asked).to.deep.equal([[pathOf(mesh), pathOf(other)]]);
  });

  it("says that connections are not known without a virtual IP, or without the namespace", async () => {
    const [names] = await reportOf([{ ...web, vip: null }], {});
    expect([names?.vip, names?.connections, names?.tasks[0]?.connections]).to.deep.equal([null, null, null]);
    expect(asked).to.deep.equal([]);
    const [gone] = await reportOf([web], {});
    expect([gone?.vip, gone?.connections, gone?.tasks[0]?.connections]).to.deep.equal(["10.5.0.2", null, null]);
  });

  it("has nothing where there is nothing", async () => {
    expect(await reportOf([], {})).to.deep.equal([]);
  });
});
