import { expect } from "chai";
import { expectNothingLeft, removeAll, useHost } from "../support/docker-suite.ts";
import { beAsTheDocsSay, blocks, canMake } from "../support/lan-docs.ts";

describe("the page about networks on the LAN", () => {
  const host = useHost();
  before(() => beAsTheDocsSay(host()));

  for (const block of blocks) {
    const names = [...block.commands.matchAll(/network create .* (\S+)$/gm)].map(([, name]) => name);
    it(`has commands that work as they stand: ${names.join(" and ")}`, async function () {
      if (!(await canMake(host(), block))) return this.skip();
      for (const command of block.commands.trim().split("\n")) await host().sh(command);
      await removeAll(host());
      await expectNothingLeft(host());
    });
  }

  it("has a route to a container where the host has access", async () => {
    const block = blocks.find(({ commands }) => commands.includes("ip route get"));
    await host().sh(block?.commands ?? "false");
    expect(await host().sh("busybox ping -c 1 -W 5 192.168.1.201")).to.include("1 packets received");
  });
});
