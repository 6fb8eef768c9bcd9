import { expect } from "chai";
import { Container } from "../support/container.ts";
import { useHost } from "../support/docker-suite.ts";
import { createLan } from "../support/lan.ts";
import { router } from "../support/outside.ts";
import { answerSeconds, answers, ask, silenceSeconds } from "../support/probe.ts";

describe("a container on a bridge network and on a LAN network", () => {
  const host = useHost();

  // by its own link there it answers with its own address, which is not the one that was asked
  for (const [policy, isAnswered] of [
    ["docker", false],
    ["host", true],
  ] as const) {
    it(`answers the LAN at its own address, and at a published port with tsnet.publish_policy=${policy}: ${isAnswered}`, async () => {
      const segment = host().outside.router;
      await createLan(host(), "lan");
      await host().docker("network", "create", "-d", "tsnet", "-o", `tsnet.publish_policy=${policy}`, "inner");
      const a = await Container.run(host(), { network: "inner", serve: true }, "-p", "8081:80");
      await host().docker("network", "connect", "lan", a.id);
      expect(await ask(segment, "tcp", await a.ipv4("lan"))).to.equal(router.ipv4);
      const seconds = isAnswered ? answerSeconds : silenceSeconds;
      expect(await answers(segment, "tcp", host().ipv4, 8081, seconds)).to.equal(isAnswered);
    });
  }
});
