import { expect } from "chai";
import { describeInstallation, ownPluginId } from "../../../src/docker/installation.ts";

const id = "c6f67ed970ec824d69b99d07cba5d0a10e20c688fc5070c9dc7a7579d1d27d37";
const others = "a".repeat(64);
const rest = "rw,relatime - ext4 /dev/vda1 rw";

describe("how tsnet is installed", () => {
  it("is told by the root directory, and not by what is mounted besides", () => {
    const inside = [
      `541 540 254:1 /docker/plugins/${id}/rootfs / ${rest}`,
      `545 541 254:1 /docker/plugins/${id}/propagated-mount /var/lib/tsnet ${rest}`,
    ];
    expect(ownPluginId(inside.join("\n"))).to.equal(id);
    const onHost = [
      `28 1 254:1 / / ${rest}`,
      `600 28 254:1 /docker/plugins/${others}/rootfs /var/lib/docker/plugins/${others}/rootfs ${rest}`,
    ];
    expect(ownPluginId(onHost.join("\n"))).to.equal(null);
    expect(ownPluginId(`541 540 254:1 /docker/containers/${id}/rootfs / ${rest}`)).to.equal(null);
  });

  it("is none of a managed plugin for this process", () => {
    expect(ownPluginId()).to.equal(null);
  });

  it("is said in words that mean the same on the host", () => {
    const managed = { socket: "/host/run/docker/plugins/tsnet.sock", stateDir: "/var/lib/tsnet" };
    expect(describeInstallation(managed, id, 1)).to.equal(
      "socket /run/docker/plugins/tsnet.sock, state in /var/lib/tsnet, managed plugin c6f67ed970ec",
    );
    const program = { socket: "/run/a.sock", stateDir: "/srv/tsnet" };
    expect(describeInstallation(program, null, 4711)).to.equal("socket /run/a.sock, state in /srv/tsnet, process 4711");
  });
});
