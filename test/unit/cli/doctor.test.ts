import { expect } from "chai";
import { formatDoctor } from "../../../src/cli/doctor.ts";
import type { DoctorAnswer, PeerAnswer } from "../../../src/driver/overlay/doctor-answers.ts";

const peer: PeerAnswer = {
  ...{ address: "10.0.0.2", state: "ok", roundTripMs: 0.21, routeMtuBytes: 1500, verifiedMtuBytes: 1500 },
  ...{ loss: 0, probes: 12, lastSeen: "2026-11-21T14:35:23.304Z", version: "0.1.0" },
};
const answer: DoctorAnswer = {
  ...{ version: "0.2.0", address: "10.0.0.1", port: 4789, networks: 1, checksumOffload: true },
  ...{ peers: [peer], findings: [], notes: [] },
};

describe("tsnet doctor", () => {
  it("prints a line for each host, and that nothing is wrong", () => {
    expect(formatDoctor(answer)).to.equal(`Version:          0.2.0
Tunnel address:   10.0.0.1
UDP port:         4789
Networks:         1 with containers on this host
Checksums:        left to network cards

HOST       STATE   ROUND TRIP   ROUTE MTU   VERIFIED   LOSS   PROBES   LAST SEEN              VERSION
10.0.0.2   ok      0.21 ms      1500        1500       0%     12       2026-11-21T14:35:23Z   0.1.0

Nothing is wrong.
`);
  });

  it("prints what this node of a swarm knows of the others", () => {
    const swarm = { address: "10.0.0.1", role: "worker", managers: 1, nodes: null } as const;
    const worker = formatDoctor({ ...answer, swarm });
    expect(worker).to.include("network cards\nSwarm:            worker at 10.0.0.1, knows 1 manager\n\nHOST");
    const manager = formatDoctor({ ...answer, swarm: { ...swarm, role: "manager", managers: 3, nodes: 5 } });
    expect(manager).to.include("manager at 10.0.0.1, knows 3 managers and 5 nodes\n");
    expect(formatDoctor({ ...answer, swarm: null })).not.to.include("Swarm:");
  });

  it("prints what is worth to be known, also where nothing is wrong", () => {
    const notes = [{ kind: "version", peer: "10.0.0.2", text: "host 10.0.0.2 runs tsnet \u0007" }] as const;
    expect(formatDoctor({ ...answer, notes })).to.match(
      /\nNothing is wrong\.\n\nBesides:\n {2}host 10\.0\.0\.2 runs tsnet \?\n$/,
    );
  });

  it("prints what an older plugin answers, which knows nothing of versions, notes and swarms", () => {
    const { version: _, ...olderPeer } = peer;
    const { version: __, notes: ___, ...rest } = answer;
    const older = { ...rest, peers: [olderPeer] } as unknown as DoctorAnswer;
    const text = formatDoctor(older);
    expect(text).to.match(/^Version: +-\nTunnel address: +10\.0\.0\.1\n/);
    expect(text).to.match(/^10\.0\.0\.2 .* -\n\nNothing is wrong\.\n$/m);
  });

  it("prints what is not known, and what is wrong", () => {
    const nothing = {
      roundTripMs: null,
      routeMtuBytes: null,
      verifiedMtuBytes: null,
      loss: null,
      lastSeen: null,
      version: null,
    };
    const gone: PeerAnswer = { ...peer, ...nothing, state: "no-route", probes: 0 };
    const findings = [{ kind: "no-route", peer: "10.0.0.2", text: "there is \u001b no route" }] as const;
    const text = formatDoctor({ ...answer, checksumOffload: null, address: null, peers: [gone], findings });
    expect(text).to.include("Tunnel address:   none\n").and.to.include("Checksums:        -\n");
    expect(text).to.match(/^10\.0\.0\.2 {3}no-route {3}- +- +- +- +0 +never +-$/m);
    expect(text).to.match(/Wrong:\n {2}there is \? no route\n$/);
    expect(formatDoctor({ ...answer, peers: [] })).to.include("No other host has a network of this one.\n");
  });
});
