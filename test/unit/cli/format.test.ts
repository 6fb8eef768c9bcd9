import { expect } from "chai";
import { dockerAddress, noNames, parseNames } from "../../../src/cli/docker-names.ts";
import { formatExplain } from "../../../src/cli/explain.ts";
import { formatFirewall } from "../../../src/cli/firewall.ts";
import { parseSockets } from "../../../src/cli/listeners.ts";
import { formatPorts, namedPorts } from "../../../src/cli/ports.ts";
import { formatBytes } from "../../../src/cli/table.ts";
import type { ExplainAnswer, FirewallAnswer, PublishedPort } from "../../../src/driver/report-answers.ts";
import { idOf } from "../../support/values.ts";

const portOf = (values: Partial<PublishedPort>): PublishedPort => ({
  ...{ protocol: "tcp", hostAddress: "0.0.0.0", hostPort: 8080, count: 1, containerPort: 80 },
  ...{ containerAddress: "172.18.0.2", network: idOf("a1"), endpoint: idOf("e1"), servedBy: "kernel" },
  ...{ connections: 12, packets: 345, bytes: 67_890 },
  ...values,
});

/** As Docker answers; a container that is not running has empty endpoint IDs. */
const names = parseNames(
  [
    {
      Names: ["/one"],
      NetworkSettings: { Networks: { web: { EndpointID: idOf("e1") }, back: { EndpointID: idOf("e2") } } },
    },
    { Names: ["/two"], NetworkSettings: { Networks: { web: { EndpointID: "" } } } },
    {},
  ],
  [{ Id: idOf("a1"), Name: "web" }],
);

describe("tsnet ports, as text", () => {
  it("is a table like Docker's, sorted by host port, with Docker's names where there are some", () => {
    const ports = [
      portOf({
        hostPort: 9000,
        count: 11,
        containerPort: 5000,
        protocol: "udp",
        endpoint: idOf("e9"),
        network: idOf("b2"),
      }),
      portOf({ hostAddress: "::", containerAddress: "fd00::2", servedBy: "both" }),
      portOf({}),
    ];
    expect(formatPorts(namedPorts(ports, names)).split("\n")).to.deep.equal([
      "HOST                PROTOCOL   TARGET                 CONTAINER               NETWORK        SERVED BY       CONNECTIONS   PACKETS   BYTES",
      "0.0.0.0:8080        tcp        172.18.0.2:80          one                     web            kernel          12            345       67.9kB",
      "[::]:8080           tcp        [fd00::2]:80           one                     web            kernel, proxy   12            345       67.9kB",
      "0.0.0.0:9000-9010   udp        172.18.0.2:5000-5010   endpoint e90000000000   b20000000000   kernel          12            345       67.9kB",
      "",
    ]);
  });

  it("leaves nothing in a name that would do something to a terminal, or to the table", () => {
    const odd = parseNames([], [{ Id: idOf("a1"), Name: "we\u001b[2Jb\n\u009bx\u202e" }]);
    const [, line = "", ...rest] = formatPorts(namedPorts([portOf({})], odd)).split("\n");
    expect(line).to.contain("   we?[2Jb??x?   ");
    expect(rest).to.deep.equal([""]);
  });

  it("has its header alone where nothing is published", () => {
    expect(formatPorts([])).to.match(/^HOST {3}PROTOCOL .* BYTES\n$/);
  });

  it("counts bytes in units of a thousand", () => {
    const texts = [0, 999, 1000, 1234, 99_999, 12_345_678, 5e15, 7e18].map(formatBytes);
    expect(texts).to.deep.equal(["0B", "999B", "1kB", "1.23kB", "100kB", "12.3MB", "5PB", "7000PB"]);
  });
});

describe("tsnet firewall, as text", () => {
  const answer: FirewallAnswer = {
    table: {
      name: "inet tsnet",
      state: "in place",
      chains: [{ chain: "forward", hook: "forward", priority: "filter - 5" }],
      elements: { port4: 2, bridges: 1 },
    },
    mark: "0x01000000",
    forward: [
      { program: "iptables-nft", rule: "in place", why: "the policy of FORWARD is DROP" },
      { program: "ip6tables-nft", rule: "not needed", why: "the policy of FORWARD is ACCEPT" },
    ],
    docker: { backend: "iptables-nft", bridges: ["br-0123456789ab", "docker0"] },
    repairs: [{ kind: "firewall", count: 2, last: "2026-01-02T03:04:05.000Z" }],
  };

  it("is a line for each fact", () => {
    expect(formatFirewall(answer).split("\n")).to.deep.equal([
      "Table:              inet tsnet: in place, 3 elements",
      "Mark:               0x01000000",
      "FORWARD:            iptables-nft: tsnet's rule is in place (the policy of FORWARD is DROP)",
      "                    ip6tables-nft: tsnet's rule is not needed (the policy of FORWARD is ACCEPT)",
      "Docker:             iptables-nft",
      "Docker's bridges:   br-0123456789ab, docker0",
      "Repairs:            firewall: 2, last at 2026-01-02T03:04:05.000Z",
      "",
      "CHAIN     HOOK      PRIORITY",
      "forward   forward   filter - 5",
      "",
    ]);
  });

  it("says what is not there", () => {
    const table = { ...answer.table, state: "missing" as const, elements: {} };
    const text = formatFirewall({ ...answer, table, forward: [], docker: { backend: "x", bridges: [] }, repairs: [] });
    expect(text).to.contain("inet tsnet: missing; being repaired");
    expect(text.match(/: +none\n/g)).to.have.length(3);
  });
});

describe("tsnet firewall explain, as text", () => {
  const answer: ExplainAnswer = {
    protocol: "tcp",
    port: 8080,
    from: null,
    answers: [
      {
        to: "192.0.2.1",
        steps: [
          { at: "origin", text: "from any address outside of this host" },
          { at: "map port4", text: "endpoint e10000000000 of network a10000000000, endpoint e90000000000" },
          { at: "DOCKER-USER", text: "these rules:", rules: ["-A DOCKER-USER -j DROP"] },
        ],
        verdict: { result: "may reach", why: "the container" },
      },
      { to: "192.0.2.2", steps: [{ at: "origin", text: "x" }], verdict: { result: "host", why: "not published" } },
    ],
  };

  it("is a list of steps for each address, with Docker's names, and who listens on the host", () => {
    const listeners = [{ program: "nginx (pid 7)", address: "0.0.0.0:8080" }];
    expect(formatExplain(answer, { names, listeners }).split("\n")).to.deep.equal([
      "8080/tcp, from anywhere outside to 192.0.2.1",
      "  1. origin        from any address outside of this host",
      "  2. map port4     container one of network web, endpoint e90000000000",
      "  3. DOCKER-USER   these rules:",
      "                   -A DOCKER-USER -j DROP",
      "May reach: the container",
      "",
      "8080/tcp, from anywhere outside to 192.0.2.2",
      "  1. origin   x",
      "Not tsnet's: not published",
      "Listening here: nginx (pid 7) on 0.0.0.0:8080",
      "",
    ]);
    expect(formatExplain(answer, { names: noNames, listeners: [] })).to.contain("Nobody listens on this port here.\n");
  });

  it("leaves nothing in a name that would do something to a terminal", () => {
    const odd = parseNames([], [{ Id: idOf("a1"), Name: "a\nb" }]);
    const text = formatExplain(answer, { names: odd, listeners: [{ program: "\u001b[2J\n (pid 7)", address: "x" }] });
    expect(text).to.contain("of network a?b,");
    expect(text).to.match(/\nListening here: \?\[2J\? \(pid 7\) on x\n$/);
  });
});

describe("what the command reads besides", () => {
  it("is Docker's address, as the docker command understands it, where no key is needed", () => {
    expect(dockerAddress("unix:///var/run/docker.sock")).to.deep.equal({ socketPath: "/var/run/docker.sock" });
    expect(dockerAddress("tcp://127.0.0.1:2375")).to.deep.equal({ host: "127.0.0.1", port: "2375" });
    expect(dockerAddress("tcp://[::1]:2375")).to.deep.equal({ host: "::1", port: "2375" });
    expect(dockerAddress("ssh://host")).to.equal(undefined);
  });

  it("is nothing where Docker answers with something else", () => {
    expect(parseNames({ message: "no" }, undefined)).to.deep.equal(noNames);
  });

  it("is the listeners of /proc/net/tcp and tcp6, in the kernel's byte order", () => {
    const text = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0
   2: B80D0120000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4713 1
   3: 00000000:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4714 1 0 100 0 0 10 0
`;
    expect(parseSockets(text, "0A", 8080)).to.deep.equal([
      { address: "127.0.0.1:8080", inode: "4711" },
      { address: "[2001:db8::1]:8080", inode: "4713" },
    ]);
  });
});
