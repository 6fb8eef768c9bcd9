/** Virtual IPs with real packets, between containers of three hosts. */
import { expect } from "chai";
import { vxlanName } from "../../../src/net/names.ts";
import { run } from "../../support/commands.ts";
import { expectNoLeftovers, ip } from "../../support/netns.ts";
import { echoes, type Protocol } from "../../support/probe.ts";
import { addressOf, VipLab, vipNetwork } from "../../support/vip-lab.ts";
import { askMany } from "../../support/vip-traffic.ts";

const vip = "10.5.0.200";
const web = (...tasks: number[]) => ({ name: "web", vip, tasks });

describe("virtual IPs, from anywhere to anywhere", () => {
  let lab: VipLab;
  expectNoLeftovers(() => lab[Symbol.asyncDispose]());
  beforeEach(async () => {
    lab = await VipLab.start(3);
  });

  for (const protocol of ["tcp", "udp"] satisfies Protocol[]) {
    it(`lead ${protocol} from each container to each task, which sees the client's own address, also itself`, async () => {
      const tasks = [await lab.add(1, 11), await lab.add(2, 12), await lab.add(3, 13)];
      const clients = [await lab.add(1, 2, false), await lab.add(2, 3, false)];
      await lab.serve(web(11, 12, 13));
      for (const client of [...clients, ...tasks]) {
        const { by, failures } = await askMany(client, protocol, vip, { count: 60 });
        const seen = [11, 12, 13].map(
          (n) => `${addressOf(n)} ${addressOf(n) === client.address ? vip : client.address}`,
        );
        expect({ by: Object.keys(by).sort(), failures }, client.address).to.deep.equal({ by: seen, failures: {} });
      }
      expect(await echoes(clients[0] ?? expect.fail(), vip)).to.equal(true);
    });
  }

  it("leave no mark on packets in the tunnel, for which a host may have routes of its own", async () => {
    const client = await lab.add(1, 2, false);
    for (const n of [11, 12, 13]) await lab.add(2, n);
    await lab.serve(web(11, 12, 13));
    for (const mark of [1, 2]) ip(`-n h1 rule add fwmark ${mark} blackhole`);
    const nft = async (text: string): Promise<string> =>
      run(await lab.host(1).namespace.enter(["nft", ...text.split(" ")]));
    await nft("add table netdev probe");
    await nft(`add chain netdev probe out { type filter hook egress device ${vxlanName(vipNetwork.id)} priority 0 ; }`);
    for (const what of ["", " meta mark != 0"])
      await nft(`add rule netdev probe out ip daddr 10.5.0.0/24${what} counter`);
    const { by, failures } = await askMany(client, "udp", vip, { count: 60 });
    expect({ tasks: Object.keys(by).length, failures }).to.deep.equal({ tasks: 3, failures: {} });
    const counted = (await nft("list chain netdev probe out")).match(/(?<=counter packets )\d+/g);
    expect(counted).to.deep.equal(["60", "0"]);
  });
});
