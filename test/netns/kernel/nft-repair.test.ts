import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { expect } from "chai";
import { hasErrno } from "../../../src/errors.ts";
import { type Message, text } from "../../../src/kernel/netlink/codec.ts";
import { netlinkNetfilter, nftaElemList, nftMessage } from "../../../src/kernel/netlink/constants.ts";
import { NetlinkSocket } from "../../../src/kernel/netlink/socket.ts";
import { Nft } from "../../../src/kernel/nft.ts";
import { NftTable } from "../../../src/kernel/nft-table.ts";
import { planFirewall, removeTableScript, tableScript } from "../../../src/plan/firewall-script.ts";

const mark = 0x01000000;
const others = (command: string): unknown => execFileSync("nft", [command], { stdio: "pipe" });
const listTable = (): string =>
  execFileSync("nft", ["-s", "list", "table", "inet", "tsnet"], { encoding: "utf8" }).replaceAll(
    /counter packets.*?( :|,|$)/g,
    "$1",
  );

const wanted = {
  bridges: { br0: "", br1: "" },
  masq4: { "10.0.0.0/24": "", "10.0.1.0/24": "" },
  snat4: { "10.0.0.0/24": "192.0.2.1" },
  own4: { "br0 . 10.0.0.0/24": "" },
  port4: { "tcp . 80": "10.0.0.1 . 80", "tcp . 81": "10.0.0.1 . 81" },
  range4: { "tcp . 8000-8010": "10.0.0.1" },
  between: { "br0 . br0": "goto pass" },
  into: { "ipv4 . br0": "drop" },
  traffic4: { "10.0.0.1 . tcp . 80": "" },
};

describe("the repair of our table", () => {
  let nft: Nft;
  let ours: NftTable;
  let skeleton: string;
  let before: string;
  const plan = (): string | undefined => planFirewall(wanted, ours.observe(), { skeleton, mark });
  /** As the driver does it: the whole table, where what others did is in the way. */
  const run = (script: string): void => {
    try {
      nft.run(script);
    } catch (error) {
      if (!hasErrno(error, "EEXIST")) throw error;
      nft.run(tableScript(wanted, mark));
    }
  };
  beforeEach(() => {
    nft = new Nft();
    ours = new NftTable();
    nft.run(tableScript(wanted, mark));
    skeleton = ours.observe()?.skeleton ?? "";
    before = listTable();
    expect(plan()).to.equal(undefined);
  });
  afterEach(() => {
    nft.run(removeTableScript);
    ours.close();
    nft.close();
  });

  const changes = [
    "add element inet tsnet bridges { br2 }",
    "delete element inet tsnet bridges { br1 }",
    'add element inet tsnet bridges { br2 comment "mine" }',
    "add element inet tsnet bridges { * }",
    'add element inet tsnet bridges { "a b" }',
    'add element inet tsnet own4 { "eth*" . 10.0.0.0/8 }',
    "add element inet tsnet port4 { tcp . 82 counter packets 7 bytes 8 : 10.0.0.9 . 9 }",
    "add element inet tsnet port4 { 200 . 5 : 10.0.0.9 . 9 }",
    "delete element inet tsnet port4 { tcp . 80 }; add element inet tsnet port4 { tcp . 80 : 10.0.0.2 . 80 }",
    "delete element inet tsnet snat4 { 10.0.0.0/24 }; add element inet tsnet snat4 { 10.0.0.0/24 : 192.0.2.2 }",
    "delete element inet tsnet masq4 { 10.0.0.0/24 }; add element inet tsnet masq4 { 10.0.0.0/25 }",
    "delete element inet tsnet masq4 { 10.0.0.0/24, 10.0.1.0/24 }; add element inet tsnet masq4 { 10.0.0.0/8 }",
    "delete element inet tsnet range4 { tcp . 8000-8010 }; add element inet tsnet range4 { tcp . 8005-8020 : 10.0.0.1 }",
    "delete element inet tsnet into { ipv4 . br0 }; add element inet tsnet into { ipv4 . br0 : accept }",
    "delete element inet tsnet between { br0 . br0 }; add element inet tsnet between { br0 . br0 : jump pass }",
    "flush set inet tsnet traffic4",
    "insert rule inet tsnet ours counter accept",
    "add rule inet tsnet pass accept",
    "flush chain inet tsnet pass",
    "add chain inet tsnet mine { type filter hook input priority 0; policy drop; }",
    "add set inet tsnet mine { type ether_addr; }; add element inet tsnet mine { 00:11:22:33:44:55 }",
    "flush ruleset",
  ];
  for (const change of changes) {
    it(`undoes: ${change}`, () => {
      others(change);
      const script = plan();
      expect(script).not.to.equal(undefined);
      run(script ?? "");
      expect(listTable().split("\n").toSorted()).to.deep.equal(before.split("\n").toSorted());
      expect(plan()).to.equal(undefined);
    });
  }

  describe("while others change the ruleset without end", () => {
    const many = Object.fromEntries(Array.from({ length: 20_000 }, (_, at) => [`tcp . ${at + 1}`, `10.0.0.1 . ${at}`]));
    const churn = `import { Nft } from "${new URL("../../../src/kernel/nft.ts", import.meta.url)}";
      const nft = new Nft();
      for (;;) nft.run("add table ip churn; delete table ip churn");`;
    let child: ChildProcess;
    let socket: NetlinkSocket;
    beforeEach(async () => {
      socket = new NetlinkSocket(netlinkNetfilter);
      nft.run(tableScript({ port4: many }, mark));
      child = spawn(process.execPath, ["--input-type=module", "-e", churn], { stdio: "inherit" });
      await once(child, "spawn");
    });
    afterEach(async () => {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
      socket.close();
    });

    it("reads all elements all the same", () => {
      const attributes = [
        [nftaElemList.table, text("tsnet")],
        [nftaElemList.set, text("port4")],
      ] as const;
      const request = { type: nftMessage.getSetElem, flags: 0, header: Uint8Array.of(1, 0, 0, 0), attributes };
      /** How many generations of the ruleset one dump sees: the resource ID of struct nfgenmsg. */
      const generations = (): number => {
        const seen = new Set<number>();
        const see = ({ payload }: Message): void => void seen.add(payload.readUInt16BE(2));
        socket.dump(request, () => seen.clear(), see);
        return seen.size;
      };
      const deadline = Date.now() + 20_000;
      while (generations() < 2) expect(Date.now(), "nothing changes during a dump").to.be.below(deadline);
      for (let n = 0; n < 10; n++) {
        const { port4 = {} } = ours.observe()?.elements ?? {};
        expect(Object.keys(port4)).to.have.length(20_000);
        expect(Object.keys(many).filter((key) => port4[key] !== many[key as keyof typeof many])).to.deep.equal([]);
      }
    });
  });
});
