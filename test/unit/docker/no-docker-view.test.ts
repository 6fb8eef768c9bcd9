import { expect } from "chai";
import { NoDockerView } from "../../../src/docker/no-docker-view.ts";
import { TestLog } from "../../support/driver.ts";

describe("Docker, where it is not to be asked", () => {
  it("is nobody, and the log says once what is lost", async () => {
    const log = new TestLog();
    const view = new NoDockerView(log);
    view.start();
    expect([view.networks(), await view.refresh(), await view.containersIn()]).to.deep.equal([null, null, null]);
    expect(log.lines).to.have.length(1);
    expect(log.lines[0]).to.match(/^warn: TSNET_DOCKER_SOCKET=none: .+virtual IPs/);
    await view.stop();
  });
});
