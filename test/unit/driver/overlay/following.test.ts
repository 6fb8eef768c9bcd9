import { expect } from "chai";
import type { ControlPlane, RemoteListener } from "../../../../src/driver/overlay/control-plane.ts";
import { Following, type FollowingNeeds } from "../../../../src/driver/overlay/following.ts";
import { idOf, overlayOf } from "../../../support/values.ts";

describe("what the control plane tells", () => {
  it("has those networks compared of which all is known, whatever is known of others", async () => {
    const networks = ["7", "8"].map((vni, n) => overlayOf({ "tsnet.vni": vni }, { id: idOf(`a${n}`) }));
    const compared: number[] = [];
    let listener: RemoteListener | undefined;
    const plane: Pick<ControlPlane, "start" | "isComplete"> = {
      start: (given) => {
        listener = given;
      },
      isComplete: (vni) => vni === 8,
    };
    const remotes: Pick<FollowingNeeds["remotes"], "flood" | "repair"> = {
      flood: async () => {},
      repair: async ({ vni }) => {
        compared.push(vni);
        return [];
      },
    };
    const following = new Following({
      ...{ plane: plane as ControlPlane, remotes: remotes as FollowingNeeds["remotes"] },
      active: () => networks,
      inTurn: (_, work) => work(),
    });
    following.start();
    listener?.onHosts(null);
    await following.idle();
    expect(compared).to.deep.equal([8]);
  });

  it("has the short way looked at for the endpoints that it is about, and for all where all may be others", async () => {
    const network = overlayOf({ "tsnet.vni": "7" });
    const looked: (readonly string[] | "all")[] = [];
    let listener: RemoteListener | undefined;
    const plane: Pick<ControlPlane, "start" | "close" | "isComplete"> = {
      start: (given) => {
        listener = given;
      },
      close: async () => {},
      isComplete: () => true,
    };
    const remotes: Pick<FollowingNeeds["remotes"], "change" | "flood" | "repair"> = {
      change: async () => {},
      flood: async () => {},
      repair: async () => [],
    };
    const following = new Following({
      ...{ plane: plane as ControlPlane, remotes: remotes as FollowingNeeds["remotes"] },
      direct: { schedule: (_, macs) => looked.push(macs ?? "all") },
      active: () => [network],
      inTurn: (_, work) => work(),
    });
    following.start();
    listener?.onChange({ vni: 7, put: [{ mac: "m1", ips: ["10.5.0.7"], vtep: "192.0.2.2" }], removed: ["m2"] });
    listener?.onHosts(7);
    listener?.onHosts(8);
    await following.idle();
    expect(looked).to.deep.equal([["m2", "m1"], []]);
    listener?.onHosts(null);
    await following.idle();
    expect(looked.at(-1)).to.equal("all");
  });
});
