import { expect } from "chai";
import { parseGossip, parseNode } from "../../../src/docker/gossip.ts";
import { parseSwarm } from "../../../src/docker/swarm.ts";

const task = (Name: string, EndpointID: string, EndpointIP: string) => ({ Name, EndpointID, EndpointIP, Info: null });

/** As Docker 20.10 answers GET /networks/ID?verbose=true, and later versions. */
const answer = (peers: readonly string[] | undefined, services: unknown): string =>
  JSON.stringify({
    ...{ Name: "n1", Id: "ml9l88tslrk6t1jkwr6xsqvcv", Scope: "swarm", Driver: "tsnet-plugin:latest", Containers: {} },
    Peers: peers?.map((IP) => ({ Name: "4ad9ec5b7250", IP })),
    Services: services,
  });

describe("what Docker tells of a network of a swarm", () => {
  const [one, two] = [task("web.1.jou", "e7", "10.0.1.57"), task("web.2.dzw", "e8", "10.0.1.59")];
  const web = { VIP: "10.0.1.2", Ports: [], LocalLBIndex: 258, Tasks: [two, one] };
  const plain = { VIP: "<nil>", Ports: [], LocalLBIndex: 0, Tasks: [task("plain", "76", "10.0.1.56")] };

  it("are its nodes, and its services with their virtual IPs and tasks", () => {
    expect(parseGossip(answer(["192.168.91.2", "192.168.91.1"], { web, "": plain }))).to.deep.equal({
      peers: ["192.168.91.1", "192.168.91.2"],
      services: [
        { name: "", vip: null, tasks: [{ name: "plain", endpoint: "76", ip: "10.0.1.56" }] },
        {
          ...{ name: "web", vip: "10.0.1.2" },
          tasks: [
            { name: "web.1.jou", endpoint: "e7", ip: "10.0.1.57" },
            { name: "web.2.dzw", endpoint: "e8", ip: "10.0.1.59" },
          ],
        },
      ],
    });
  });

  it("is the same in whatever order Docker writes it", () => {
    const [first, second] = [
      answer(["192.168.91.1", "192.168.91.2"], { "": plain, web: { ...web, Tasks: [one, two] } }),
      answer(["192.168.91.2", "192.168.91.1"], { web, "": plain }),
    ];
    expect(JSON.stringify(parseGossip(first))).to.equal(JSON.stringify(parseGossip(second)));
  });

  it("may be no service, and services without a virtual IP or a task", () => {
    expect(parseGossip(answer(["fd00::1"], undefined))).to.deep.equal({ peers: ["fd00::1"], services: [] });
    const odd = { a: { VIP: "", Tasks: null }, b: { Tasks: [task("x", "e1", "<nil>")] } };
    expect(parseGossip(answer(["fd00::1"], odd))?.services).to.deep.equal([
      { name: "a", vip: null, tasks: [] },
      { name: "b", vip: null, tasks: [] },
    ]);
  });

  it("is nothing where a manager answers for a network that it does not have", () => {
    expect(parseGossip(answer(undefined, undefined))).to.equal(null);
    expect(parseGossip(answer(["<nil>"], undefined))).to.equal(null);
  });

  it("is an error where it is no such answer", () => {
    for (const text of ["", "{", "[]", "null", '{"Peers": 5}', answer(["10.0.0.1"], { web: { Tasks: [{}] } })]) {
      expect(() => parseGossip(text), text).to.throw();
    }
  });
});

describe("what Docker tells of this node", () => {
  const info = (Swarm: unknown): string => JSON.stringify({ ID: "x", Swarm });

  it("is whether it is one of a swarm, and its address there", () => {
    const [none, active] = [
      { NodeID: "", NodeAddr: "", LocalNodeState: "inactive", RemoteManagers: null },
      { NodeID: "8who", NodeAddr: "192.168.91.1", LocalNodeState: "active", ControlAvailable: true },
    ];
    expect(parseNode(info(none))).to.deep.equal({ isSwarm: false, address: null });
    expect(parseNode(info(undefined))).to.deep.equal({ isSwarm: false, address: null });
    // who says no state is in no swarm, whoever asks
    expect(parseNode(info({ ...none, LocalNodeState: "" }))).to.deep.equal({ isSwarm: false, address: null });
    expect(parseSwarm({ Swarm: { ...none, LocalNodeState: "" } })).to.equal(null);
    expect(parseSwarm({})).to.equal(null);
    expect(parseSwarm({ Swarm: { LocalNodeState: "locked" } })).to.include({ state: "locked", isManager: false });
    expect(parseNode(info(active))).to.deep.equal({ isSwarm: true, address: "192.168.91.1" });
    for (const LocalNodeState of ["pending", "locked", "error"]) {
      expect(parseNode(info({ ...none, LocalNodeState }))).to.deep.equal({ isSwarm: true, address: null });
    }
    expect(() => parseNode('{"message":"no"}')).not.to.throw();
    expect(() => parseNode("no")).to.throw();
  });
});
