import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { expect } from "chai";
import { Namespaces } from "../../../src/kernel/namespaces.ts";
import { planInnerVethRemoval, planOverlayRemoval } from "../../../src/plan/overlay.ts";
import { unfinishedGroup } from "../../../src/plan/reconcile.ts";
import { ip, linkJson } from "../../support/netns.ts";
import {
  endpoint,
  entries,
  inside,
  linkInside,
  linksInside,
  names,
  network,
  sockets,
  useOverlay,
} from "../../support/overlay-links.ts";

const { namespace, vxlan, port, gateway, gatewayPort, container } = names;

describe("the namespace of an overlay network", () => {
  const fixture = useOverlay();
  const { ensure } = fixture;

  describe("after a crash", () => {
    it("that left a file which is no namespace are made", async () => {
      mkdirSync("/run/netns", { recursive: true });
      writeFileSync(`/run/netns/${namespace}`, "");
      expect(fixture.namespaces.list()).to.deep.equal([namespace]);
      await fixture.make();
      expect(linkInside(vxlan).flags).to.include("UP");
    });

    it("that left such a file are gone when they are removed", async () => {
      mkdirSync("/run/netns", { recursive: true });
      writeFileSync(`/run/netns/${namespace}`, "");
      writeFileSync("/run/netns/tsnet-lab", "");
      expect(fixture.namespaces.list()).to.deep.equal([namespace]);
      await ensure(...planOverlayRemoval(network));
      expect(fixture.namespaces.list()).to.deep.equal([]);
      expect(() => readFileSync(`/run/netns/${namespace}`)).to.throw("ENOENT");
    });

    it("that left them half made, or half removed, are made anew", async () => {
      ip(`netns add ${namespace}`);
      const half = `group ${unfinishedGroup}`;
      ip(`link add ${vxlan} ${half} netns ${namespace} type vxlan id 8388700 dstport 4789 local 192.168.9.1 learning`);
      inside(`link add ${names.bridge} ${half} type bridge`);
      ip(`link add ${gateway} ${half} type veth peer name ${gatewayPort} ${half} netns ${namespace}`);
      inside(`link add tsd-9 group ${0x74736e65} type bridge`);
      await fixture.make();
      expect(linksInside().map((link) => ("ifname" in link ? link.ifname : ""))).to.have.members([
        "lo",
        names.bridge,
        vxlan,
        gatewayPort,
        port,
      ]);
      expect(linkInside(vxlan).linkinfo.info_data.learning).to.equal(false);
      expect(linkJson(gateway).flags).to.include("UP");
    });

    it("that left them all are taken over as they are, by another process", async () => {
      await fixture.make();
      const before = { links: linksInside(), entries: entries() };
      const other = new Namespaces("/run/netns");
      try {
        expect(other.list()).to.deep.equal([namespace]);
        expect(other.open(namespace).rtnetlink.getLink({ name: vxlan })?.up).to.equal(true);
        expect(await other.open(namespace).repairEntries(true)).to.deep.equal([]);
      } finally {
        other.close();
      }
      expect({ links: linksInside(), entries: entries() }).to.deep.equal(before);
    });
  });

  describe("that are removed", () => {
    it("free their VNI and their port at once, also while endpoints' links wait for deletion, and whoever unpinned them", async () => {
      for (const unpin of [() => {}, () => ip(`netns del ${namespace}`)]) {
        await fixture.make();
        await ensure(...planInnerVethRemoval(network, endpoint, null));
        unpin();
        await ensure(...planOverlayRemoval(network));
        ip("link add vx9 type vxlan id 8388700 dstport 4789 local 192.168.9.1");
        ip("link del vx9");
        expect(sockets()).not.to.include(":4789 ");
        expect([linkJson(gateway), linkJson(container)]).to.deep.equal([undefined, undefined]);
        expect(ip("netns list")).to.equal("");
        await ensure(...planOverlayRemoval(network));
      }
    });

    it("are gone, but for a file that cannot be reached, if somebody has hidden it with the directory", () => {
      const directory = "/run/hidden";
      const file = `${directory}/${namespace}`;
      mkdirSync(directory);
      writeFileSync(file, "");
      execFileSync("unshare", [`--net=${file}`, "true"]);
      execFileSync("mount", ["--rbind", directory, directory]);
      const namespaces = new Namespaces(directory);
      const run = (words: string): string =>
        execFileSync("nsenter", [`--net=${file}`, "ip", ...words.split(" ")], { encoding: "utf8", stdio: "pipe" });
      try {
        for (let n = 0; n < 2; n++) {
          namespaces.ensure(namespace);
          run("link add br0 type bridge");
          namespaces.remove(namespace);
          expect(() => run("link show")).to.throw();
          expect(() => unlinkSync(file)).to.throw("EBUSY");
        }
      } finally {
        namespaces.close();
        for (const path of [directory, file]) execFileSync("umount", ["-l", path]);
        rmSync(directory, { recursive: true });
      }
    });

    it("are gone with their file also after somebody has mounted the directory on itself", async () => {
      await fixture.make();
      ip("netns add other");
      await ensure(...planOverlayRemoval(network));
      expect(ip("netns list").trim()).to.equal("other");
    });
  });
});
