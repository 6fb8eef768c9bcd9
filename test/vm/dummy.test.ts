import { expect } from "chai";
import { useCommonHost } from "../support/common-host.ts";
import { Container } from "../support/container.ts";
import { defaultRoutes, hostSubnet, type LanMode, lanDriver } from "../support/lan.ts";
import { hostNetwork, router } from "../support/outside.ts";
import { driver } from "../support/plugin.ts";
import { echoes, ping } from "../support/probe.ts";

const modes: readonly LanMode[] = ["macvlan", "ipvlan"];

describe("networks without a parent", () => {
  const host = useCommonHost();
  const dummies = async (): Promise<string[]> => {
    const links: { ifname: string }[] = await host().ip("link show type dummy");
    return links.map(({ ifname }) => ifname).filter((name) => !name.startsWith("tsd-")); // those wait for their deletion
  };

  for (const mode of modes) {
    it(`of mode ${mode} are of their own containers only`, async () => {
      const id = await host().docker("network", "create", ...lanDriver(mode), ...hostSubnet(), "lan");
      if (driver === "tsnet") expect(await dummies()).to.deep.equal([`tsp-${id.slice(0, 11)}`]);
      const [a, b] = [await Container.run(host(), { network: "lan" }), await Container.run(host(), { network: "lan" })];
      await ping(a, await b.ipv4("lan"));
      await ping(b, await a.ipv4("lan"));
      const outside = [router.ipv4, hostNetwork.ipv4(1)].map((address) => echoes(a, address));
      expect(await Promise.all(outside)).to.deep.equal([false, false]);
      expect(await echoes(host().outside.router, await a.ipv4("lan"))).to.equal(false);
      expect(await defaultRoutes(a)).to.deep.equal([]);
      await Promise.all([a.remove(), b.remove()]);
      await host().docker("network", "rm", "lan");
      expect(await dummies()).to.deep.equal([]);
    });
  }
});
