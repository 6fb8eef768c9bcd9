import { expect } from "chai";
import { parseCommand, UsageError } from "../../../src/cli/arguments.ts";

const socket = "/run/docker/tsnet/admin.sock";
const parse = (line: string, env = {}) =>
  parseCommand(
    line.split(" ").filter((word) => word !== ""),
    env,
  );

describe("the command line of tsnet", () => {
  const understood: [line: string, command: object][] = [
    ["ports", { name: "ports", socket, json: false }],
    ["ports --json --socket /a", { name: "ports", socket: "/a", json: true }],
    ["firewall", { name: "firewall", socket, json: false }],
    ["firewall explain 80", { name: "explain", socket, json: false, query: { port: "80", protocol: "tcp" } }],
    [
      "firewall explain --from ::1 53/udp --to=::1 --json",
      { name: "explain", socket, json: true, query: { port: "53", protocol: "udp", from: "::1", to: "::1" } },
    ],
    ["networks --json", { name: "networks", socket, json: true }],
    ["endpoints", { name: "endpoints", socket, json: false, network: null }],
    ["endpoints --json lan --socket /a", { name: "endpoints", socket: "/a", json: true, network: "lan" }],
    ["hosts --json", { name: "hosts", socket, json: true }],
    ["hosts remove web-1", { name: "hosts remove", socket, json: false, host: "web-1", force: false }],
    ["hosts remove --force web-1", { name: "hosts remove", socket, json: false, host: "web-1", force: true }],
    ["ipam", { name: "ipam", socket, json: false }],
    ["ipam --json", { name: "ipam", socket, json: true }],
    ["ipam show fd00::/64 --json", { name: "ipam show", socket, json: true, pool: "fd00::/64" }],
    ["ipam check", { name: "ipam check", socket, json: false, repair: false }],
    ["ipam check --repair --socket /a", { name: "ipam check", socket: "/a", json: false, repair: true }],
  ];
  for (const [line, command] of understood) {
    it(`understands tsnet ${line}`, () => expect(parse(line)).to.deep.equal(command));
  }

  it("takes the socket from the environment, unless it is given", () => {
    expect(parse("ports", { TSNET_ADMIN_SOCKET: "/e" })).to.have.property("socket", "/e");
    expect(parse("ports", { TSNET_ADMIN_SOCKET: "" })).to.have.property("socket", socket);
    expect(parse("ports --socket=", {})).to.have.property("socket", socket);
    expect(parse("ports --socket /a", { TSNET_ADMIN_SOCKET: "/e" })).to.have.property("socket", "/a");
  });

  const helps: [line: string, usage: string][] = [
    ["", "Usage: tsnet COMMAND"],
    ["--help", "Usage: tsnet COMMAND"],
    ["networks -h", "Usage: tsnet networks [OPTIONS]"],
    ["endpoints lan --help", "Usage: tsnet endpoints [NETWORK]"],
    ["ports -h", "Usage: tsnet ports"],
    ["firewall --help", "Usage: tsnet firewall [OPTIONS]"],
    ["firewall explain --help", "Usage: tsnet firewall explain PORT"],
    ["hosts -h", "Usage: tsnet hosts [OPTIONS]"],
    ["hosts remove --help", "Usage: tsnet hosts remove HOST"],
    ["ipam --help", "Usage: tsnet ipam [OPTIONS]"],
    ["ipam show -h", "Usage: tsnet ipam show POOL"],
    ["ipam check --help", "Usage: tsnet ipam check [--repair]"],
  ];
  for (const [line, usage] of helps) {
    it(`explains itself to tsnet ${line}`, () => {
      const command = parse(line);
      expect(command.name === "help" && command.text).to.satisfy((text: string) => text.startsWith(usage));
    });
  }

  const refused: [line: string, message: string][] = [
    ["prots", 'prots: no such command; "tsnet --help" lists them'],
    ["ports 80", "80: tsnet ports takes no such argument; see --help"],
    ["networks lan", "lan: tsnet networks takes no such argument; see --help"],
    ["hosts remove", "expected one host, by its name or its ID, as tsnet hosts shows them; see --help"],
    ["hosts remove a b", "a b: expected one host, by its name or its ID, as tsnet hosts shows them; see --help"],
    ["hosts web-1", "web-1: tsnet hosts takes no such argument; see --help"],
    ["endpoints lan web", "lan web: expected one network at most, by its name or ID; see --help"],
    ["firewall explian 80", "explian: tsnet firewall takes no such argument; see --help"],
    ["firewall explain", "expected one port, such as 8080/tcp; see --help"],
    ["firewall explain http", "http: expected one port, such as 8080/tcp; see --help"],
    ["firewall explain 80 81", "80 81: expected one port, such as 8080/tcp; see --help"],
    ["ipam web", "web: tsnet ipam takes no such argument; see --help"],
    ["ipam --repair", "Unknown option '--repair'; see --help"],
    ["ipam show", "expected one pool, by its ID, its subnet, or the name or ID of its network; see --help"],
    ["ipam show a b", "a b: expected one pool, by its ID, its subnet, or the name or ID of its network; see --help"],
    ["ipam check web", "web: tsnet ipam check takes no such argument; see --help"],
    ["ports --jsno", "Unknown option '--jsno'; see --help"],
    ["ports --socket", "Option '--socket <value>' argument missing; see --help"],
  ];
  for (const [line, message] of refused) {
    it(`refuses tsnet ${line}`, () => expect(() => parse(line)).to.throw(UsageError, message));
  }
});
