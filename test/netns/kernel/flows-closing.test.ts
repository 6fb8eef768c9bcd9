/** A network goes while the UDP flows in its namespace are being looked through. */
import { execFileSync } from "node:child_process";
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect } from "chai";
import { Conntrack } from "../../../src/kernel/conntrack.ts";
import { KernelClient } from "../../../src/kernel/kernel-client.ts";
import { netlinkNetfilter } from "../../../src/kernel/netlink/constants.ts";
import { NetlinkSocket } from "../../../src/kernel/netlink/socket.ts";
import type { ForgetVirtualFlows } from "../../../src/plan/op.ts";

const name = "tsnet-0123456789a";
const vip = "10.5.0.200";
const count = 20_000;
const forget: ForgetVirtualFlows = {
  ...{ op: "forget-virtual-flows", namespace: name, virtual: [{ vip, targets: [] }] },
};

const inside = (command: string, input = ""): string =>
  execFileSync("nsenter", [`--net=/run/netns/${name}`, "sh", "-c", command], { encoding: "utf8", input });

function fill(): void {
  const flow = (n: number): string =>
    `-A -t 100 -p udp -s 10.1.${n >> 8}.${n & 255} -d ${vip} --sport 4000 --dport 53 --dst-nat 10.5.0.11\n`;
  inside("cat | nft -f -", "table ip t { chain c { type filter hook input priority 0; ct state new accept; }; }");
  inside("cat | conntrack -R -", Array.from({ length: count }, (_, n) => flow(n)).join(""));
}

describe("looking through flows", function () {
  this.timeout(30_000);
  let kernel: KernelClient;
  beforeEach(async () => {
    kernel = await KernelClient.open({ mark: 0x0100_0000 });
    await kernel.apply([{ op: "ensure-namespace", name }]);
    fill();
  });
  afterEach(async () => {
    await kernel.apply([{ op: "remove-namespace", name }]);
    await kernel.close();
  });

  it("ends without an error when the namespace goes meanwhile, and a new one under its name has its own", async () => {
    for (let round = 0; round < 5; round++) {
      const looking = kernel.apply([forget]);
      await kernel.apply([{ op: "remove-namespace", name }]);
      await looking;
      await kernel.apply([forget]);
      await kernel.apply([{ op: "ensure-namespace", name }]);
    }
    fill();
    await kernel.apply([forget]);
    expect(inside("conntrack -C").trim()).to.equal("0");
  });

  it("does not use a descriptor that is another's meanwhile", async () => {
    const conntrack = new Conntrack(`/run/netns/${name}`);
    const looking = conntrack.forgetVirtualFlows(forget);
    const waiting = conntrack.forgetVirtualFlows(forget);
    await nextTurn();
    const closed = conntrack.close();
    // who opens something now gets the lowest number that is free
    const others = Array.from({ length: 3 }, () => new NetlinkSocket(netlinkNetfilter));
    try {
      await Promise.all([looking, waiting]);
      await closed;
      await conntrack.close();
      expect(inside("conntrack -C").trim(), "what is given up deletes nothing").to.equal(`${count}`);
      for (const other of others) expect(other.portId).to.be.greaterThan(0);
    } finally {
      for (const other of others) other.close();
    }
  });
});
