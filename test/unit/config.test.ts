import { expect } from "chai";
import { parseConfig } from "../../src/config.ts";

describe("the settings", () => {
  const defaults = {
    socket: "/run/docker/plugins/tsnet.sock",
    adminSocket: "/run/docker/tsnet/admin.sock",
    stateDir: "/var/lib/tsnet",
    logLevel: "info",
    scope: "local",
    mark: 0x0100_0000,
  };

  it("have defaults, also where they are empty, and other variables do not matter", () => {
    expect(parseConfig({})).to.deep.equal(defaults);
    expect(parseConfig({ TSNET_SCOPE: "", TSNET_MARK: "", PATH: "/bin", HOME: undefined })).to.deep.equal(defaults);
  });

  it("are taken from the environment", () => {
    const environment = {
      TSNET_SOCKET: "/a",
      TSNET_ADMIN_SOCKET: "/c",
      TSNET_STATE_DIR: "/b",
      TSNET_LOG_LEVEL: "debug",
      TSNET_SCOPE: "global",
      TSNET_MARK: "0x80000000",
    };
    expect(parseConfig(environment)).to.deep.equal({
      socket: "/a",
      adminSocket: "/c",
      stateDir: "/b",
      logLevel: "debug",
      scope: "global",
      mark: 0x8000_0000,
    });
    expect(parseConfig({ TSNET_MARK: "1" }).mark).to.equal(1);
  });

  it("that are wrong are all named at once, with what was expected", () => {
    const environment = {
      TSNET_SOCKET: "tsnet.sock",
      TSNET_ADMIN_SOCKET: "admin.sock",
      TSNET_STATE_DIR: "./x",
      TSNET_LOG_LEVEL: "loud",
      TSNET_SCOPE: "swarm",
      TSNET_MARK: "3",
      TSNET_SPEED: "1",
    };
    const known = "TSNET_SOCKET, TSNET_ADMIN_SOCKET, TSNET_STATE_DIR, TSNET_LOG_LEVEL, TSNET_SCOPE, TSNET_MARK";
    expect(messages(environment)).to.deep.equal([
      "TSNET_SOCKET=tsnet.sock: expected an absolute path",
      "TSNET_ADMIN_SOCKET=admin.sock: expected an absolute path",
      "TSNET_STATE_DIR=./x: expected an absolute path",
      "TSNET_LOG_LEVEL=loud: expected one of trace, debug, info, warn, error, fatal",
      "TSNET_SCOPE=swarm: expected one of local, global",
      "TSNET_MARK=3: expected a number with one bit set, such as 0x01000000",
      `TSNET_SPEED is no setting of tsnet; known: ${known}`,
    ]);
  });

  for (const mark of ["0", "0x0", "-1", "0x100000000", "4294967296", "1.5", "0b1", "1e3", "x", "0x3"]) {
    it(`do not take ${mark} for a mark`, () => {
      expect(messages({ TSNET_MARK: mark })).to.deep.equal([
        `TSNET_MARK=${mark}: expected a number with one bit set, such as 0x01000000`,
      ]);
    });
  }

  function messages(environment: Record<string, string>): string[] {
    try {
      parseConfig(environment);
    } catch (error) {
      expect(error).to.be.instanceOf(AggregateError);
      return (error as AggregateError).errors.map(({ message }: Error) => message);
    }
    return [];
  }
});
